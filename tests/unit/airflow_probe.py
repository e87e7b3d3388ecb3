"""Asks Airflow's own code about the deployment's files; prints the answers as one JSON document.

Runs in a process of its own, because Airflow reads its settings once, when it is imported. Standard input: a JSON
object with `commands` (lists of words after `airflow`), `settings` (`AIRFLOW__…` names) and the port of the
scheduler's health URL. The connections come from the environment.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
from dataclasses import asdict
from http.server import HTTPServer
from urllib.error import HTTPError
from urllib.request import urlopen


def main() -> None:
    asked = json.load(sys.stdin)
    # Airflow warns on standard output while it is imported.
    with contextlib.redirect_stdout(sys.stderr):
        answers = {
            "commands": {" ".join(words): _command(words) for words in asked["commands"]},
            "unknown_settings": [name for name in asked["settings"] if not _is_option(name)],
            "health": _health(),
            "sources": _sources(),
            "warehouse": _warehouse(),
        }
    print(json.dumps(answers, default=str))


def _command(words: list[str]) -> str | None:
    from airflow.cli.cli_parser import get_parser

    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            get_parser().parse_args(words)
    except SystemExit:
        return errors.getvalue()
    return None


def _is_option(name: str) -> bool:
    from airflow.configuration import conf

    section, _, option = name.removeprefix("AIRFLOW__").lower().partition("__")
    return option in conf.configuration_description.get(section, {}).get("options", {})


def _health() -> dict[str, object]:
    from airflow.api_fastapi.core_api.datamodels.monitor import HealthInfoResponse
    from airflow.api_fastapi.core_api.routes.public import public_router
    from airflow.configuration import conf
    from airflow.utils.scheduler_health import HealthServer

    server = HTTPServer(("127.0.0.1", 0), HealthServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers = {}
    for path in ("/health", "/nothing"):
        try:
            answers[path] = urlopen(f"http://127.0.0.1:{server.server_port}{path}").status
        except HTTPError as error:
            answers[path] = error.code
    return {
        "api_paths": [getattr(route, "path", "") for route in public_router.routes],
        "parts": list(HealthInfoResponse.model_fields),
        "scheduler_port": conf.getint("scheduler", "scheduler_health_check_server_port"),
        "scheduler_answers": answers,
    }


def _sources() -> dict[str, dict[str, object]]:
    from orchestration.connections import source_settings

    from include.sources.factory import SOURCES, source_for

    for entity in SOURCES:
        source_for(entity, settings_of=source_settings)
    return {name: asdict(source_settings(name)) for name in sorted({name for name, _ in SOURCES.values()})}


def _warehouse() -> str:
    from orchestration.connections import warehouse_dsn

    return warehouse_dsn()


if __name__ == "__main__":
    main()
