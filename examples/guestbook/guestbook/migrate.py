"""Bring the database's schema up to date: each file of `migrations/` once, in order; again changes nothing."""

import os
import pathlib
import sys

from guestbook import store

MIGRATIONS = pathlib.Path(__file__).parents[1] / "migrations"
LOCK = 4_113_007  # any number, as long as every version of the app uses the same


def migrate(connection: store.Connection) -> list[str]:
    """The names of the files that were new: all are applied or none. Two runs at once wait for each other."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute("CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY)")
        known = {row["name"] for row in connection.execute("SELECT name FROM schema_migrations")}
        new = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.name not in known]
        for path in new:
            connection.execute(path.read_bytes())
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", [path.name])
    return [path.name for path in new]


def main() -> int:
    with store.connect(os.environ["DATABASE_URL"]) as connection:
        names = migrate(connection)
    print("applied: " + ", ".join(names) if names else "nothing to do", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
