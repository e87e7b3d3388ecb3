"""The whole local stack with real Airflow parts, on a folder of small DAGs and in a home of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.local.errors import LocalStackError
from include.local.keys import load_keys
from include.local.parts import Part, known_parts, stop_parts
from include.local.places import Places
from include.local.postgres import PostgresServer
from include.local.progress import Progress
from include.local.runs import TaskResult, run_dags
from include.local.shop import choose_shop
from include.local.stack import Stack, start_sandbox, start_stack, stop_airflow_and_sandbox, wait_for_sandbox

WINDOW = {"start": "2024-01-01T00:00:00Z", "end": "2024-01-02T00:00:00Z"}
DAGS = """
import json
import os
from airflow.sdk import dag, task, get_current_context

@dag(schedule=None, params={"start": None, "end": None})
def tells():
    @task
    def surroundings():
        params = get_current_context()["params"]
        with open(os.environ["REGULARS_STORAGE"] + "/told.json", "w") as file:
            json.dump({"environment": dict(os.environ), "params": dict(params)}, file)
    surroundings()

@dag(schedule=None, params={"start": None, "end": None})
def breaks():
    @task(retries=0)
    def fall_over():
        raise ValueError("the beans are off")
    @task
    def never(): ...
    fall_over() >> never()

tells()
breaks()
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("stack")
    (folder / "dags").mkdir()
    (folder / "plugins").mkdir()
    (folder / "dags" / "small_dags.py").write_text(DAGS)
    made = Places(home=folder / "home", dags=folder / "dags", plugins=folder / "plugins")
    yield made
    stop_airflow_and_sandbox(made)
    PostgresServer(made.postgres).stop()


def start(places: Places) -> Stack:
    shop = choose_shop(data=None, customers=50)
    return start_stack(places=places, shop=shop, progress=Progress(stream=io.StringIO()), is_open=False)


def run(stack: Stack, places: Places, *dag_ids: str) -> tuple[list[TaskResult], str]:
    told = io.StringIO()
    results = run_dags(
        list(dag_ids), conf=WINDOW, api=stack.api, parts=stack.parts, places=places, progress=Progress(stream=told)
    )
    return results, told.getvalue()


@pytest.fixture(scope="module")
def stack(places: Places) -> Stack:
    return start(places)


def until(is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_run_is_given_its_range_and_tells_how_every_task_ended(stack: Stack, places: Places) -> None:
    results, told = run(stack, places, "tells")
    assert [(result.task_id, result.state) for result in results] == [("surroundings", "success")]
    assert "surroundings" in told
    params = json.loads((places.storage / stack.shop.database / "told.json").read_text())["params"]
    assert params == WINDOW


def test_a_task_sees_its_connections_and_nothing_of_airflows_metadata(stack: Stack, places: Places) -> None:
    run(stack, places, "tells")
    seen = json.loads((places.storage / stack.shop.database / "told.json").read_text())["environment"]
    assert {name for name in seen if name.startswith("AIRFLOW_CONN_")} == {
        "AIRFLOW_CONN_WAREHOUSE", "AIRFLOW_CONN_SHOP_API", "AIRFLOW_CONN_EVENT_EXPORT", "AIRFLOW_CONN_WEATHER_API",
        "AIRFLOW_CONN_STOCK_API",
    }  # fmt: skip
    keys = load_keys(places.keys)
    everything = json.dumps({name: value for name, value in seen.items() if not name.startswith("AIRFLOW_CONN_")})
    for secret in (keys.jwt_secret, keys.fernet_key, keys.admin_password, "postgresql"):
        assert secret not in everything


def test_a_failed_task_is_reported_with_its_error_and_what_hangs_on_it_does_not_run(
    stack: Stack, places: Places
) -> None:
    results, told = run(stack, places, "breaks")
    assert {result.task_id: result.state for result in results} == {"fall_over": "failed", "never": "upstream_failed"}
    assert "ValueError: the beans are off" in told
    failed = next(result for result in results if result.task_id == "fall_over")
    assert str(failed.log(places)) in told


def test_every_part_listens_on_this_machine_alone(stack: Stack) -> None:
    listening = [
        connection.laddr
        for part in stack.parts
        for process in part.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_files_with_secrets_are_for_their_owner_alone(stack: Stack, places: Places) -> None:
    for path in (places.airflow / "airflow.cfg", places.airflow / "passwords.json", places.keys):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.slow
def test_killing_parts_in_mid_air_ends_the_command_clearly_and_the_next_start_goes_on(
    stack: Stack, places: Places
) -> None:
    """The scheduler and Postgres die without a word; half of the stack still runs when the next command begins."""
    scheduler = next(part for part in stack.parts if part.name == "scheduler")
    workers = [process for process in scheduler.processes() if process.pid != scheduler.pid]
    assert workers
    os.kill(scheduler.pid, signal.SIGKILL)
    assert stack.server.pid is not None
    os.kill(stack.server.pid, signal.SIGKILL)
    until(lambda: not scheduler.is_running)
    with pytest.raises(LocalStackError):
        run(stack, places, "tells")
    again = start(places)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert not any(part.is_running for part in stack.parts)
    results, _ = run(again, places, "tells")
    assert [result.state for result in results] == ["success"]
    stopped = stop_airflow_and_sandbox(places)
    assert sorted(stopped) == ["api-server", "dag-processor", "sandbox", "scheduler"]
    assert not any(part.processes() for part in again.parts)
    assert known_parts(places.parts) == []


def test_another_sandbox_that_answers_on_the_port_does_not_count(tmp_path: Path) -> None:
    mine, theirs = Places(home=tmp_path / "mine"), Places(home=tmp_path / "theirs")
    shop = choose_shop(data=None, customers=5)
    started: list[tuple[Places, Part]] = []
    try:
        part, instance, port = start_sandbox(places=mine, shop=shop, keys=load_keys(mine.keys))
        started.append((mine, part))
        stranger, strange_instance, strange_port = start_sandbox(places=theirs, shop=shop, keys=load_keys(theirs.keys))
        started.append((theirs, stranger))
        assert wait_for_sandbox(part, port=port, instance=instance)["shop"] == "simulator"
        assert wait_for_sandbox(stranger, port=strange_port, instance=strange_instance)["shop"] == "simulator"
        with pytest.raises(LocalStackError, match="did not serve"):
            wait_for_sandbox(part, port=strange_port, instance=instance, deadline_seconds=1)
    finally:
        for places, part in started:
            stop_parts([part], folder=places.parts)
