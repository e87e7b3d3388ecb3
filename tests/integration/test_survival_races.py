"""Several processes at once over the same windows, and a full disk: the tables are those of one run after the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from include.entities.window import Window
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import TABLES, contents
from tests.integration.sandbox_process import sandbox
from tests.soak.attempts import Attempt, Started, gate_for

START = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + 30 * DAY)
NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=80, seed=22) as running:
        running.set_clock(NOW.isoformat())
        yield running


@pytest.fixture
def attempt_in(box, warehouse_dsn, tmp_path) -> Callable[..., Attempt]:
    """An attempt of an entity over a window, in a fresh warehouse."""

    def attempt(entity: str, window: Window = WINDOW, *, name: str = "landing", now: datetime = NOW) -> Attempt:
        return Attempt(box, warehouse_dsn, tmp_path / name, entity, window, now)

    return attempt


def overlapping_windows(dice: random.Random, count: int) -> list[Window]:
    """Windows across one another, in no order, that together cover the month."""
    starts = [START + timedelta(days=dice.randint(0, 28), hours=dice.randint(0, 23)) for _ in range(count - 5)]
    drawn = [Window(start, min(start + timedelta(days=dice.randint(1, 9)), WINDOW.end)) for start in starts]
    tiles = [Window(START + 6 * number * DAY, START + 6 * (number + 1) * DAY) for number in range(5)]
    windows = drawn + tiles
    dice.shuffle(windows)
    return windows


def serial(attempt: Attempt, windows: list[Window], conn: psycopg.Connection) -> dict[str, list]:
    """The tables after one load after the other, oldest first; they are emptied again."""
    for window in sorted(windows, key=lambda each: each.start):
        replace(attempt, window=window, landing=attempt.landing.with_name("serial")).run()
    tables = contents(conn, attempt.entity)
    assert all(tables.values())
    conn.execute(f"TRUNCATE {', '.join(TABLES[attempt.entity])}, ops.receipts")
    conn.commit()
    return tables


def assert_receipts_close(conn: psycopg.Connection, entity: str, *, loads: int) -> None:
    """Every load received what its batch was validated to hold."""
    rows = conn.execute(
        "SELECT batch, step, received, passed + inserted + updated + unchanged + stale + duplicate + quarantined"
        " FROM ops.receipts WHERE entity = %s",
        (entity,),
    ).fetchall()
    conn.rollback()
    assert all(received == total for _, _, received, total in rows)
    batches: dict[str, dict[str, int]] = {}
    for batch, step, received, _ in rows:
        batches.setdefault(batch, {})[step] = received
    assert len(batches) == loads
    assert all(
        set(each) == {"extract", "validate", "upsert"} and len({*each.values()}) == 1 for each in batches.values()
    )


@pytest.mark.parametrize("entity", ["orders", "events", "weather_daily"])
def test_two_runs_of_the_same_window_at_once_give_the_tables_of_one(attempt_in, warehouse, entity):
    attempt = attempt_in(entity)
    expected = serial(attempt, [WINDOW], warehouse)
    gate = gate_for(2)
    runs = [Started(attempt, gate=gate) for _ in range(2)]
    ended = [run.wait() for run in runs]
    assert [each.error for each in ended] == [None, None]
    assert len({each.batch for each in ended}) == 2, "each landed a batch of its own"
    assert contents(warehouse, entity) == expected
    inserted = warehouse.execute(
        "SELECT inserted FROM ops.receipts WHERE step = 'upsert' AND entity = %s ORDER BY 1", (entity,)
    ).fetchall()
    assert inserted == [(0,), (len(expected[TABLES[entity][0]]),)], "one inserted all of it, the other found it there"
    assert_receipts_close(warehouse, entity, loads=2)


@pytest.mark.parametrize(("entity", "seed"), [("orders", 1), ("events", 2)])
def test_a_backfill_in_random_order_racing_with_the_scheduled_runs_gives_the_tables_of_a_serial_one(
    attempt_in, warehouse, entity, seed
):
    dice = random.Random(seed)
    attempt = attempt_in(entity)
    backfill = overlapping_windows(dice, 8)
    scheduled = [Window(START + day * DAY, START + (day + 1) * DAY) for day in range(25, 30)]
    expected = serial(attempt, [*backfill, *scheduled], warehouse)
    while backfill or scheduled:
        gate = gate_for(2)
        pair = [replace(attempt, window=windows.pop(0)) for windows in (backfill, scheduled) if windows]
        racing = [Started(each, gate=gate if len(pair) == 2 else None) for each in pair]
        assert [each.wait().error for each in racing] == [None] * len(pair)
    assert contents(warehouse, entity) == expected
    assert_receipts_close(warehouse, entity, loads=13)


def test_an_order_that_changes_between_two_racing_reads_ends_with_its_newest_version(attempt_in, warehouse, box):
    """Both have read; the one with the older version of the order loads last."""
    attempt = attempt_in("orders")
    (key,) = [
        order["id"]
        for order in box.pages("/orders", orderby="modified", order="desc", modified_before="2025-03-29T00:00:00")[:1]
    ]
    old = replace(attempt, step="extract").run()
    box.edit("orders", key, modified_at="2025-03-30T12:00:00Z", set={"status": "refunded"})
    new = replace(attempt, step="extract").run()
    for batch in (new, old):
        for step in ("validate", "load"):
            replace(attempt, step=step, batch=batch).run()
    assert warehouse.execute("SELECT status FROM shop.orders WHERE order_id = %s", (key,)).fetchone() == ("refunded",)
    stale = warehouse.execute("SELECT stale FROM ops.receipts WHERE entity = 'orders' AND batch = %s", (old,))
    assert sum(count for (count,) in stale) == 1


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kilobytes", [4, 40, 120, 200])
def test_a_disk_that_fills_up_at_any_time_fails_clearly_and_the_run_on_a_larger_one_ends_well(
    attempt_in, warehouse, warehouse_dsn, small_disk, kilobytes
):
    """Landing lies on a few kilobytes: they are full at the first page, amid pages, or at validated rows."""
    attempt = attempt_in("events", Window(START - 200 * DAY, WINDOW.end))
    expected = serial(attempt, [attempt.window], warehouse)
    disk = small_disk(f"size={kilobytes}k")
    on_disk = replace(attempt, landing=disk / "landing")
    ended = Started(on_disk).wait()
    assert ended.error is not None, f"{kilobytes} kB were enough"
    assert ended.error.startswith("LandingNotWritable: ") and "No space left on device" in ended.error
    assert "Nothing was loaded" in ended.error and "Make room" in ended.error
    assert contents(warehouse, "events") == {"shop.events": []}
    step = "validate" if warehouse.execute("SELECT 1 FROM ops.receipts").fetchone() else "extract"
    warehouse.rollback()
    if step == "extract":
        assert files_in(disk) == [], "what could not be kept whole was taken away again"
    with connect_warehouse(warehouse_dsn) as conn:
        assert conn.execute("SELECT count(*) FROM ops.receipts WHERE step <> 'extract'").fetchone() == (0,)
    attempt.run()
    assert contents(warehouse, "events") == expected
