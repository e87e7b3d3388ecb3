"""Erasing a customer: nothing of them is left in landing or the warehouse, and nobody else notices."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from include.ingestion.erasure import erase_customer
from include.ingestion.errors import LandingDamaged, NotValidated
from include.ingestion.landing import Landing
from include.ingestion.replay import replay
from include.ingestion.service import service_in_postgres
from include.warehouse.connection import connect_warehouse
from tests.erased_customer import NOW, OTTILIE, WINDOW, Rows, land, raw_rows, traces_in_landing, traces_in_tables
from tests.integration.ingestion_shop import ALL_TABLES, bytes_of
from tests.own_database import own_database
from tests.unit.source_pages import source

LATER = NOW + timedelta(days=1)
MINE = {
    "shop.customers": "customer_id = 7",
    "shop.refunds": "refund_id IN (2001, 2002)",
    "shop.events": "event_id IN ('m-1', 'm-2', 'm-5')",
}


def load(conn: psycopg.Connection, landing: Landing, batches: list[str], *, now=NOW) -> None:
    for batch in batches:
        entity = batch.split("/")[1]
        reader = source(entity)
        reader.name = batch.split("/")[0]  # type: ignore[misc]  # the connection that it came through
        replay(service_in_postgres(conn, reader, landing=landing, clock=lambda: now), landing, [batch])


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, postgres_server) -> Iterator[tuple[Path, list[tuple[str, Rows]], str]]:
    """Landing, its batches, and the name of a warehouse into which they are loaded; neither is to be changed."""
    landing = Landing(tmp_path_factory.mktemp("landed"))
    batches = land(landing)
    assert len(traces_in_landing(landing)) > 20, "the test would show nothing"
    with own_database(postgres_server, "before_erasure") as dsn:
        with connect_warehouse(dsn) as conn:
            load(conn, landing, [batch for batch, _ in batches])
            assert len(set(traces_in_tables(conn))) > 3, "the test would show nothing"
            assert len(conn.execute("SELECT 1 FROM quarantine.rejected_rows").fetchall()) >= 3
        yield Path(landing.root), batches, "before_erasure"


_numbers = itertools.count()


@pytest.fixture
def fresh(loaded, postgres_server, tmp_path) -> Iterator:
    """Gives copies of landing and the warehouse, as often as asked."""
    with ExitStack() as databases:

        def copy() -> tuple[Landing, str]:
            name = f"erasure_{next(_numbers)}"
            dsn = databases.enter_context(own_database(postgres_server, name, template=loaded[2]))
            shutil.copytree(loaded[0], tmp_path / name)
            return Landing(tmp_path / name), dsn

        yield copy


def erase(landing: Landing, dsn: str, *, now=LATER):
    with connect_warehouse(dsn) as conn:
        return erase_customer(conn, landing, customer_id=OTTILIE, now=now)


def files_of(landing: Landing) -> dict[str, bytes]:
    root = Path(landing.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def others(conn: psycopg.Connection) -> dict[str, list[str]]:
    """Every byte of every row that is not Ottilie's."""
    return {
        table: [
            text
            for (text,) in conn.execute(
                f"SELECT t::text FROM {table} AS t WHERE ({MINE.get(table, 'false')}) IS NOT TRUE ORDER BY 1"
            )
        ]
        for table in ALL_TABLES
    }


def test_nothing_of_the_customer_is_left_in_any_file_or_table(fresh):
    landing, dsn = fresh()
    done = erase(landing, dsn)
    assert traces_in_landing(landing) == []
    with connect_warehouse(dsn) as conn:
        assert traces_in_tables(conn) == []
        account = conn.execute("SELECT email, first_name, last_name, country, is_paying FROM shop.customers ORDER BY 1")
        assert account.fetchall() == [
            ("Bob@example.com", "Bob", "Stone", "DE", True),
            ("Cleo@example.com", "Cleo", "Stone", "DE", True),
            (None, None, None, "GB", True),
        ]
    assert (done.batches, done.pages, done.rows) == (5, 5, 15)
    assert done.table_rows > 3 and done.unfinished == 0
    assert str(done).startswith("erase_customer customer_id=7 batches=5 pages=5 rows=15 table_rows=")


def test_everybody_elses_rows_stay_byte_for_byte(loaded, fresh):
    landing, dsn = fresh()
    before_files = files_of(landing)
    with connect_warehouse(dsn) as conn:
        before = others(conn)
    erase(landing, dsn)
    with connect_warehouse(dsn) as conn:
        assert others(conn) == before
    after_files = files_of(landing)
    for batch, rows in loaded[1]:
        [(_, page)] = landing.pages(batch)
        was, now = raw_rows(rows.entity, rows.body), raw_rows(rows.entity, page.body)
        assert {place for place in range(len(was)) if was[place] != now[place]} == rows.touched
        if not rows.touched:
            names = [name for name in before_files if name.startswith(batch)]
            assert {name: after_files.get(name) for name in names} == {name: before_files[name] for name in names}


def test_a_batch_that_was_changed_says_when_and_is_whole_and_must_be_validated_again(loaded, fresh):
    landing, dsn = fresh()
    erase(landing, dsn)
    for batch, rows in loaded[1]:
        manifest = landing.manifest(batch)
        assert manifest.erased_at == (LATER if rows.touched else None)
        assert all(page.becoming is None for page in manifest.pages)
        beside = landing.beside(batch)
        assert bool(beside) is not bool(rows.touched), "what was validated holds what the page held"
        if rows.touched:
            reader = source(rows.entity)
            with connect_warehouse(dsn) as conn, pytest.raises(NotValidated):
                service_in_postgres(conn, reader, landing=landing).load(WINDOW, batch=batch)


def test_a_replay_does_not_bring_the_customer_back_and_still_brings_back_their_orders(loaded, fresh):
    landing, dsn = fresh()
    batches = [batch for batch, _ in loaded[1]]
    erase(landing, dsn)
    sums = "SELECT order_id, customer_id, total_amount, placed_at, country FROM shop.orders ORDER BY 1"
    with connect_warehouse(dsn) as conn:
        before = conn.execute(sums).fetchall()
        rejected = conn.execute("SELECT count(*) FROM quarantine.rejected_rows").fetchone()
        assert (1001, OTTILIE) in [row[:2] for row in before]
        load(conn, landing, batches, now=LATER)
        assert traces_in_tables(conn) == [] and traces_in_landing(landing) == []
        assert conn.execute(sums).fetchall() == before
        assert conn.execute("SELECT count(*) FROM quarantine.rejected_rows").fetchone() == rejected, "met again"
        conn.execute(f"TRUNCATE {', '.join(ALL_TABLES)}, quarantine.rejected_rows")
        conn.commit()
        load(conn, landing, batches, now=LATER)
        assert traces_in_tables(conn) == [] and traces_in_landing(landing) == []
        assert conn.execute(sums).fetchall() == before
        assert conn.execute("SELECT count(*) FROM quarantine.rejected_rows").fetchone() == rejected
        settled = bytes_of(conn, ALL_TABLES)
        load(conn, landing, batches, now=LATER + timedelta(days=1))
        assert bytes_of(conn, ALL_TABLES) == settled


def test_while_the_shop_still_has_the_customer_the_next_load_brings_them_back(loaded, fresh):
    """What docs/landing.md warns of: erase them in the shop first."""
    landing, dsn = fresh()
    erase(landing, dsn)
    batches = [batch for batch, rows in land(landing) if rows.entity == "customers"]
    with connect_warehouse(dsn) as conn:
        load(conn, landing, batches, now=LATER)
        [name] = conn.execute("SELECT first_name FROM shop.customers WHERE customer_id = 7").fetchall()
    assert name == ("Ottilie",)


def test_erasing_again_changes_nothing(fresh):
    landing, dsn = fresh()
    erase(landing, dsn)
    files = files_of(landing)
    with connect_warehouse(dsn) as conn:
        tables = bytes_of(conn)
    done = erase(landing, dsn, now=LATER + timedelta(days=1))
    assert (done.batches, done.pages, done.rows, done.table_rows) == (0, 0, 0, 0)
    assert files_of(landing) == files
    with connect_warehouse(dsn) as conn:
        assert bytes_of(conn) == tables


class _Killed(BaseException):
    """As if the process had ended here."""


class _Dying(Landing):
    """Landing that lets so many changes through and then dies."""

    changes_left: int

    def _change(self) -> None:
        if self.changes_left == 0:
            raise _Killed
        self.changes_left -= 1

    def rewrite(self, batch, file, body):
        self._change()
        super().rewrite(batch, file, body)

    def write_manifest(self, batch, manifest):
        self._change()
        super().write_manifest(batch, manifest)

    def remove(self, batch, name):
        self._change()
        super().remove(batch, name)


def test_killed_at_any_change_every_batch_can_be_read_and_done_again_it_ends_the_same(loaded, fresh):
    landing, dsn = fresh()
    erase(landing, dsn)
    expected_files = files_of(landing)
    with connect_warehouse(dsn) as conn:
        expected = bytes_of(conn)
    for changes in itertools.count():
        landing, dsn = fresh()
        dying = _Dying(landing.root)
        dying.changes_left = changes
        try:
            erase(dying, dsn)
        except _Killed:
            for batch, rows in loaded[1]:
                assert len([page for _, page in landing.pages(batch)]) == 1
                assert landing.manifest(batch).rows == len(rows.rows)
            erase(landing, dsn)
        else:
            break
        assert files_of(landing) == expected_files, f"killed before change {changes + 1}"
        with connect_warehouse(dsn) as conn:
            assert bytes_of(conn) == expected, f"killed before change {changes + 1}"
    assert changes > 20


def test_a_damaged_batch_is_named_and_the_rest_is_done(loaded, fresh):
    landing, dsn = fresh()
    batch = next(batch for batch, rows in loaded[1] if rows.entity == "refunds")
    (Path(landing.root) / batch / "page-00001.zst").write_bytes(b"broken")
    with pytest.raises(LandingDamaged, match=f"1 batches may still hold .* customer 7.*{batch}.*shop.customers is not"):
        erase(landing, dsn)
    shutil.rmtree(Path(landing.root) / batch)
    assert traces_in_landing(landing) == []
    erase(landing, dsn)
    with connect_warehouse(dsn) as conn:
        assert traces_in_tables(conn) == []


def test_a_batch_under_way_is_counted_because_nobody_can_look_into_it(fresh):
    landing, dsn = fresh()
    landing.open_batch(source="shop_api", entity="orders", window=WINDOW, now=LATER)
    assert erase(landing, dsn).unfinished == 1


def test_somebody_whom_nobody_knows_is_erased_without_a_change(fresh):
    landing, dsn = fresh()
    before = files_of(landing)
    with connect_warehouse(dsn) as conn:
        done = erase_customer(conn, landing, customer_id=4711, now=LATER)
    assert (done.batches, done.table_rows) == (0, 0)
    assert files_of(landing) == before


def test_every_kind_of_store_can_be_searched_also_for_somebody_whom_the_warehouse_does_not_know(any_landing, warehouse):
    """Addresses and names come from the landed accounts alone."""
    batches = land(any_landing)
    assert traces_in_landing(any_landing)
    erase_customer(warehouse, any_landing, customer_id=OTTILIE, now=LATER)
    assert traces_in_landing(any_landing) == []
    for batch, rows in batches:
        [(_, page)] = any_landing.pages(batch)
        assert len(raw_rows(rows.entity, page.body)) == len(rows.rows)
