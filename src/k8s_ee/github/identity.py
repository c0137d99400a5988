"""As whom GitHub is asked: one token for everything, or a GitHub App with one token for each owner of repositories."""

from __future__ import annotations

import datetime
import threading
import time
from typing import TYPE_CHECKING

from k8s_ee import errors, settings
from k8s_ee.github import api as rest
from k8s_ee.github import connection, failures

if TYPE_CHECKING:
    import github

# A token lives an hour: https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
_RENEW_BEFORE = datetime.timedelta(minutes=2)
_STATEMENT_SECONDS = 300


def of(given: settings.Settings, patience: connection.Patience) -> Token | App:
    """The App if there is a key for one."""
    return App(given.app, address=given.api_url, patience=patience) if given.app else Token(given)


class Token:
    """GITHUB_TOKEN, which sees the repository of its workflow; or a person's own, which sees what that person sees."""

    def __init__(self, given: settings.Settings) -> None:
        self.remembered: dict[str, int] = {}
        self._given = given
        self._auth: github.Auth.Auth | None = None

    def covers(self, repository_id: int) -> bool:
        return not self._given.is_actions or repository_id == self._given.repository_id

    def key(self, _owner: str) -> str:
        """Owners of the same key are asked with the same token."""
        return ""

    def auth(self, _owner: str) -> github.Auth.Auth:
        """Raises Refused."""
        import github

        if not self._given.token:
            raise errors.Refused("there is no token for GitHub", hint="pass github-token: ${{ github.token }}")
        self._auth = self._auth or github.Auth.Token(self._given.token)
        return self._auth


class App:
    """An owner's token is made when it is first needed, and kept until it is old.

    Its installations are listed once, or not at all if all that are needed were `remembered` from another time.
    """

    def __init__(self, app: settings.App, *, address: str, patience: connection.Patience) -> None:
        self._app = app
        self._api = rest.Api(connection.Connection(address, self._own, patience), repository="")
        self._lock = threading.Lock()
        self._signed: tuple[github.Auth.Auth, float] | None = None
        self.remembered: dict[str, int] = {}
        """Installations by key. One that is wrong gives no token, or one that does not see what it is needed for."""
        self._installations: dict[str, rest.Object] | None = None
        self._tokens: dict[str, tuple[github.Auth.Auth, datetime.datetime]] = {}

    def covers(self, _repository_id: int) -> bool:
        """Only the answer about a repository tells."""
        return True

    def key(self, owner: str) -> str:
        return owner.casefold()

    def auth(self, owner: str) -> github.Auth.Auth:
        """Raises InputError for a key that is none, Refused for an owner without installation, GitHubUnavailable."""
        with self._lock:
            auth, until = self._tokens.get(self.key(owner), (None, datetime.datetime.min.replace(tzinfo=datetime.UTC)))
            if auth is None or until - _RENEW_BEFORE < datetime.datetime.now(datetime.UTC):
                auth, until = self._made(owner)
                self._tokens[self.key(owner)] = (auth, until)
            return auth

    def _made(self, owner: str) -> tuple[github.Auth.Auth, datetime.datetime]:
        known = self.remembered.pop(self.key(owner), None)
        if known is None or self._installations is not None:
            known = self._installation(owner)
        try:
            made = self._new(known)
        except (errors.Refused, failures.NotFound):
            if self._installations is not None:
                raise
            known = self._installation(owner)  # It is another by now, or the list says what became of it.
            made = self._new(known)
        self.remembered[self.key(owner)] = known
        return made

    def _installation(self, owner: str) -> int:
        if self._installations is None:
            self._installations = {_account(one): one for one in self._api.get_all("/app/installations")}
        found = self._installations.get(self.key(owner))
        if found is None or found.get("suspended_at"):
            why = "is suspended for" if found else "is not installed for"
            raise failures.SignedOut(
                f"the GitHub App {why} {owner}", hint="its owner installs it, for the repositories with environments"
            )
        return int(found["id"])

    def _new(self, installation: int) -> tuple[github.Auth.Auth, datetime.datetime]:
        import github

        # A second token does no harm, so there is nothing to look for before the next try.
        path = f"/app/installations/{installation}/access_tokens"
        made = self._api.create(path, {}, find=lambda: None)
        try:
            until = datetime.datetime.fromisoformat(str(made.get("expires_at")))
            auth = github.Auth.Token(str(made.get("token") or ""))
        except (ValueError, AssertionError):
            raise failures.unreadable("an access token was expected") from None
        return auth, until if until.tzinfo else until.replace(tzinfo=datetime.UTC)

    def _own(self) -> github.Auth.Auth:
        """As the App itself: a statement under its key, used for as long as it is good, as signing takes a while."""
        import github

        signed, until = self._signed or (None, 0.0)
        if signed is None or time.monotonic() > until:
            until = time.monotonic() + _STATEMENT_SECONDS / 2
            try:
                statement = github.Auth.AppAuth(self._app.id, self._app.key).create_jwt(_STATEMENT_SECONDS)
            except Exception:  # the libraries below raise many kinds, whose words may quote the key
                hint = "it takes the .pem that GitHub gave for the App, as a value or as the path of a file"
                raise errors.InputError("the GitHub App's private key can't be used", hint=hint) from None
            signed = github.Auth.AppAuthToken(statement)
            self._signed = (signed, until)
        return signed


def _account(installation: rest.Object) -> str:
    account = installation.get("account")
    return str(account.get("login") or "").casefold() if isinstance(account, dict) else ""
