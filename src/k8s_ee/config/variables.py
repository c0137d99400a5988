"""Environment variables every app gets without asking. A repository can't set them itself."""

from __future__ import annotations

from collections.abc import Iterable

APP = ("PORT", "PR_NUMBER", "COMMIT_SHA", "BRANCH_NAME", "APP_VERSION", "PREVIEW_URL")
DATABASES = {
    "postgresql": ("DATABASE_URL", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"),
    "mariadb": ("MYSQL_URL", "MYSQL_HOST", "MYSQL_PORT", "MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD"),
    "redis": ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"),
    "mongodb": ("MONGODB_URL", "MONGODB_URI", "MONGODB_DATABASE"),
    "minio": (
        *("MINIO_ENDPOINT", "MINIO_PORT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_BUCKET"),
        *("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET"),
    ),
}


def provided(engines: Iterable[str]) -> dict[str, str]:
    """Each variable and where it comes from, in words."""
    found = dict.fromkeys(APP, "by every environment")
    for engine in engines:
        found |= dict.fromkeys(DATABASES[engine], f"by databases.{engine}")
    return found
