"""`make api-keys DO="…"`: `python -m include.serving keys …` on the embedded stack."""

from __future__ import annotations

import sys

from include.local.errors import LocalStackError
from include.local.ingestion import ingestion
from include.local.places import Places


def api_keys(arguments: list[str], *, places: Places) -> int:
    """Run one command on the shop used last, and return its exit code. Postgres is started when it is down.

    :raises LocalStackError: Postgres does not start.
    """
    return ingestion(["keys", *(arguments or ["--help"])], places=places, module="include.serving")


if __name__ == "__main__":
    try:
        sys.exit(api_keys(sys.argv[1:], places=Places()))
    except LocalStackError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
