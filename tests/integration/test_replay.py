"""Replay: the tables again, from landing alone; the shop is switched off."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.__main__ import main
from include.ingestion.errors import LandingDamaged, NothingLanded
from include.ingestion.landing import Landing
from include.ingestion.replay import newest_batch, overlapping_batches, replay
from include.warehouse.connection import connect_warehouse
from tests.command_line import ended
from tests.integration.ingestion_shop import (
    ALL_TABLES,
    NOW,
    TABLES,
    bytes_of,
    days,
    ingest,
    service,
    source_of,
)
from tests.integration.sandbox_process import ROOT, SandboxProcess, sandbox
from tests.own_database import connection, own_database

DAY = timedelta(days=1)
LATER = NOW + 30 * DAY
WINDOWS = days(datetime(2025, 6, 1, tzinfo=UTC), 3)
WHOLE = Window(WINDOWS[0].start, WINDOWS[-1].end)


@pytest.fixture(scope="module")
def landed(tmp_path_factory, postgres_server):
    """Three days of every entity, some rows broken, loaded from a shop that is gone now.

    Gives the sandbox's handle, landing, the warehouse's address and every byte of its tables.
    """
    landing = Landing(tmp_path_factory.mktemp("landing"))
    with own_database(postgres_server, "replayed") as dsn:
        with sandbox(customers=150, seed=7) as box, connect_warehouse(dsn) as conn:
            box.add_fault(kind="malformed_rows", rows=3, path="/wp-json/wc/v3/orders", times=1)
            for number, window in enumerate(WINDOWS):
                for entity in ENTITIES:
                    ingest(conn, source_of(box, entity), window, landing=landing, now=NOW + number * DAY)
            before = bytes_of(conn)
        assert all(before[table] for table in (*ALL_TABLES, "quarantine.rejected_rows"))
        yield box, landing, dsn, before


def batches_of(landing: Landing, box: SandboxProcess, entity: str) -> list[str]:
    return overlapping_batches(landing, source=source_of(box, entity).name, entity=entity, span=WHOLE)


def test_a_replay_over_loaded_tables_changes_no_byte_and_asks_nobody(landed):
    box, landing, dsn, before = landed
    with connect_warehouse(dsn) as conn:
        for entity in ENTITIES:
            source = source_of(box, entity)
            receipts = replay(service(conn, source, landing, now=LATER), landing, batches_of(landing, box, entity))
            steps = [(each.step, each.window) for each in receipts if each.entity == entity]
            assert steps == [(step, window) for window in WINDOWS for step in ("validate", "upsert")]
            assert sum(each.received for each in receipts) > 0
            assert not any(each.inserted or each.updated or each.deleted for each in receipts)
        assert bytes_of(conn, ALL_TABLES) == {table: before[table] for table in ALL_TABLES}


def test_tables_that_were_emptied_come_back_byte_for_byte(landed):
    """Each batch at the time at which it was loaded first: then even `ingested_at` is the same."""
    box, landing, dsn, before = landed
    with connect_warehouse(dsn) as conn:
        conn.execute(f"TRUNCATE {', '.join(ALL_TABLES)}, quarantine.rejected_rows")
        conn.commit()
        for entity in ENTITIES:
            for batch in batches_of(landing, box, entity):
                at = landing.manifest(batch).began_at
                replay(service(conn, source_of(box, entity), landing, now=at), landing, [batch])
        assert bytes_of(conn) == before


def test_every_replayed_step_leaves_a_receipt_that_names_its_batch(landed):
    box, landing, dsn, _ = landed
    batch = newest_batch(landing, source="shop_api", entity="orders", window=WINDOWS[1])
    with connect_warehouse(dsn) as conn:
        first = conn.execute("SELECT coalesce(max(receipt_id), 0) FROM ops.receipts").fetchone()
        replay(service(conn, source_of(box, "orders"), landing, now=LATER), landing, [batch])
        written = conn.execute(
            "SELECT step, entity, batch, window_start, window_end FROM ops.receipts WHERE receipt_id > %s"
            " ORDER BY step, entity",
            first,
        ).fetchall()
    about = (batch, WINDOWS[1].start, WINDOWS[1].end)
    steps = [(step, entity) for step in ("upsert", "validate") for entity in ("order_lines", "orders")]
    assert written == [(*step, *about) for step in steps]


def land(landing: Landing, *, source: str, window: Window, now: datetime) -> str:
    return landing.open_batch(source=source, entity="orders", window=window, now=now).close()


def test_the_batches_of_a_range_are_those_whose_windows_have_an_instant_of_it_oldest_first():
    landing = Landing("memory://replay-of-a-range")
    year = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    names = [
        land(landing, source="shop_api", window=window, now=NOW + number * DAY)
        for number, window in enumerate([WINDOWS[1], WINDOWS[0], WINDOWS[2], WINDOWS[1], year])
    ]
    land(landing, source="other_shop", window=WINDOWS[1], now=NOW)

    def found(span: Window) -> list[int]:
        chosen = overlapping_batches(landing, source="shop_api", entity="orders", span=span)
        return [names.index(name) for name in chosen]

    assert found(WINDOWS[1]) == [0, 3, 4]
    assert found(WHOLE) == [0, 1, 2, 3, 4]
    assert found(Window(year.start, WINDOWS[0].start)) == [4]
    assert newest_batch(landing, source="shop_api", entity="orders", window=WINDOWS[1]) == names[3]
    for entity, span in (("orders", Window(year.end, year.end + DAY)), ("refunds", WHOLE)):
        with pytest.raises(NothingLanded, match=f"no complete batch of {entity} over .* `shop_api`"):
            overlapping_batches(landing, source="shop_api", entity=entity, span=span)
    with pytest.raises(NothingLanded, match="no complete batch of orders"):
        newest_batch(landing, source="shop_api", entity="orders", window=WHOLE)


def test_a_damaged_batch_stops_the_replay_and_loads_nothing_of_itself(landed, tmp_path, warehouse):
    box, landing, _, _ = landed
    batch = newest_batch(landing, source="shop_api", entity="orders", window=WINDOWS[0])
    file = landing.root / batch / "page-00001.zst"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    try:
        with pytest.raises(LandingDamaged, match="page-00001"):
            replay(service(warehouse, source_of(box, "orders"), landing, now=NOW), landing, [batch])
    finally:
        file.write_bytes(whole)
    assert warehouse.execute("SELECT count(*) FROM shop.orders").fetchone() == (0,)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own that knows nothing but these settings."""
    return subprocess.run(
        [sys.executable, "-m", "include.ingestion", *arguments],
        env={"PATH": "/usr/bin:/bin", "GX_ANALYTICS_ENABLED": "false", **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_line_replays_from_a_bucket_with_nothing_but_its_environment(landed, s3_server, warehouse_dsn):
    _, landing, _, before = landed
    bucket = s3_server.bucket()
    for batch in landing.batches(entity="refunds"):
        for name in ("manifest.json", "page-00001.zst"):
            bucket.fs.pipe_file(f"{bucket.drive}/landing/{batch}/{name}", (landing.root / batch / name).read_bytes())
    settings = {
        **s3_server.environment,
        "AIRFLOW_CONN_WAREHOUSE": connection(warehouse_dsn),
        "REGULARS_LANDING": f"s3://{bucket.drive}/landing",
    }
    done = command("replay", "--entity", "refunds", "--start", "2025-06-01", "--end", "2025-06-04", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("upsert_refunds window=2025-06-") == 3
    with connect_warehouse(warehouse_dsn) as conn:
        for table in TABLES["refunds"]:
            keys = f"SELECT count(*) FROM {table}"
            assert conn.execute(keys).fetchone() == (len(before[table]),)
    nothing = command("replay", "--entity", "refunds", "--start", "2024-06-01", "--end", "2024-06-04", **settings)
    assert nothing.returncode == 1
    assert "no complete batch of refunds over 2024-06-01/2024-06-04" in nothing.stderr
    gone = command("expire", "--days", "1", **settings)
    assert gone.returncode == 0 and "expire_landing batches=3" in gone.stdout, gone.stderr
    assert bucket.fs.find(f"{bucket.drive}/landing", refresh=True) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay"], "Give --entity, --start and --end, or --batch"),
        (["replay", "--entity", "orders", "--start", "2025-06-01"], "Give --entity"),
        (["replay", "--entity", "orders", "--start", "2025-06-02", "--end", "2025-06-01"], "is empty"),
        (["replay", "--entity", "orders", "--start", "yesterday", "--end", "2025-06-01"], "no date or time"),
        (["replay", "--batch", "nonsense"], "--batch is a name such as"),
        (["expire", "--days", "0"], "1 day at least"),
        (["nothing"], "invalid choice"),
    ],
)
def test_a_wrong_argument_is_told_and_nothing_is_done(tmp_path, capsys, arguments, told):
    done = ended(main, arguments, {"REGULARS_LANDING": str(tmp_path)}, capsys)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "Neither REGULARS_LANDING nor REGULARS_STORAGE is set"),
        ({"REGULARS_LANDING": "ftp://host/landing"}, "REGULARS_LANDING is 'ftp://host/landing'"),
        ({"REGULARS_STORAGE": "/nowhere", "REGULARS_LANDING_DAYS": "soon"}, "REGULARS_LANDING_DAYS is 'soon'"),
    ],
)
def test_a_missing_or_wrong_setting_is_told_and_nothing_is_done(capsys, settings, told):
    done = ended(main, ["expire"], settings, capsys)
    assert done.returncode == 2
    assert told in done.stderr
