"""What the commands ask of GitHub."""

from __future__ import annotations

from k8s_ee import errors, pull_request, settings
from k8s_ee.github import api as rest
from k8s_ee.github import comments, deployments


class GitHub:
    """All methods but `pull_request` raise Refused or GitHubUnavailable."""

    def __init__(self, given: settings.Settings, *, patience: float = 20, timeout: int = 15, pause: float = 0.5):
        """Seconds: the longest wait for a rate limit, per connection and read, before the first retry."""
        self._api = rest.Api(given, patience=patience, timeout=timeout, pause=pause)

    def hurry(self) -> None:
        """One short try for each request from now on: the process was told to end."""
        self._api.hurry()

    def pull_request(self, number: int) -> pull_request.PullRequest | pull_request.Unknown:
        """Never raises for GitHub's sake: what it does not say clearly is Unknown."""
        try:
            found = pull_request.parse(self._api.get(f"{self._api.repository}/pulls/{number}"))
        except errors.K8sEEError as error:
            return pull_request.Unknown(error.message)
        except ValueError as error:
            return pull_request.Unknown(f"GitHub's answer is no pull request: {error}")
        if found.number != number:
            return pull_request.Unknown(f"GitHub answered about pull request {found.number}")
        return found

    def upsert_comment(self, number: int, marker: str, body: str, comment_id: int | None = None) -> int:
        """Writes or rewrites the one comment that starts with `marker`; its id."""
        return comments.upsert(self._api, number, marker=marker, body=body, comment_id=comment_id)

    def comments(self, number: int, marker: str) -> tuple[str, ...]:
        """Our own on this pull request that start with `marker`, as they are now."""
        return tuple(str(one["body"]) for one in comments.ours(self._api, number, marker=marker))

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

    def deactivate(self, number: int, *, namespace: str = "", keep: int = 0) -> tuple[int, ...]:
        """Sets our Deployments of this pull request inactive, but for `keep`; ids of those that were not yet."""
        return deployments.deactivate(self._api, number, namespace=namespace, keep=keep)
