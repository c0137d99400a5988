"""What the commands ask of GitHub."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from k8s_ee import errors, lifecycle, pull_request, settings
from k8s_ee.github import api as rest
from k8s_ee.github import comments, connection, deployments, identity, pace
from k8s_ee.github import states as pull_states


class GitHub:
    """Of the repository in the settings; `at` gives the same for another one.

    Methods raise Refused or GitHubUnavailable, but for `pull_request`, `states` and `covers`.
    """

    def __init__(
        self,
        given: settings.Settings,
        *,
        patience: float = 20,
        timeout: int = 15,
        pause: float = 0.5,
        unsaid: float = 60,
        authors: Collection[str] = (),
        tempo: pace.Pace | None = None,
    ) -> None:
        """Seconds: the longest wait for a rate limit, per connection and read, before the first retry, and for a rate
        limit of which GitHub does not say how long it lasts.

        `authors` are logins besides our own whose comment with our marker is ours, as `github-actions[bot]`.
        """
        self._patience = connection.Patience(limit=patience, timeout=timeout, pause=pause, unsaid=unsaid)
        self._tempo = tempo or pace.Pace()
        self._identity = identity.of(given, self._patience)
        self._address, self._authors = given.api_url, tuple(authors)
        self._lock = threading.Lock()
        self._lines: dict[str, connection.Connection] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._api = self._open(given.repository)

    def hurry(self) -> None:
        """One short try for each request from now on: the process was told to end."""
        self._patience.hurry()

    def pause(self) -> float:
        """Seconds until something may be written again: what can be written later is better left until then."""
        return self._tempo.pause()

    @property
    def installations(self) -> dict[str, int]:
        """Where the App is installed, by owner, as far as that was of use. Given back to a later process, it saves that
        one a request."""
        return dict(self._identity.remembered)

    def remember(self, installations: Mapping[str, int]) -> None:
        self._identity.remembered.update(installations)

    def covers(self, repository_id: int) -> bool:
        """False for what this identity can't speak of: in a workflow all but its own repository."""
        return self._identity.covers(repository_id)

    def at(self, repository: str, repository_id: int) -> GitHub:
        """The same for another repository, after GitHub confirmed that this is the name of that id.

        The name stands in an annotation, which says no more than somebody wrote: without that check, one repository's
        environment could have us write into the pull requests of another. `states` confirms names on its way.
        """
        name = self._names.get((repository.casefold(), repository_id)) or self._confirmed(repository, repository_id)
        other = copy.copy(self)
        other._api = self._open(name)
        return other

    def states(
        self, wanted: Iterable[pull_states.Subject], *, seconds: float = 60
    ) -> dict[pull_states.Subject, lifecycle.PullRequestState]:
        """A state for each, a hundred with one request. Never raises for GitHub's sake, and never says closed by guess.

        After `seconds` nothing is tried again: what was not said by then is Unknown.
        """
        asking = pull_states.Asking(line=self._line, key=self._identity.key, covers=self.covers)
        found = asking.ask(wanted, deadline=time.monotonic() + seconds)
        for subject, answer in found.items():
            if answer.repository:
                self._names[subject.repository.casefold(), subject.repository_id] = answer.repository
        return {subject: answer.state for subject, answer in found.items()}

    def pull_request(self, number: int) -> pull_request.PullRequest | pull_request.Unknown:
        """Never raises for GitHub's sake: what it does not say clearly is Unknown."""
        try:
            found = pull_request.parse(self._api.get(f"{self._api.repository}/pulls/{number}"))
        except errors.ONE_OF_MANY as error:
            return pull_request.Unknown(error.message)
        except ValueError as error:
            return pull_request.Unknown(f"GitHub's answer is no pull request: {error}")
        if found.number != number:
            return pull_request.Unknown(f"GitHub answered about pull request {found.number}")
        return found

    def upsert_comment(
        self,
        number: int,
        marker: str,
        body: str,
        *,
        comment_id: int | None = None,
        settled: Callable[[str], bool] = lambda _body: False,
    ) -> int:
        """Writes or rewrites the one comment that starts with `marker`, unless it is `settled`; its id, or 0."""
        return comments.upsert(
            self._api,
            number,
            marker=marker,
            body=body,
            comment_id=comment_id,
            authors=self._authors,
            settled=settled,
        )

    def comments(self, number: int, marker: str) -> tuple[str, ...]:
        """Our own on this pull request that start with `marker`, as they are now."""
        return tuple(
            str(one["body"]) for one in comments.marked(self._api, number, marker=marker, authors=self._authors)
        )

    def deployment(self, number: int, *, namespace: str, sha: str) -> int:
        """Id of the Deployment of this commit, made if there is none yet."""
        return deployments.create(self._api, number, namespace=namespace, sha=sha)

    def deployment_status(
        self,
        deployment: int,
        state: deployments.Status,
        *,
        url: str = "",
        log_url: str = "",
        description: str = "",
    ) -> None:
        deployments.set_status(self._api, deployment, state, url=url, log_url=log_url, description=description)

    def rerun(self, run: int) -> None:
        """Starts all jobs of a workflow run again; needs `actions: write`. Tried once: a second would be refused."""
        self._api.post(f"{self._api.repository}/actions/runs/{run}/rerun")

    def deactivate(self, number: int, *, namespace: str = "", keep: int = 0) -> tuple[int, ...]:
        """Sets our Deployments of this pull request inactive, but for `keep`; ids of those that were not yet."""
        return deployments.deactivate(self._api, number, namespace=namespace, keep=keep)

    def _confirmed(self, repository: str, repository_id: int) -> str:
        if not pull_states.REPOSITORY.fullmatch(repository) or not self.covers(repository_id):
            raise errors.Refused(f"{repository!r} is not a repository of this token")
        found = self._open(repository).get(f"/repos/{repository}")
        name = found.get("full_name")
        if found.get("id") != repository_id or not isinstance(name, str) or not pull_states.REPOSITORY.fullmatch(name):
            raise errors.Refused(f"{repository} is another repository than the environment's")
        self._names[repository.casefold(), repository_id] = name
        return name

    def _open(self, repository: str) -> rest.Api:
        return rest.Api(self._line(repository.partition("/")[0]), repository=repository)

    def _line(self, owner: str) -> connection.Connection:
        """One for all repositories of an identity. Nothing is sent yet, so nothing can fail."""
        key = self._identity.key(owner)
        with self._lock:
            if key not in self._lines:
                sign_in = lambda: self._identity.auth(owner)  # noqa: E731 - one line says it
                self._lines[key] = connection.Connection(self._address, sign_in, self._patience, self._tempo)
            return self._lines[key]
