"""SIGKILL at random moments of extraction, validation and load; what is run again ends as if nothing had happened.

REGULARS_KILLS=n makes n moments per step and entity, REGULARS_SEED=n others than usual.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import PATHS, TABLES
from tests.integration.sandbox_process import SandboxProcess, sandbox
from tests.own_database import own_database
from tests.soak.attempts import Attempt, Ended, Kill, Started

KILLS = int(os.environ.get("REGULARS_KILLS", "5"))
SEED = int(os.environ.get("REGULARS_SEED", "1"))
STEPS = ("extract", "validate", "load")
EARLIER = Window(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
WINDOW = Window(datetime(2025, 3, 20, tzinfo=UTC), datetime(2025, 4, 20, tzinfo=UTC))
BEFORE = datetime(2025, 5, 1, tzinfo=UTC)
NOW, LATER = BEFORE + timedelta(days=1), BEFORE + timedelta(days=2)
LANDS_AT_LEAST = 0.8
WRITTEN = ("ingested_at", "first_seen_at")
KEPT = (
    "ops.receipts", "ops.quality_results", "ops.source_fields", "ops.schema_changes", "quarantine.rejected_rows",
)  # fmt: skip


@dataclass
class Stage:
    """A warehouse and a landing that can be put back to how they were before each step."""

    box: SandboxProcess
    conn: psycopg.Connection
    attempt: Attempt
    tables: tuple[str, ...]
    folder: Path
    batch: str = ""

    def keep(self, name: str) -> None:
        """Remember everything under a name."""
        for number, table in enumerate((*self.tables, *KEPT)):
            self.conn.execute(f"CREATE TABLE public.{name}_{number} AS TABLE {table}")
        self.conn.commit()
        shutil.copytree(self.attempt.landing, self.folder / name)

    def put_back(self, name: str) -> None:
        """Make everything as it was when it was kept under this name; the API answers alike, too."""
        self.conn.execute(f"TRUNCATE {', '.join((*self.tables, *KEPT))}")
        for number, table in enumerate((*self.tables, *KEPT)):
            self.conn.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE public.{name}_{number}")
        self.conn.commit()
        shutil.rmtree(self.attempt.landing)
        shutil.copytree(self.folder / name, self.attempt.landing)
        self.break_rows()

    def break_rows(self) -> None:
        """Two rows of the first page that is asked for do not fit."""
        self.box.clear_faults()
        path = PATHS[self.attempt.entity]
        self.box.add_fault(kind="malformed_rows", rows=2, damage="wrong_type", path=path, times=1, seed=1)

    def finish(self, step: str, *, batch: str, now: datetime) -> None:
        """Run a step again, and those that follow it, as a scheduler would after a task was killed."""
        for each in STEPS[STEPS.index(step) :]:
            batch = replace(self.attempt, step=each, batch=batch, now=now).run()

    def table_bytes(self) -> dict[str, list[str]]:
        """Every row of the entity's tables and of quarantine as text, without when and from which batch it came."""
        found = {}
        for table in self.tables:
            rows = self.conn.execute(f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table} AS t", (list(WRITTEN),))
            found[table] = sorted(text for (text,) in rows)
        rejected = self.conn.execute(
            "SELECT entity, rule_id, reason, payload, landing_position FROM quarantine.rejected_rows"
        )
        found["quarantine.rejected_rows"] = sorted(map(str, rejected))
        self.conn.rollback()
        return found

    def write_times(self) -> set[datetime]:
        """When the rows that were not there before were written."""
        times: set[datetime] = set()
        for table in self.tables:
            query = f"SELECT DISTINCT ingested_at FROM {table} WHERE ingested_at <> %s"
            times |= {at for (at,) in self.conn.execute(query, (BEFORE,))}
        self.conn.rollback()
        return times


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=80, seed=21) as running:
        running.set_clock("2025-05-01T00:00:00Z")
        yield running


@pytest.fixture(scope="module", params=["orders", "events"])
def stage(request, box, postgres_server, tmp_path_factory):
    """An entity that was loaded before, and a window of it at each of its steps, never disturbed."""
    entity = request.param
    folder = tmp_path_factory.mktemp("killed")
    with own_database(postgres_server, f"killed_{entity}") as dsn, connect_warehouse(dsn) as conn:
        attempt = Attempt(box, dsn, folder / "landing", entity, EARLIER, BEFORE)
        attempt.run()
        stage = Stage(box, conn, replace(attempt, window=WINDOW, now=NOW), TABLES[entity], folder)
        stage.break_rows()
        for step in STEPS:
            stage.keep(step)
            stage.batch = replace(stage.attempt, step=step, batch=stage.batch).run()
        stage.keep("finished")
        yield stage


@pytest.fixture(scope="module")
def finished(stage) -> Mapping[str, list[str]]:
    """The tables of a run that nobody disturbed."""
    tables = stage.table_bytes()
    assert all(tables.values()), "each table and quarantine have rows, or nothing is shown"
    return tables


@pytest.fixture(scope="module")
def lines_of(stage) -> dict[str, Any]:
    """The lines of the platform that each step runs and how often, and how long it takes."""
    known = {}
    for step in STEPS:
        stage.put_back(step)
        ended = Started(replace(stage.attempt, step=step, batch=stage.batch), is_counting=True).wait()
        assert ended.error is None and ended.batch is not None, ended.error
        stage.put_back(step)
        started = time.monotonic()
        Started(replace(stage.attempt, step=step, batch=stage.batch)).wait()
        known[step] = (sorted(ended.hits.items()), time.monotonic() - started)
    return known


@pytest.fixture(scope="module")
def kills(stage) -> dict[str, bool]:
    """Of every moment before a line of the platform whether the process was killed there, not only meant to be."""
    return {}


def killed_somewhere(
    stage: Stage, step: str, dice: random.Random, known: Any, kills: dict[str, bool]
) -> tuple[str, Ended]:
    """Kill a step before a line of the platform, or whenever a timer says so."""
    lines, seconds = known
    attempt = replace(stage.attempt, step=step, batch=stage.batch)
    if dice.random() < 0.3:
        delay = dice.uniform(0, seconds)
        running = Started(attempt)
        time.sleep(delay)
        running.kill()
        return f"after {delay:.3f} s", running.wait()
    line, count = dice.choice(lines)
    kill = Kill(line, dice.randint(1, count))
    ended = Started(attempt, kill=kill).wait()
    kills[f"{step} {kill}"] = ended.was_killed
    return str(kill), ended


@pytest.mark.parametrize("moment", range(KILLS))
@pytest.mark.parametrize("step", STEPS)
def test_a_step_killed_anywhere_and_run_again_ends_as_if_it_had_not_been(
    stage, finished, lines_of, kills, step, moment
):
    dice = random.Random(f"{SEED} {stage.attempt.entity} {step} {moment}")
    stage.put_back(step)
    before = stage.table_bytes()
    where, ended = killed_somewhere(stage, step, dice, lines_of[step], kills)
    print(f"killed {step} of {stage.attempt.entity} {where} (REGULARS_SEED={SEED}): {ended.exit_code}")
    assert ended.was_killed or ended.error is None, ended.error
    await_sessions_gone(stage.conn)
    if step == "extract":
        assert stage.table_bytes() == before, where
    else:
        now_there = stage.table_bytes()
        assert now_there == before or now_there == stage_after(stage, step, before, finished), where
    stage.break_rows()
    stage.finish(step, batch=stage.batch, now=LATER)
    assert stage.table_bytes() == finished, where
    times = stage.write_times()
    assert times in ({NOW}, {LATER}), f"{where}: the load happened in parts, or twice"
    check_receipts(stage, where)
    check_landing(stage, where)


def stage_after(
    stage: Stage, step: str, before: Mapping[str, list[str]], finished: Mapping[str, list[str]]
) -> Mapping[str, list[str]]:
    """The tables after a whole step: validation only adds to quarantine, a load changes the rest."""
    if step == "validate":
        return {**before, "quarantine.rejected_rows": finished["quarantine.rejected_rows"]}
    return finished


def await_sessions_gone(conn: psycopg.Connection) -> None:
    """Nothing of a killed process holds a lock or a transaction in the warehouse, as soon as the server has noticed."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 30
    while conn.execute(others).fetchone() != (0,):
        conn.rollback()
        assert time.monotonic() < deadline, "a session of a killed process is still there"
        time.sleep(0.01)
    temporary = conn.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'").fetchone()
    conn.rollback()
    assert temporary == (0,)


def check_receipts(stage: Stage, where: str) -> None:
    """Each receipt closes, and the last load of the window received what its batch was found to hold."""
    rows = stage.conn.execute(
        "SELECT step, entity, batch, received, passed, quarantined,"
        " passed + inserted + updated + unchanged + stale + duplicate + quarantined FROM ops.receipts"
        " WHERE window_start = %s ORDER BY receipt_id",
        (WINDOW.start,),
    ).fetchall()
    stage.conn.rollback()
    assert all(received == sum_ for *_, received, _, _, sum_ in rows), where
    last = {(step, entity): (batch, received, passed, out) for step, entity, batch, received, passed, out, _ in rows}
    entity = stage.attempt.entity
    (batch, landed, passed, _), validated, loaded = (last[step, entity] for step in ("extract", "validate", "upsert"))
    assert landed == passed == validated[1] == loaded[1], where
    assert validated[3] == loaded[3] == 2, where
    assert batch == validated[0] == loaded[0], where


def check_landing(stage: Stage, where: str) -> None:
    """Every batch that can be seen is whole, and its files are what the manifest says."""
    landing = Landing(stage.attempt.landing)
    batches = list(landing.batches(entity=stage.attempt.entity, window=WINDOW))
    assert batches, where
    for batch in batches:
        assert sum(1 for _ in landing.pages(batch)) == len(landing.manifest(batch).pages) > 0, where


def test_killing_at_random_meets_many_different_lines_of_the_platform(lines_of):
    """The moments are spread: the lines to choose from lie in every part that has a hand in a step."""
    for step, parts in {
        "extract": ("/sources/http.py", "/ingestion/service.py", "/ingestion/landing.py", "/ingestion/files.py"),
        "validate": ("/ingestion/service.py", "/ingestion/landing.py", "/ingestion/quarantine"),
        "load": ("/warehouse/upsert.py", "/warehouse/merge_statements.py", "/ingestion/service.py"),
    }.items():
        files = {file for (file, _), _ in lines_of[step][0]}
        assert all(any(part in file for file in files) for part in parts), (step, files)
        assert len(lines_of[step][0]) > 80


def test_nearly_every_kill_before_a_line_of_the_platform_landed(kills):
    """A step that went another way than when its lines were counted may end first; if many do, nothing is shown."""
    if not kills:
        pytest.skip("no kill was made, because the tests that make them were not chosen")
    assert sum(kills.values()) >= LANDS_AT_LEAST * len(kills), kills
