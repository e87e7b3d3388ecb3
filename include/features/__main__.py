"""Work on the feature store: `python -m include.features <command>`, `--help` after a command explains it.

The warehouse is that of AIRFLOW_CONN_WAREHOUSE. Exit code 0: done. 1: it could not be done; the message says what and
why. 2: an argument or a setting is missing or wrong; nothing was done.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from psycopg import Connection

from include.entities.window import EmptyWindow, NaiveTime, Window
from include.features.definitions.check import DefinitionRefused
from include.features.definitions.versions import (
    UnknownVersion,
    ViewVersion,
    apply_view,
    retire_version,
    stored_version,
)
from include.features.feast_export import export_feast
from include.features.registry import REGISTRY, UnknownFeature
from include.features.report import report_views
from include.features.upkeep.compact import HistoryInUse, compact_history
from include.features.upkeep.retention import BadPolicy, forget_touches, thin_history
from include.features.upkeep.settings import retention_of
from include.features.upkeep.statistics import measure
from include.warehouse.__main__ import BadSetting, dsn
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command and return its exit code; every foreseen failure is one message on stderr."""
    chosen = _parser().parse_args(arguments)
    try:
        with connect_warehouse(dsn(environment.get("AIRFLOW_CONN_WAREHOUSE", ""))) as conn:
            for line in COMMANDS[chosen.command](conn, chosen, environment):
                print(line)
    except (BadSetting, BadPolicy, EmptyWindow, NaiveTime, UnknownFeature, UnknownVersion, ValueError) as error:
        print(f"features: {error}", file=sys.stderr)
        return 1 if isinstance(error, DefinitionRefused) else 2
    except (HistoryInUse, WarehouseUnreachable) as error:
        print(f"features: {error}", file=sys.stderr)
        return 1
    return 0


def apply(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Give every view as it is defined now its version and tables, and see that it fits the database."""
    return [str(apply_view(conn, view, now=datetime.now(UTC))) for view in REGISTRY.views.values()]


def status(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Say for each view what exists over a window, and what a build over it would do. Nothing is written."""
    told = []
    for report in report_views(conn, REGISTRY.views.values(), Window(_instant(chosen.start), _instant(chosen.end))):
        if report.coverage is None or report.preview is None:
            told.append(f"{report.view.name} never built as it is defined now")
            continue
        newest = report.coverage.newest
        told.append(
            f"{report.coverage.version} built={len(report.coverage.built)} missing={len(report.coverage.missing)} "
            f"thinned={len(report.coverage.thinned)} stale={len(report.preview.stale)} "
            f"newest={newest.date() if newest else 'none'} is_published={report.is_published} "
            f"would_build={len(report.preview.missing)} would_rebuild={report.preview.stale_snapshots} "
            f"would_repair_pairs={report.preview.stale_pairs}"
        )
        told += [f"{report.coverage.version} not as expected: {sentence}" for sentence in report.failed]
    return told


def upkeep(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Measure snapshots without statistics, thin history by the policy, forget what all views have taken in.

    REGULARS_FEATURE_DAILY_DAYS, REGULARS_FEATURE_WEEKLY_DAYS and REGULARS_FEATURE_MONTHLY_DAYS are the policy.
    """
    policy, told = retention_of(environment), []
    for view in REGISTRY.views.values():
        version = apply_view(conn, view, now=datetime.now(UTC))
        measured = measure(conn, version, now=datetime.now(UTC))
        thinned = thin_history(conn, version, policy, now=datetime.now(UTC))
        told.append(f"{version} measured_snapshots={measured} removed_rows={thinned}")
    for entity in {view.entity.name: view.entity for view in REGISTRY.views.values()}.values():
        told.append(f"{entity} forgotten_touches={forget_touches(conn, entity)}")
    return told


def compact(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Put the history of a version into the order of its reads; nobody can read it meanwhile."""
    version = _version(conn, chosen.version)
    return [f"{version} bytes={compact_history(conn, version)}"]


def retire(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Stop building and publishing a version that the code defines no more and no model reads; what was built stays."""
    version = _version(conn, chosen.version)
    retire_version(conn, version, now=datetime.now(UTC))
    return [f"{version} retired"]


def feast_export(conn: Connection, chosen: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Write the views as a Feast repository that reads the same tables."""
    done = export_feast(conn, Path(chosen.folder))
    left_out = [f"{name} left out: {reason}" for name, reason in done.left_out.items()]
    return [f"{chosen.folder}: {', '.join(done.views)}", *left_out]


COMMANDS = {
    "apply": apply,
    "status": status,
    "upkeep": upkeep,
    "compact": compact,
    "retire": retire,
    "feast-export": feast_export,
}


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m include.features", description=__doc__, formatter_class=plain)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    added = {
        name: commands.add_parser(
            name, help=(command.__doc__ or "").splitlines()[0], description=command.__doc__, formatter_class=plain
        )
        for name, command in COMMANDS.items()
    }
    for name in ("start", "end"):
        added["status"].add_argument(f"--{name}", required=True, help="a date or an instant, UTC")
    for name in ("compact", "retire"):
        added[name].add_argument("version", help="view@version, for example customer_rfm@1")
    added["feast-export"].add_argument("folder", help="the folder of the repository; made if it is not there")
    return parser


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{text!r} is no date. Write one as 2024-01-31.") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def _version(conn: Connection, text: str) -> ViewVersion:
    name, _, number = text.partition("@")
    if not number.isdigit():
        raise BadSetting(f"{text!r} names no version. Write view@version, for example customer_rfm@1.")
    return stored_version(conn, name, int(number))


if __name__ == "__main__":
    logging.disable(logging.INFO)  # what was done is printed
    sys.exit(main(sys.argv[1:], os.environ))
