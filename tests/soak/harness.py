"""Runs scenarios against sandbox and warehouse, and checks after each that nothing was lost and nothing is open."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg.types.json import set_json_loads

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.http import HttpLimits
from tests.integration.ingestion_shop import ALL_TABLES, TABLES, Run, bytes_of, ingest, source_of
from tests.integration.sandbox_process import SandboxProcess
from tests.soak.landed import damaged_places, kept_from_the_tables, key_of
from tests.soak.scenario import SECOND, Reading, Scenario, draw
from tests.soak.world import Tables, World, difference
from tests.wire_rows import KEYS, NOT_TOLD, OBSERVED, Rows, read_json

log = logging.getLogger("include.soak")

KNOWN_ERRORS = ("include.sources.errors", "include.ingestion.errors")
WHAT_TO_DO = (
    "clear this task", "clear the validate task", "check ", "correct ", "remove ", "ask for", "see ", "wait ",
    "write that address",
)  # fmt: skip
LIMITS = HttpLimits(attempts=8, request_seconds=20, patience_seconds=60, first_wait_seconds=0.001)
_CLEARED = (
    *ALL_TABLES, "quarantine.rejected_rows", "ops.receipts", "ops.quality_results", "ops.source_fields",
    "ops.schema_changes",
)  # fmt: skip


class Violated(AssertionError):
    """A run broke a promise."""


@dataclass
class Outcome:
    """How one run went.

    :param ended: `truth`, `truth, some rows in quarantine`, or the class of the error that it failed with.
    :param struck: how often each kind of fault struck.
    """

    scenario: Scenario
    ended: str
    struck: Counter[str]
    seconds: float


@dataclass
class Harness:
    """One sandbox, one warehouse and a folder for landing, used by one run after the other."""

    box: SandboxProcess
    world: World
    conn: psycopg.Connection
    folder: Path
    http: requests.Session = field(default_factory=requests.Session)

    def run(self, seed: int) -> Outcome:
        """Draw the run of a seed and hold it to the promises.

        :raises Violated: names the seed and what was broken.
        """
        started = time.monotonic()
        self._forget()
        scenario = draw(seed, self.world)
        log.info("soak %s", scenario)
        for fault in scenario.faults:
            log.info("soak fault %s", fault)
        try:
            ended, struck = _Course(self, scenario).run()
        except AssertionError as error:
            raise Violated(f"{scenario}: {error}\nRepeat it with: make soak SEED={seed} RUNS=1") from error
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
        return Outcome(scenario, ended, struck, time.monotonic() - started)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the sandbox's own routes."""
        answer = self.http.request(method, f"{self.box.base_url}/_sandbox/{path}", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def set_clock(self, reading: Reading) -> None:
        """Show the shop, here and there, as it is when a window is read."""
        self.control("POST", "clock", {"now": reading.clock.isoformat()})
        self.world.set_clock(reading.clock)

    def _forget(self) -> None:
        self.conn.rollback()
        self.conn.execute(f"TRUNCATE {', '.join(_CLEARED)} RESTART IDENTITY")
        self.conn.commit()
        self.control("DELETE", "faults")
        self.control("DELETE", "edits")
        self.world.forget_edits()


class _Course:
    """The course of one scenario."""

    def __init__(self, harness: Harness, scenario: Scenario) -> None:
        self._harness, self._scenario = harness, scenario
        self._conn = harness.conn
        self._landing = Landing(harness.folder)
        self._expected = Tables(scenario.entity)
        self._is_quarantine_expected = False

    def run(self) -> tuple[str, Counter[str]]:
        scenario = self._scenario
        for reading in scenario.before:
            self._read_well(reading)
        self._compare("before any fault")
        before = self._bytes()
        harness, main = self._harness, scenario.main
        harness.set_clock(main)
        harness.control("POST", "faults", list(scenario.faults))
        error, run = self._attempt(main.window)
        struck = self._struck()
        if run is None:
            assert error is not None
            self._check_failure(error, before)
            ended = type(error).__name__
        else:
            changes = scenario.edits if struck["edit_records"] else ()
            ended = self._check_success(run, edited={change["key"] for change in changes})
        if run is None or ended != "truth":
            self._read_well(main)
        if struck["edit_records"]:
            self._expected.read(harness.world.wires(scenario.entity, main.window))
            self._read_well(Reading(Window(main.window.end, main.clock + SECOND), main.clock))
        self._compare("after the run without faults")
        self._check_receipts()
        self._check_landing()
        return ended, struck

    def _attempt(self, window: Window) -> tuple[Exception | None, Run | None]:
        scenario = self._scenario
        limits = HttpLimits(
            attempts=scenario.attempts,
            request_seconds=0.4,
            patience_seconds=5,
            first_wait_seconds=0.001,
            task_seconds=20,
            body_bytes=16 * 2**20,
            circuit_failures=scenario.failures,
            circuit_seconds=scenario.rest_seconds,
        )
        source = source_of(self._harness.box, scenario.entity, limits=limits)
        try:
            return None, ingest(self._conn, source, window, landing=self._landing)
        except AssertionError as error:
            raise Violated(f"the accounts of the steps do not meet: {error}") from error
        except Exception as error:
            return error, None

    def _read_well(self, reading: Reading) -> None:
        """A load without faults, which must succeed, and what must be in the tables then."""
        scenario = self._scenario
        self._harness.set_clock(reading)
        source = source_of(self._harness.box, scenario.entity, limits=LIMITS)
        try:
            run = ingest(self._conn, source, reading.window, landing=self._landing)
        except Exception as error:
            raise Violated(f"a load without faults failed: {error!r}") from error
        if any(receipt.quarantined for receipt in run.receipts.values()):
            raise Violated(f"a load without faults put rows into quarantine: {run.receipts}")
        self._expected.read(self._harness.world.wires(scenario.entity, reading.window))

    def _struck(self) -> Counter[str]:
        """How often each kind of fault struck, which ends them. What was edited in the sandbox is edited here.

        Both at once: a request that was given up may still be on its way, and strike a fault.
        """
        harness, struck = self._harness, Counter[str]()
        left = harness.control("DELETE", "faults")
        for fault, found in zip(self._scenario.faults, left, strict=True):
            struck[fault["kind"]] += found["struck"]
            for change in fault["edits"] if fault["kind"] == "edit_records" and found["struck"] else ():
                harness.world.edit(self._scenario.entity, change)
        return +struck

    def _check_failure(self, error: Exception, before: dict[str, list[str]]) -> None:
        """The error is one that we know and that helps; the tables are as they were."""
        told = str(error)
        if type(error).__module__ not in KNOWN_ERRORS:
            raise Violated(f"failed with an error that nobody thought of: {error!r}") from error
        if "Nothing was loaded" not in told or not any(words in told.lower() for words in WHAT_TO_DO):
            raise Violated(f"the error does not say what happened to the data or what to do: {error!r}") from error
        box = self._harness.box
        if any(secret in told for secret in (box.consumer_key, box.consumer_secret, box.event_token, box.stock_key)):
            raise Violated("the error tells a secret")
        if self._bytes() != before:
            raise Violated(f"failed with {error!r}, yet the tables changed")

    def _check_success(self, run: Run, *, edited: Collection[int]) -> str:
        """The tables are the truth but for the rows that are in quarantine, of which they hold what they held before.

        Of rows that were edited meanwhile nothing can be said yet: the next window brings them.
        """
        scenario = self._scenario
        reach = scenario.main.window.widened(back=ENTITIES[scenario.entity].look_back)
        damaged = damaged_places(self._landing, run.batch, scenario.entity, reach)
        kept = self._quarantined()
        if kept != damaged:
            raise Violated(
                f"quarantine does not hold exactly the damaged rows: missing {sorted(damaged - kept)[:3]}, "
                f"there without reason {sorted(kept - damaged)[:3]}"
            )
        wires = self._harness.world.wires(scenario.entity, scenario.main.window)
        absent = kept_from_the_tables(self._landing, run.batch, scenario.entity, reach, wires, is_edited=bool(edited))
        self._expected.read(each for each in wires if key_of(*each, scenario.entity) not in absent)
        self._compare("after the run under faults", apart_from=edited)
        return "truth, some rows in quarantine" if damaged else "truth"

    def _quarantined(self) -> set[tuple[str, str, str]]:
        rows = self._conn.execute(
            "SELECT entity, landing_file, landing_position, reason, rule_id FROM quarantine.rejected_rows"
        ).fetchall()
        self._conn.rollback()
        if not all(reason and rule for _, _, _, reason, rule in rows):
            raise Violated("a row is in quarantine without a reason")
        return {(entity, file, position) for entity, file, position, _, _ in rows}

    def _bytes(self) -> dict[str, list[str]]:
        return bytes_of(self._conn, TABLES[self._scenario.entity])

    def _compare(self, when: str, *, apart_from: Collection[int] = ()) -> None:
        """Rows and lines, except those of some records."""
        found, expected = (
            {table: [row for row in rows if row[KEYS[table][0]] not in apart_from] for table, rows in tables.items()}
            for tables in (stored_rows(self._conn, self._scenario.entity), self._expected.contents())
        )
        if told := difference(found, expected):
            raise Violated(f"{when} the tables are not the truth: {told}")

    def _check_receipts(self) -> None:
        """What was extracted was validated, and what was validated was loaded; every sum closes."""
        open_receipts = self._conn.execute(
            "SELECT count(*) FROM ops.receipts WHERE received <> passed + inserted + updated + unchanged + stale"
            " + duplicate + quarantined"
        ).fetchone()
        rows = self._conn.execute("SELECT batch, step, entity, received, passed, quarantined FROM ops.receipts")
        batches: dict[str, dict[tuple[str, str], tuple[int, ...]]] = {}
        for batch, step, entity, *counts in rows:
            if (step, entity) in batches.setdefault(batch, {}):
                raise Violated(f"the batch {batch} has two receipts of {step}_{entity}")
            batches[batch][step, entity] = tuple(counts)
        self._conn.rollback()
        if open_receipts != (0,):
            raise Violated(f"{open_receipts} receipts are open")
        for batch, receipts in batches.items():
            self._check_chain(batch, receipts)

    def _check_chain(self, batch: str, receipts: dict[tuple[str, str], tuple[int, ...]]) -> None:
        entity = ENTITIES[self._scenario.entity]
        extracted = receipts.get(("extract", entity.name))
        validated, loaded = receipts.get(("validate", entity.name)), receipts.get(("upsert", entity.name))
        if extracted is None or (loaded and not validated):
            raise Violated(f"the batch {batch} lacks receipts; it has {sorted(receipts)}")
        if validated and extracted[1] != validated[0]:
            raise Violated(f"the batch {batch} lost rows between extraction and validation: {receipts}")
        for name in [entity.name] + ([entity.child.name] if entity.child else []):
            validated, loaded = receipts.get(("validate", name)), receipts.get(("upsert", name))
            if loaded and validated and (loaded[0], loaded[2]) != (validated[0], validated[2]):
                raise Violated(f"the batch {batch} lost rows between validation and load: {receipts}")

    def _check_landing(self) -> None:
        """Batches are whole, and what is no batch has no pages."""
        batches = set(self._landing.batches())
        for batch in batches:
            for _ in self._landing.pages(batch):
                pass
        files = {path.parent for path in Path(str(self._landing.root)).rglob("*") if path.is_file()}
        stray = [str(folder) for folder in files if not any(str(folder).endswith(batch) for batch in batches)]
        if stray:
            raise Violated(f"landing holds parts of batches that never were: {stray}")


def stored_rows(conn: psycopg.Connection, entity: str) -> Rows:
    """The tables of an entity without what only the writing knows; of lines and observed rows, without a version."""
    set_json_loads(read_json, conn)
    found: Rows = {}
    for number, table in enumerate(TABLES[entity]):
        cursor = conn.execute(f"SELECT * FROM {table}")  # type: ignore[call-overload]  # a table of this project
        names = [column.name for column in cursor.description or ()]
        dropped = NOT_TOLD | ({"source_updated_at"} if number or entity in OBSERVED else set())
        found[table] = [
            {name: value for name, value in zip(names, row, strict=True) if name not in dropped} for row in cursor
        ]
    conn.rollback()
    return found
