"""Work on what has been brought in: `python -m include.ingestion <command>`, `--help` after a command explains it.

The warehouse is that of AIRFLOW_CONN_WAREHOUSE, landing that of REGULARS_LANDING (or REGULARS_STORAGE). Exit code 0:
done. 1: it could not be done, or not all of it; the message says what and why. 2: a setting or argument is missing or
wrong; nothing was done.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping

from include.entities.window import EmptyWindow
from include.ingestion.commands import COMMANDS
from include.ingestion.errors import (
    LandingDamaged,
    LandingNotWritable,
    LandingUnreachable,
    NothingLanded,
    NotValidated,
    QualityFailed,
    RequiredFieldVanished,
    TooManyRejected,
)
from include.ingestion.settings import BadSetting
from include.sources.errors import SourceError
from include.warehouse.connection import WarehouseUnreachable

NOT_DONE = (
    LandingDamaged, LandingNotWritable, LandingUnreachable, NotValidated, NothingLanded, QualityFailed,
    RequiredFieldVanished, SourceError, TooManyRejected, WarehouseUnreachable,
)  # fmt: skip


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command and return its exit code; every foreseen failure is one message on stderr."""
    chosen = _parser().parse_args(arguments)
    try:
        return COMMANDS[chosen.command].run(chosen, environment)
    except (BadSetting, EmptyWindow) as error:
        print(f"ingestion: {error}", file=sys.stderr)
        return 2
    except NOT_DONE as error:
        print(f"ingestion: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m include.ingestion", description=__doc__, formatter_class=plain)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").splitlines()[0]
        command.add_arguments(
            commands.add_parser(name, help=summary, description=command.__doc__, formatter_class=plain)
        )
    return parser


if __name__ == "__main__":
    logging.disable(logging.INFO)  # receipts are printed; libraries are to be silent
    sys.exit(main(sys.argv[1:], os.environ))
