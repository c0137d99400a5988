"""Environment variables every app gets without asking. A repository can't set them itself."""

from __future__ import annotations

from collections.abc import Iterable

APP = ("PORT", "PR_NUMBER", "COMMIT_SHA", "BRANCH_NAME", "APP_VERSION", "PREVIEW_URL")
DATABASES = {
    "postgresql": ("DATABASE_URL", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"),
}


def provided(engines: Iterable[str]) -> dict[str, str]:
    """Each variable and where it comes from, in words."""
    found = dict.fromkeys(APP, "by every environment")
    for engine in engines:
        found |= dict.fromkeys(DATABASES[engine], f"by databases.{engine}")
    return found
