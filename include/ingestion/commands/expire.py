"""Remove from landing what is older than it is to be kept.

Landing holds every answer of every source, personal data included. This removes the batches that began more than
REGULARS_LANDING_DAYS days ago (30 unless set; --days counts instead) and what killed processes left behind. The DAG
landing_retention does the same every day. What has been removed cannot be replayed any more.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime

from include.ingestion.expiry import expire
from include.ingestion.settings import BadSetting, days_of, landing_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--days", type=int, help="keep batches of the last so many days, 1 at least")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Expire, and print what was removed.

    :raises BadSetting: an argument or a setting is missing or wrong.
    """
    days = days_of(environment) if arguments.days is None else arguments.days
    try:
        print(expire(landing_of(environment), older_than_days=days, now=datetime.now(UTC)))
    except ValueError as error:
        raise BadSetting(str(error)) from None
    return 0
