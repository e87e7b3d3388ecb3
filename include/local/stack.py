"""The running stack: Postgres, the sandbox, and the parts of Airflow, started side by side and stopped for certain."""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from include.local.airflow_api import AirflowApi, instant
from include.local.airflow_settings import ADMIN, airflow_environment, clean_environment, write_airflow_files
from include.local.connections import connections
from include.local.databases import (
    AIRFLOW_DATABASE,
    ensure_database,
    ensure_warehouse,
    metadata_version,
    quiet_airflow,
    set_metadata_version,
)
from include.local.errors import LocalStackError, log_tail
from include.local.keys import Keys, load_keys
from include.local.parts import Part, check_alive, exit_code, known_parts, start_part, stop_parts
from include.local.places import CHECKOUT, Places
from include.local.ports import LOOPBACK, free_port
from include.local.postgres import PostgresServer
from include.local.progress import Progress
from include.local.serving import first_key, start_api, wait_for_api
from include.local.shop import Shop, remember_shop

START_SECONDS = 180.0
WAREHOUSE_CONNECTION = "AIRFLOW_CONN_WAREHOUSE"
POOLS = CHECKOUT / "deploy" / "pools.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs, and how to reach it.

    :param health: the sandbox's own words: kind of shop, `start`, `end`, counts.
    :param warehouse_dsn: connection string of this shop's warehouse.
    :param metrics_url: where `/metrics` is; None where nobody stays to watch.
    :param api_url: where the API is; None where nobody stays to ask it.
    :param api_key: a key for it, at the first start of this warehouse alone.
    """

    server: PostgresServer
    shop: Shop
    health: dict[str, Any]
    warehouse_dsn: str
    api: AirflowApi
    keys: Keys
    parts: tuple[Part, ...]
    metrics_url: str | None = None
    api_url: str | None = None
    api_key: str | None = None


def start_stack(*, places: Places, shop: Shop, progress: Progress, is_open: bool) -> Stack:
    """Start everything; what independent parts need to begin with is done side by side.

    :param is_open: for `make up`: with the triggerer, `/metrics` and the API, and with schedules and asset triggers at
        work.
    :raises LocalStackError: a part does not come up; what had been started is stopped again, but for Postgres.
    """
    try:
        return _start(places=places, shop=shop, progress=progress, is_open=is_open)
    except BaseException:
        stop_airflow_and_sandbox(places)
        raise


def _start(*, places: Places, shop: Shop, progress: Progress, is_open: bool) -> Stack:
    keys = load_keys(places.keys)
    clear_leftovers(places, progress)
    sandbox, instance, sandbox_port = start_sandbox(places=places, shop=shop, keys=keys)
    server = PostgresServer(places.postgres)
    server.start()
    progress.say("Postgres 18 runs")
    ensure_database(server, AIRFLOW_DATABASE)
    api_port, scheduler_port = free_port(), free_port()
    write_airflow_files(
        places=places, keys=keys, metadata_dsn=server.dsn(AIRFLOW_DATABASE), api_port=api_port,
        scheduler_port=scheduler_port, follows_clock=is_open,
    )  # fmt: skip
    migrate_metadata(places=places, server=server, progress=progress)
    environment = airflow_environment(
        places=places,
        connections=connections(warehouse_dsn=server.dsn(shop.database), sandbox_port=sandbox_port, keys=keys),
        storage=places.storage / shop.database,
    )
    api = AirflowApi(url=f"http://{LOOPBACK}:{api_port}", user=ADMIN, password=keys.admin_password)
    began = datetime.now(tz=UTC)
    parts = start_airflow(places=places, environment=environment, is_open=is_open)
    health = wait_for_sandbox(sandbox, port=sandbox_port, instance=instance)
    progress.say(f"the sandbox serves a shop ({health['shop']}) from {health['start'][:10]} to {health['end'][:10]}")
    applied = ensure_warehouse(server, shop.database)
    (places.storage / shop.database).mkdir(parents=True, exist_ok=True)
    metrics, metrics_url = (
        start_metrics(places=places, warehouse=environment[WAREHOUSE_CONNECTION]) if is_open else (None, None)
    )
    serving, api_url = start_api(places=places, environment=environment, now=health["end"]) if is_open else (None, None)
    progress.say(f"warehouse `{shop.database}` is ready ({len(applied)} migrations applied)")
    wait_for_airflow(parts, api=api, places=places, since=began, progress=progress)
    for name, pool in json.loads(POOLS.read_text()).items():
        api.make_pool(name, slots=pool["slots"], description=pool["description"])
    remember_shop(places.shop, shop)
    if serving and api_url:
        wait_for_api(serving, url=api_url)
    return Stack(
        server=server, shop=shop, health=health, warehouse_dsn=server.dsn(shop.database), api=api, keys=keys,
        parts=(sandbox, *parts, *filter(None, (metrics, serving))), metrics_url=metrics_url, api_url=api_url,
        api_key=first_key(server.dsn(shop.database)) if is_open else None,
    )  # fmt: skip


def clear_leftovers(places: Places, progress: Progress) -> None:
    """Stop what an earlier command left running, killed or open."""
    parts = known_parts(places.parts)
    if not parts:
        return
    stopped = stop_parts(parts, folder=places.parts)
    if stopped:
        progress.say(f"stopped what still ran here: {', '.join(stopped)}")


def start_sandbox(*, places: Places, shop: Shop, keys: Keys) -> tuple[Part, str, int]:
    """Start the sandbox; it builds its shop before it answers. Returns the part, its identity and its port."""
    instance, port = secrets.token_hex(8), free_port()
    environment = {
        **clean_environment(),
        "PYTHONUNBUFFERED": "1",
        "SANDBOX_CONSUMER_KEY": keys.consumer_key,
        "SANDBOX_CONSUMER_SECRET": keys.consumer_secret,
        "SANDBOX_EVENT_TOKEN": keys.event_token,
        "SANDBOX_STOCK_KEY": keys.stock_key,
    }
    command = [sys.executable, "-m", "include.local.sandbox", "--port", str(port), "--instance", instance]
    part = start_part(
        name="sandbox", command=[*command, *shop.arguments], environment=environment, folder=places.parts,
        logs=places.logs, cwd=CHECKOUT,
    )  # fmt: skip
    return part, instance, port


def start_metrics(*, places: Places, warehouse: str) -> tuple[Part, str]:
    """Start `/metrics` of a warehouse, given as its connection variable holds it; returns the part and its URL."""
    port = free_port()
    part = start_part(
        name="metrics", command=[sys.executable, "-m", "include.ingestion.metrics", "--port", str(port)],
        environment={**clean_environment(), WAREHOUSE_CONNECTION: warehouse}, folder=places.parts, logs=places.logs,
        cwd=CHECKOUT,
    )  # fmt: skip
    return part, f"http://{LOOPBACK}:{port}/metrics"


def wait_for_sandbox(
    part: Part, *, port: int, instance: str, deadline_seconds: float = START_SECONDS
) -> dict[str, Any]:
    """Wait until the sandbox answers with its identity, and return its health.

    :raises LocalStackError: it refused its data file (its own message, nothing else), ended, or is too slow.
    """

    def ask() -> dict[str, Any] | None:
        try:
            answer = requests.get(f"http://{LOOPBACK}:{port}/_sandbox/health", timeout=10, proxies={"http": ""})
            health = answer.json()
        except (requests.RequestException, ValueError):
            return None
        return health if health.get("instance") == instance else None

    deadline = time.monotonic() + deadline_seconds
    while (health := ask()) is None:
        code = exit_code(part)
        if code == 2:
            raise LocalStackError(Path(part.log).read_text().strip().removeprefix("sandbox: "))
        if code is not None:
            raise LocalStackError(
                f"The sandbox ended with code {code}. Its log {part.log}:\n{log_tail(Path(part.log))}"
            )
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"The sandbox did not serve within {deadline_seconds:.0f} s. Its log {part.log}:\n"
                f"{log_tail(Path(part.log))}\nA smaller shop starts faster: CUSTOMERS=500."
            )
        time.sleep(0.1)
    return health


def migrate_metadata(*, places: Places, server: PostgresServer, progress: Progress) -> None:
    """Bring Airflow's metadata to the installed version; nothing to do when it is there already."""
    version = importlib.metadata.version("apache-airflow-core")
    if metadata_version(server) != version:
        progress.say("preparing Airflow's metadata (once, about 10 s)")
        log = places.logs / "airflow-db-migrate.log"
        places.logs.mkdir(parents=True, exist_ok=True)
        environment = airflow_environment(places=places, connections={}, storage=places.storage)
        with log.open("wb") as output:
            try:
                code = subprocess.run(
                    [sys.executable, "-m", "airflow", "db", "migrate"], stdin=subprocess.DEVNULL, stdout=output,
                    stderr=output, env=environment, cwd=CHECKOUT, timeout=START_SECONDS,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = -1
        if code != 0:
            raise LocalStackError(
                f"`airflow db migrate` failed. The end of its log {log}:\n{log_tail(log)}\nRun this again; if it "
                "happens twice, run `make doctor`."
            )
        set_metadata_version(server, version)
    quiet_airflow(server)


def start_airflow(*, places: Places, environment: dict[str, str], is_open: bool) -> list[Part]:
    """Start Airflow's parts; `wait_for_airflow` says when they are at work."""

    def start(name: str, *arguments: str, module: str = "airflow") -> Part:
        return start_part(
            name=name, command=[sys.executable, "-m", module, *arguments], environment=environment,
            folder=places.parts, logs=places.logs, cwd=places.airflow,
        )  # fmt: skip

    parts = [start("api-server", "api-server"), start("dag-processor", "dag-processor")]
    # Forking a process that has loaded so much is safe on Linux only.
    module = "include.local.warm_airflow" if sys.platform == "linux" else "airflow"
    parts.append(start("scheduler", "scheduler", "--skip-serve-logs", module=module))
    if is_open:
        parts.append(start("triggerer", "triggerer", "--skip-serve-logs"))
    return parts


def wait_for_airflow(
    parts: list[Part], *, api: AirflowApi, places: Places, since: datetime, progress: Progress
) -> None:
    """Wait until all of Airflow's parts are at work and every DAG file has been read anew.

    :raises LocalStackError: a part ended or is too slow, or a DAG file cannot be imported.
    """
    _wait(api.log_in, parts=parts, what="Airflow's API")
    progress.say("Airflow's API answers")
    _wait(lambda: _all_read(api, places.dags, since=since), parts=parts, what="Airflow's DAG processor")
    beats = [part.name.replace("-", "_") for part in parts if part.name != "api-server"]
    _wait(lambda: _all_beat(api.health(), beats, since=since), parts=parts, what="Airflow's scheduler")
    errors = api.import_errors()
    if errors:
        texts = "\n".join(f"    {error['filename']}: {error['stack_trace'].strip()[-500:]}" for error in errors)
        raise LocalStackError(f"Airflow cannot import {len(errors)} DAG file(s):\n{texts}")
    progress.say(f"Airflow is at work; DAGs: {', '.join(sorted(api.dags()))}")


def stop_airflow_and_sandbox(places: Places) -> list[str]:
    """Stop every part but Postgres; returns the names of those that ran."""
    return stop_parts(known_parts(places.parts), folder=places.parts)


def _wait(is_so: Callable[[], bool], *, parts: list[Part], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        for part in parts:
            check_alive(part)
        if time.monotonic() > deadline:
            logs = "\n".join(f"{part.log}:\n{log_tail(Path(part.log), lines=5)}" for part in parts)
            raise LocalStackError(f"{what} was not ready after {START_SECONDS:.0f} s. The ends of the logs:\n{logs}")
        time.sleep(0.25)


def _all_beat(health: dict[str, Any], names: list[str], *, since: datetime) -> bool:
    beats = [instant(health[name][f"latest_{name}_heartbeat"]) for name in names]
    return all(beat is not None and beat > since for beat in beats)


def _all_read(api: AirflowApi, folder: Path, *, since: datetime) -> bool:
    """Whether every file that may hold a DAG was read since; a DAG of yesterday's code must not count."""
    files = {path.name for path in folder.glob("*.py") if "dag" in path.read_text()}
    fresh = {
        Path(dag["relative_fileloc"] or "").name
        for dag in api.dags().values()
        if (read := instant(dag["last_parsed_time"])) is not None and read > since
    }
    broken = {Path(error["filename"]).name for error in api.import_errors()}
    return files <= fresh | broken
