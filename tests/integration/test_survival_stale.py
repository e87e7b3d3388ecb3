"""An API that gives yesterday's page again, or another question's answer: noticed, asked for again, never loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources import segment_events
from include.sources.errors import ContractBroken, SourceUnreachable
from include.sources.source import Source
from tests.http_server import QuietHandler, served_by
from tests.integration.ingestion_shop import PATHS, PLACES, SYMBOLS, TABLES, bytes_of, ingest, source_of
from tests.integration.sandbox_process import SandboxProcess, sandbox
from tests.soak.harness import stored_rows
from tests.soak.stage import small_pages
from tests.soak.world import Tables, World, difference
from tests.wire_rows import Rows

CUSTOMERS, SEED = 120, 7
DAY = timedelta(days=1)
TODAY = Window(datetime(2025, 6, 10, tzinfo=UTC), datetime(2025, 6, 24, tzinfo=UTC))
YESTERDAY = Window(TODAY.start - 4 * DAY, TODAY.start + 2 * DAY)
SELDOM = ("refunds", "products")
"""What has few rows in a week; for these, yesterday and today are months, and share one."""
NOW_IN_THE_SHOP = TODAY.end + timedelta(hours=1)


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=CUSTOMERS, seed=SEED) as running, small_pages():
        running.set_clock(NOW_IN_THE_SHOP.isoformat())
        yield running


@pytest.fixture(scope="module")
def world(box) -> World:
    known = World(box, customers=CUSTOMERS, seed=SEED)
    known.set_clock(NOW_IN_THE_SHOP)
    return known


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


def windows_of(entity: str) -> tuple[Window, Window]:
    """Yesterday's window and today's."""
    if entity not in SELDOM:
        return YESTERDAY, TODAY
    february, april, may = (datetime(2025, month, 1, tzinfo=UTC) for month in (2, 4, 5))
    return Window(february, may), Window(april, TODAY.end)


def truth(world: World, entity: str, *windows: Window) -> Tables:
    tables = Tables(entity)
    for window in windows:
        tables.read(world.wires(entity, window))
    return tables


OLD = {"kind": "stale_page", "is_whole": True}
ASKED_ELSEWHERE = ["orders", "refunds", "products", "events", "weather_daily", "stock_prices_daily"]
"""All but customers, who are read whole each time: what an old answer lacks of them comes with the next run."""


@pytest.mark.parametrize("entity", ASKED_ELSEWHERE)
def test_yesterdays_answer_given_again_once_is_asked_for_again(box, world, warehouse, landing, entity):
    yesterday, today = windows_of(entity)
    expected = truth(world, entity, yesterday, today).contents()
    ingest(warehouse, source_of(box, entity), yesterday, landing=landing)
    assert difference(stored_rows(warehouse, entity), expected) != "", "today has nothing of its own"
    before = len(box.requests())
    box.add_fault(**OLD, path=PATHS[entity], times=1)
    try:
        ingest(warehouse, source_of(box, entity), today, landing=landing)
    finally:
        box.clear_faults()
    assert [each["fault"] for each in box.requests()[before:]].count("stale_page") == 1
    assert difference(stored_rows(warehouse, entity), expected) == ""


@pytest.mark.parametrize("per_page", [7, 5000], ids=["many pages", "one page"])
@pytest.mark.parametrize("entity", ["orders", "products", "events"])
def test_the_answer_to_a_question_within_ours_is_not_taken_for_the_whole(
    box, world, warehouse, landing, monkeypatch, entity, per_page
):
    monkeypatch.setattr(segment_events, "PER_PAGE", per_page)
    whole = windows_of(entity)[1]
    part = Window(whole.start + (whole.end - whole.start) / 3, whole.end - (whole.end - whole.start) / 3)
    ingest(warehouse, source_of(box, entity), part, landing=landing)
    of_part, expected = (truth(world, entity, window).contents() for window in (part, whole))
    assert difference(of_part, expected) != "", "the part is the whole"
    before = len(box.requests())
    box.add_fault(**OLD, path=PATHS[entity], times=1)
    try:
        ingest(warehouse, source_of(box, entity), whole, landing=landing)
    finally:
        box.clear_faults()
    assert [each["fault"] for each in box.requests()[before:]].count("stale_page") == 1
    assert difference(stored_rows(warehouse, entity), expected) == ""


@contextmanager
def cache_by_path(box: SandboxProcess) -> Iterator[str]:
    """A cache before the APIs that looks at the path alone and never forgets: the first answer is all there is."""
    kept: dict[str, requests.Response] = {}

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path not in kept:
                credentials = {"Authorization": self.headers.get("Authorization", "")}
                kept[path] = requests.get(box.base_url + self.path, headers=credentials, timeout=30)
            answer = kept[path]
            passed_on = ("X-WP-Total", "X-WP-TotalPages", "X-Next-Cursor", "Content-Type")
            headers = {name: answer.headers[name] for name in passed_on if name in answer.headers}
            self.say(answer.content, headers, status=answer.status_code)

    with served_by(Handler) as address:
        yield address


CONNECTIONS = {"events": "event_export", "weather_daily": "weather_api", "stock_prices_daily": "stock_api"}


@pytest.mark.parametrize("entity", ASKED_ELSEWHERE)
def test_an_old_answer_given_for_ever_fails_the_run_and_loads_nothing(box, warehouse, landing, entity):
    one_each = {"weather_api": {"locations": PLACES[:1]}, "stock_api": {"symbols": SYMBOLS[:1]}}
    connection = CONNECTIONS.get(entity, "shop_api")
    yesterday, today = windows_of(entity)

    def source(address: str, **extra: Any) -> Source:
        return source_of(box, entity, **{connection: {"base_url": address, "extra": extra}})

    with cache_by_path(box) as address:
        ingest(warehouse, source(address, **one_each.get(connection, {})), yesterday, landing=landing)
        before = bytes_of(warehouse)
        everything = {"weather_api": {"locations": PLACES}, "stock_api": {"symbols": SYMBOLS}}
        with pytest.raises((ContractBroken, SourceUnreachable), match="Nothing was loaded") as failed:
            ingest(warehouse, source(address, **everything.get(connection, {})), today, landing=landing)
    told = ("of what was asked for", "that was asked for", "and not of", "is not of")
    assert any(words in str(failed.value) for words in told)
    assert any(before[table] for table in TABLES[entity]) and bytes_of(warehouse) == before


def test_a_page_without_events_that_names_a_next_one_is_no_end(box, world, warehouse, landing, monkeypatch):
    long = Window(datetime(2024, 6, 1, tzinfo=UTC), TODAY.end)
    monkeypatch.setattr(segment_events, "PER_PAGE", 20)
    box.add_fault(kind="empty_body", path=PATHS["events"])
    try:
        with pytest.raises(SourceUnreachable, match=r"no event at all and yet names a next page.*Nothing was loaded"):
            ingest(warehouse, source_of(box, "events"), long, landing=landing)
    finally:
        box.clear_faults()
    assert stored_rows(warehouse, "events") == {"shop.events": []}
    ingest(warehouse, source_of(box, "events"), long, landing=landing)
    assert difference(stored_rows(warehouse, "events"), truth(world, "events", long).contents()) == ""


@pytest.mark.parametrize("per_page", [20, 5000], ids=["many pages", "one page"])
@pytest.mark.parametrize("skip", [0, 1])
def test_an_export_that_answers_nothing_at_all_once_loses_no_event(
    box, world, warehouse, landing, monkeypatch, per_page, skip
):
    monkeypatch.setattr(segment_events, "PER_PAGE", per_page)
    before = len(box.requests())
    box.add_fault(kind="empty_body", path=PATHS["events"], skip=skip, times=1)
    try:
        ingest(warehouse, source_of(box, "events"), TODAY, landing=landing)
    finally:
        box.clear_faults()
    assert [each["fault"] for each in box.requests()[before:]].count("empty_body") == 1
    assert difference(stored_rows(warehouse, "events"), truth(world, "events", TODAY).contents()) == ""


@pytest.fixture
def touched(box) -> Iterator[set[int]]:
    """Refunds that were made long before today's window and touched within it, as by a payment or a plugin."""
    yesterday, today = windows_of("refunds")
    oldest = {"per_page": 3, "orderby": "date", "order": "asc", "dates_are_gmt": "true"}
    made = box.get("/refunds", **oldest, before=f"{yesterday.start:%Y-%m-%dT%H:%M:%S}").json()
    for hours, each in enumerate(made, start=1):
        box.edit("refunds", each["id"], modified_at=(today.start + timedelta(hours=hours)).isoformat())
    yield {each["id"] for each in made}
    requests.delete(f"{box.base_url}/_sandbox/edits", timeout=30).raise_for_status()


def test_refunds_made_before_the_window_and_touched_within_it_do_not_look_old(box, world, warehouse, landing, touched):
    _, today = windows_of("refunds")
    ingest(warehouse, source_of(box, "refunds"), today, landing=landing)
    assert len(touched) == 3
    assert (
        refund_ids(stored_rows(warehouse, "refunds")) == refund_ids(truth(world, "refunds", today).contents()) | touched
    )


def test_an_old_answer_with_refunds_is_noticed_though_others_were_touched(box, world, warehouse, landing, touched):
    yesterday, today = windows_of("refunds")
    ingest(warehouse, source_of(box, "refunds"), yesterday, landing=landing)
    box.add_fault(**OLD, path=PATHS["refunds"], times=1)
    try:
        ingest(warehouse, source_of(box, "refunds"), today, landing=landing)
    finally:
        box.clear_faults()
    expected = truth(world, "refunds", yesterday, today).contents()
    assert refund_ids(stored_rows(warehouse, "refunds")) == refund_ids(expected) | touched


def refund_ids(rows: Rows) -> set[int]:
    return {each["refund_id"] for each in rows["shop.refunds"]}


def test_a_row_whose_time_cannot_be_read_does_not_look_old(box, world, warehouse, landing):
    fault: dict[str, Any] = {"kind": "malformed_rows", "field": "date_modified_gmt", "path": PATHS["orders"]}
    box.add_fault(**fault, rows=2, times=1)
    try:
        run = ingest(warehouse, source_of(box, "orders"), TODAY, landing=landing)
    finally:
        box.clear_faults()
    assert run["validate", "orders"].quarantined == 2
