"""Look after the models in use: `python -m include.models <command>`, `--help` after a command explains it.

The warehouse is that of AIRFLOW_CONN_WAREHOUSE, the registry that of MLFLOW_TRACKING_URI, or of REGULARS_STORAGE. Exit
code 0: done. 1: it could not be done; the message says what and why. 2: an argument or a setting is missing or wrong;
nothing was done.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from psycopg import Connection

from include.models.champion import roll_back
from include.models.index import changes_of, statuses_of
from include.models.registry.errors import ArtefactDamaged, BadRegistrySetting, ModelMissing, RegistryUnreachable
from include.models.registry.model_registry import CHAMPION, PREVIOUS, ModelRegistry
from include.models.registry.settings import registry_from_environment
from include.warehouse.__main__ import BadSetting, dsn
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Run one command and return its exit code; every foreseen failure is one message on stderr."""
    chosen = _parser().parse_args(arguments)
    try:
        with connect_warehouse(dsn(environment.get("AIRFLOW_CONN_WAREHOUSE", ""))) as conn:
            for line in COMMANDS[chosen.command](conn, registry_from_environment(environment), chosen):
                print(line)
    except (BadSetting, BadRegistrySetting) as error:
        print(f"models: {error}", file=sys.stderr)
        return 2
    except (ModelMissing, ArtefactDamaged, RegistryUnreachable, WarehouseUnreachable) as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    return 0


def list_versions(conn: Connection, registry: ModelRegistry, chosen: argparse.Namespace) -> list[str]:
    """Say which versions of a model there are, where each stands and why."""
    versions = registry.versions(chosen.name)
    if not versions:
        raise ModelMissing(f"The registry holds no model {chosen.name!r}.")
    held = {kept.version: alias for alias in (PREVIOUS, CHAMPION) if (kept := registry.holder_of(chosen.name, alias))}
    statuses = statuses_of(conn, chosen.name)
    told = []
    for kept in versions:
        status, reason = statuses.get(kept.model_id, ("unknown", "not in this warehouse"))
        alias = f" alias={held[kept.version]}" if kept.version in held else ""
        told.append(f"{kept.name}@{kept.version} {kept.model_id}{alias} status={status}: {reason}")
    return told


def show(conn: Connection, registry: ModelRegistry, chosen: argparse.Namespace) -> list[str]:
    """Print the card of a version, of the champion by default, and each change of the champion."""
    version = chosen.version
    if version is None:
        champion = registry.holder_of(chosen.name)
        if champion is None:
            raise ModelMissing(f"No version of {chosen.name!r} is champion. Name one with --version.")
        version = champion.version
    changes = [
        f"- {set_at:%Y-%m-%d %H:%M} UTC: {model_id}, after {previous or 'none'}: {reason}"
        for set_at, model_id, previous, reason in changes_of(conn, f"{chosen.name}_{CHAMPION}")
    ]
    return [registry.card(chosen.name, version), "## Champions so far\n", *(changes or ["None."])]


def rollback(conn: Connection, registry: ModelRegistry, chosen: argparse.Namespace) -> list[str]:
    """Make the former champion the champion again; what was champion is never promoted again by itself."""
    champion = roll_back(conn, registry, chosen.name, reason=chosen.reason, now=datetime.now(UTC))
    return [f"{champion.name}@{champion.version} {champion.model_id} is the champion again"]


COMMANDS = {"list": list_versions, "show": show, "rollback": rollback}


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m include.models", description=__doc__, formatter_class=plain)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        help_line = (command.__doc__ or "").splitlines()[0]
        added = commands.add_parser(name, help=help_line, description=command.__doc__, formatter_class=plain)
        added.add_argument("name", help="of the model, for example churn")
        if name == "show":
            added.add_argument("--version", help="its number in the registry; the champion's if not given")
        if name == "rollback":
            added.add_argument("--reason", required=True, help="in words, for the history")
    return parser


if __name__ == "__main__":
    logging.disable(logging.INFO)  # what was done is printed
    sys.exit(main(sys.argv[1:], os.environ))
