"""Faults: a run ends with the truth, or fails with a clear error and loads nothing; the next ends with the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import psycopg
import pytest
import requests

from include.entities.window import Window
from include.ingestion.errors import NotValidated, TooManyRejected
from include.ingestion.landing import Landing
from include.ingestion.personal_data import masked
from include.sources.errors import ContractBroken, CredentialsRejected, SourceUnreachable
from include.sources.http import HttpLimits
from include.sources.source import Page, Source
from include.warehouse.connection import connect_warehouse
from tests.http_server import QuietHandler, served_by
from tests.integration.ingestion_shop import (
    ALL_TABLES,
    IMPATIENT,
    NOW,
    PATHS,
    TABLES,
    bytes_of,
    contents,
    ingest,
    ingest_all,
    service,
    source_of,
)
from tests.integration.sandbox_process import SandboxProcess, sandbox
from tests.own_database import own_database

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
LATER = NOW + timedelta(days=1)
LISTED = ("customers", "products", "orders", "refunds", "events")


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=70, seed=3) as running:
        yield running


@pytest.fixture(scope="module")
def truth(box, postgres_server, tmp_path_factory) -> dict[str, dict[str, list]]:
    """The tables of every entity, loaded without a fault."""
    with own_database(postgres_server, "truth_of_faults") as dsn, connect_warehouse(dsn) as conn:
        ingest_all(conn, box, WINDOW, landing=Landing(tmp_path_factory.mktemp("truth")))
        return {entity: contents(conn, entity) for entity in TABLES}


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


@contextmanager
def faults(box: SandboxProcess, *wanted: dict[str, Any]) -> Iterator[None]:
    for fault in wanted:
        box.add_fault(**fault)
    try:
        yield
    finally:
        box.clear_faults()


def faults_made(box: SandboxProcess, since: int) -> list[str]:
    return [each["fault"] for each in box.requests()[since:] if each["fault"]]


def assert_nothing_loaded(conn: psycopg.Connection, landing: Landing) -> None:
    for table in (*ALL_TABLES, "ops.receipts", "quarantine.rejected_rows"):
        assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    conn.rollback()  # or what comes next would be a part of this transaction
    assert [path for path in landing.root.rglob("*") if path.is_file()] == []


PASSING = [
    {"kind": "rate_limit", "retry_after": 0},
    {"kind": "rate_limit", "retry_after": 0, "as_date": True},
    {"kind": "server_error", "status": 500},
    {"kind": "server_error", "status": 503, "retry_after": 0},
    {"kind": "server_error", "status": 502},
    {"kind": "timeout"},
    {"kind": "cut_off", "share": 0.5},
    {"kind": "cut_off", "share": 0.0},
    {"kind": "slow_body", "seconds": 0.1},
    {"kind": "wrong_content_type"},
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: "-".join(map(str, fault.values())))
def test_a_fault_that_passes_leaves_no_trace(box, warehouse, landing, truth, fault):
    """The second request of every API suffers; of refunds the only one."""
    limits = replace(IMPATIENT, request_seconds=0.3) if fault["kind"] == "timeout" else IMPATIENT
    for entity in ("refunds", "events", "weather_daily", "stock_prices_daily"):
        since = len(box.requests())
        skip = 1 if entity != "refunds" else 0
        with faults(box, {**fault, "path": PATHS[entity], "skip": skip, "times": 1}):
            ingest(warehouse, source_of(box, entity, limits=limits), WINDOW, landing=landing)
        assert faults_made(box, since) == [fault["kind"]]
        assert contents(warehouse, entity) == truth[entity]


@pytest.mark.parametrize("entity", LISTED)
@pytest.mark.parametrize("kind", ["stale_page", "duplicate_page", "unknown_fields"])
def test_pages_that_repeat_or_say_more_than_is_known_lose_nothing(box, warehouse, landing, truth, entity, kind):
    since = len(box.requests())
    skip = 0 if entity in ("customers", "refunds") else 1  # these fit on one page
    with faults(box, {"kind": kind, "path": PATHS[entity], "skip": skip, "times": 1}):
        ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    assert faults_made(box, since) == [kind]
    assert contents(warehouse, entity) == truth[entity]


@pytest.mark.parametrize("skip", [0, 1, 2, 3, 4, 5])
def test_a_stale_page_anywhere_in_the_list_or_export_loses_nothing(box, warehouse, landing, truth, skip):
    for entity in ("orders", "events"):
        since = len(box.requests())
        with faults(box, {"kind": "stale_page", "path": PATHS[entity], "skip": skip, "times": 1}):
            ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
        assert faults_made(box, since) == ["stale_page"]
        assert contents(warehouse, entity) == truth[entity]


@pytest.mark.parametrize("seed", range(3))
def test_a_mix_of_faults_on_every_api_ends_with_the_truth(box, warehouse, landing, truth, seed):
    patient = HttpLimits(attempts=25, request_seconds=20, patience_seconds=60, first_wait_seconds=0.0001)
    mix = [*PASSING, {"kind": "duplicate_page"}, {"kind": "unknown_fields"}, {"kind": "stale_page", "times": 2}]
    chances = [
        {"path": "/", "seed": seed * 100 + number, "probability": 0.1, **fault} for number, fault in enumerate(mix)
    ]
    since = len(box.requests())
    with faults(box, *(each for each in chances if each["kind"] != "timeout")):
        for entity in TABLES:
            ingest(warehouse, source_of(box, entity, limits=patient), WINDOW, landing=landing)
    assert len(set(faults_made(box, since))) >= 4
    assert {entity: contents(warehouse, entity) for entity in TABLES} == truth


LASTING = [
    ({"kind": "rate_limit", "retry_after": 0}, SourceUnreachable, "answered 429"),
    ({"kind": "rate_limit", "retry_after": 86_400}, SourceUnreachable, r"asked us to wait 86400 s \(1 try"),
    ({"kind": "rate_limit", "retry_after": 7_200, "as_date": True}, SourceUnreachable, r"asked us to wait 7\d\d\d s"),
    ({"kind": "server_error", "status": 500}, SourceUnreachable, r"answered 500 \(3 tries"),
    ({"kind": "server_error", "status": 503, "retry_after": 0}, SourceUnreachable, "answered 503"),
    ({"kind": "cut_off", "share": 0.5}, SourceUnreachable, "ClientPayloadError"),
    ({"kind": "wrong_content_type"}, ContractBroken, "answered a body that cannot be read"),
    ({"kind": "timeout"}, SourceUnreachable, "was not answered within 0.1 s"),
    ({"kind": "slow_body", "seconds": 30}, SourceUnreachable, "was not answered within"),
]


@pytest.mark.parametrize(("fault", "error", "told"), LASTING, ids=[str(list(each[0].values())) for each in LASTING])
def test_a_fault_that_lasts_fails_the_run_with_nothing_loaded_and_the_next_run_ends_with_the_truth(
    box, warehouse, landing, truth, fault, error, told
):
    seconds = 0.1 if fault["kind"] in ("timeout", "slow_body") else 20
    hurried = HttpLimits(attempts=3, request_seconds=seconds, patience_seconds=60, first_wait_seconds=0.001)
    suffering = ("refunds", "events", "weather_daily", "stock_prices_daily")
    for entity in suffering:
        path = "/wp-json" if entity == "refunds" else PATHS[entity]
        with faults(box, {**fault, "path": path}), pytest.raises(error, match=told) as failed:
            ingest(warehouse, source_of(box, entity, limits=hurried), WINDOW, landing=landing)
        assert "Nothing was loaded" in str(failed.value) and str(WINDOW) in str(failed.value)
        assert_nothing_loaded(warehouse, landing)
    for entity in suffering:
        ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    assert {entity: contents(warehouse, entity) for entity in suffering} == {each: truth[each] for each in suffering}


@pytest.mark.parametrize("entity", ["orders", "products", "events"])
def test_pages_that_are_always_late_by_one_give_the_truth_or_an_error_and_never_half_a_list(
    box, warehouse, landing, truth, entity
):
    with faults(box, {"kind": "stale_page", "path": PATHS[entity], "skip": 1}):
        try:
            ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
        except (SourceUnreachable, ContractBroken) as error:
            assert "Nothing was loaded" in str(error)
            assert_nothing_loaded(warehouse, landing)
        else:  # a second reading brought what the first one lacked
            assert contents(warehouse, entity) == truth[entity]


@contextmanager
def blind_cache(box: SandboxProcess) -> Iterator[str]:
    """A cache before the shop that looks at the path alone: every page of a list is the first one."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = {**dict(parse_qsl(query)), "offset": "0"}
            credentials = {"Authorization": self.headers["Authorization"]}
            answer = requests.get(box.base_url + path, params=asked, headers=credentials, timeout=30)
            headers = {name: answer.headers.get(name, "") for name in ("X-WP-Total", "X-WP-TotalPages")}
            self.say(answer.content, headers, status=answer.status_code)

    with served_by(Handler) as address:
        yield address


def test_a_list_that_never_comes_whole_fails_the_run_and_loads_nothing(box, warehouse, landing):
    told = r"in 5 readings .*total=200 different_rows=100.*Nothing was loaded.*no cache"
    with blind_cache(box) as address, pytest.raises(SourceUnreachable, match=told):
        source = source_of(box, "products", shop_api={"base_url": address})
        ingest(warehouse, source, WINDOW, landing=landing)
    assert_nothing_loaded(warehouse, landing)


@pytest.mark.parametrize(("notice", "told"), [("Information", "refuses"), ("Note", "refuses")])
def test_a_used_up_stock_limit_is_told_without_the_key(box, warehouse, landing, truth, notice, told):
    entity = "stock_prices_daily"
    fault = {"kind": "stock_limit", "notice": notice, "path": PATHS[entity]}
    with faults(box, fault), pytest.raises(SourceUnreachable, match=told) as failed:
        ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    assert box.stock_key not in str(failed.value)
    assert_nothing_loaded(warehouse, landing)
    ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    assert contents(warehouse, entity) == truth[entity]


@pytest.mark.parametrize("entity", ["customers", "products", "events", "stock_prices_daily"])
def test_wrong_credentials_are_told_by_the_connections_name_and_not_tried_again(box, warehouse, landing, entity):
    connection = {"events": "event_export", "stock_prices_daily": "stock_api"}.get(entity, "shop_api")
    before = len(box.requests())
    source = source_of(box, entity, **{connection: {"password": "not the secret"}})
    with pytest.raises(CredentialsRejected, match=f"`{connection}`") as failed:
        ingest(warehouse, source, WINDOW, landing=landing)
    assert "not the secret" not in str(failed.value)
    assert len(box.requests()) - before <= (8 if entity == "events" else 1), "only slices side by side ask again"
    assert_nothing_loaded(warehouse, landing)


@pytest.mark.parametrize(
    ("entity", "overrides", "told"),
    [
        ("stock_prices_daily", {"stock_api": {"extra": {"symbols": ["not a symbol"]}}}, "not a symbol"),
        ("stock_prices_daily", {"stock_api": {"extra": {}}}, "names no `symbols`"),
        ("weather_daily", {"weather_api": {"extra": {}}}, "names no `locations`"),
        (
            "weather_daily",
            {"weather_api": {"extra": {"locations": [{"name": "x", "latitude": 91, "longitude": 0}]}}},
            "answered 400",
        ),
    ],
)
def test_settings_that_only_a_person_can_mend_are_told(box, warehouse, landing, entity, overrides, told):
    with pytest.raises(ContractBroken, match=told):
        ingest(warehouse, source_of(box, entity, **overrides), WINDOW, landing=landing)
    assert_nothing_loaded(warehouse, landing)


def test_an_address_where_no_shop_answers_is_told(box, warehouse, landing):
    nowhere = {"shop_api": {"base_url": "http://127.0.0.1:1"}}
    limits = HttpLimits(attempts=2, first_wait_seconds=0.001)
    with pytest.raises(SourceUnreachable, match=r"ClientConnectorError \(2 tries.*`shop_api`"):
        ingest(warehouse, source_of(box, "orders", limits=limits, **nowhere), WINDOW, landing=landing)
    elsewhere = {"shop_api": {"base_url": f"{box.base_url}/wrong"}}
    with pytest.raises(ContractBroken, match="answered 404"):
        ingest(warehouse, source_of(box, "orders", **elsewhere), WINDOW, landing=landing)


class _Edited:
    """The orders of the sandbox; after some pages somebody edits an order."""

    def __init__(self, source: Source, edits: dict[int, Any]) -> None:
        self.entity, self.name, self.split, self.split_lines = (
            source.entity,
            source.name,
            source.split,
            source.split_lines,
        )
        self.parse, self.required_fields = source.parse, source.required_fields
        self._source, self._edits = source, edits

    async def pages(self, window: Window):
        number = 0
        async for page in self._source.pages(window):
            number += 1
            yield page
            if number in self._edits:
                await asyncio.to_thread(self._edits.pop(number))


@pytest.mark.parametrize("pages_before", [1, 2, 4])
@pytest.mark.parametrize("place", [3, 150, 299])
def test_orders_edited_between_pages_are_all_there_after_the_next_window(warehouse, landing, pages_before, place):
    with sandbox(customers=70, seed=3) as box:
        truth_before = box.pages("/orders", orderby="modified", order="asc")
        assert len(truth_before) > 500
        victims = [truth_before[place + number]["id"] for number in range(3)]

        def edit() -> None:
            for number, key in enumerate(victims):
                box.set_clock(f"2026-01-01T10:0{number}:00Z")
                box.edit("orders", key, modified_at=f"2026-01-01T10:0{number}:00Z", set={"status": "refunded"})

        one_at_a_time = source_of(box, "orders", limits=HttpLimits(concurrency=1))
        edited = _Edited(one_at_a_time, {pages_before: edit})
        ingest(warehouse, edited, WINDOW, landing=landing)
        untouched = {each["id"] for each in truth_before} - set(victims)
        stored = {key for (key,) in warehouse.execute("SELECT order_id FROM shop.orders")}
        assert untouched <= stored
        next_day = Window(WINDOW.end, WINDOW.end + timedelta(days=1))
        ingest(warehouse, source_of(box, "orders"), next_day, landing=landing)
        rows = warehouse.execute("SELECT order_id, status FROM shop.orders ORDER BY 1").fetchall()
        assert rows == sorted((each["id"], each["status"]) for each in box.pages("/orders"))
        lines = warehouse.execute("SELECT order_id, line_id FROM shop.order_lines").fetchall()
        listed = ("line_items", "shipping_lines", "fee_lines")
        expected = [(each["id"], line["id"]) for each in box.pages("/orders") for name in listed for line in each[name]]
        assert sorted(lines) == sorted(expected)


@pytest.mark.parametrize("entity", LISTED)
@pytest.mark.parametrize("damage", ["wrong_type", "missing_field"])
def test_malformed_rows_are_quarantined_with_where_they_lie_and_the_rest_is_loaded(
    box, warehouse, landing, truth, entity, damage
):
    fault = {"kind": "malformed_rows", "rows": 5, "damage": damage, "path": PATHS[entity], "times": 1}
    with faults(box, fault):
        run = ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    bad = 5
    assert run["validate", entity].quarantined == bad
    table = TABLES[entity][0]
    assert run["upsert", entity].inserted == len(truth[entity][table]) - bad
    source = source_of(box, entity)
    pages = {f"{run.batch}/{file}": page for file, page in landing.pages(run.batch)}
    found = warehouse.execute(
        "SELECT landing_file, landing_position, payload, reason, rule_id, source, window_start, window_end"
        " FROM quarantine.rejected_rows WHERE entity = %s",
        (entity,),
    ).fetchall()
    assert len(found) == bad
    for file, position, payload, reason, rule, name, start, end in found:
        assert masked(source.split(pages[file].body, WINDOW)[int(position)].decode()) == payload
        assert "@" not in payload, "an e-mail address reached quarantine"
        assert rule == "shape" and ("id" in reason or "messageId" in reason)
        assert (name, start, end) == (source.name, WINDOW.start, WINDOW.end)


def test_rejected_rows_met_again_stay_one_row_each_and_the_truth_arrives_once_they_are_mended(
    box, warehouse, landing, truth
):
    fault = {"kind": "malformed_rows", "rows": 4, "path": PATHS["refunds"], "seed": 1, "times": 1}
    with faults(box, fault):
        ingest(warehouse, source_of(box, "refunds"), WINDOW, landing=landing)
    before = bytes_of(warehouse)
    with faults(box, fault):
        ingest(warehouse, source_of(box, "refunds"), WINDOW, landing=landing, now=LATER)
    assert bytes_of(warehouse) == before
    ingest(warehouse, source_of(box, "refunds"), WINDOW, landing=landing, now=LATER)
    assert contents(warehouse, "refunds") == truth["refunds"]


@pytest.mark.parametrize("field", ["total", "line_items", "date_modified_gmt", "currency"])
def test_an_order_with_any_field_retyped_goes_to_quarantine_with_all_its_lines(box, warehouse, landing, truth, field):
    fault = {"kind": "malformed_rows", "rows": 3, "field": field, "path": PATHS["orders"], "times": 1}
    with faults(box, fault):
        run = ingest(warehouse, source_of(box, "orders"), WINDOW, landing=landing)
    assert run["validate", "orders"].quarantined == 3
    kept = {key for (key,) in warehouse.execute("SELECT order_id FROM shop.orders")}
    lost = {row["order_id"] for row in truth["orders"]["shop.orders"]} - kept
    assert len(lost) == 3
    lines = [row for row in truth["orders"]["shop.order_lines"] if row["order_id"] in lost]
    expected = 0 if field == "line_items" else len(lines)  # there is no telling the lines of a list that is none
    assert run["validate", "order_lines"].quarantined == expected
    rules = warehouse.execute("SELECT DISTINCT rule_id FROM quarantine.rejected_rows WHERE entity = 'order_lines'")
    assert rules.fetchall() == ([("parent_rejected",)] if expected else [])


def test_broken_json_in_an_export_line_rejects_that_line_and_in_a_shop_page_is_asked_for_again(
    box, warehouse, landing, truth
):
    fault = {"kind": "malformed_rows", "damage": "broken_json", "times": 1}
    with faults(box, {**fault, "path": PATHS["events"]}, {**fault, "path": PATHS["orders"]}):
        events = ingest(warehouse, source_of(box, "events"), WINDOW, landing=landing)
        ingest(warehouse, source_of(box, "orders"), WINDOW, landing=landing)
    assert events["validate", "events"].quarantined == 1
    assert len(contents(warehouse, "events")["shop.events"]) == len(truth["events"]["shop.events"]) - 1
    assert contents(warehouse, "orders") == truth["orders"]


def test_two_loads_in_one_transaction_of_the_caller_stand_or_fall_together(box, warehouse, landing, truth):
    source = source_of(box, "refunds")
    batch = ingest(warehouse, source, WINDOW, landing=landing).batch
    warehouse.execute("TRUNCATE shop.refunds, shop.refund_lines")
    for _ in range(2):
        service(warehouse, source, landing).load(WINDOW, batch=batch)
    warehouse.commit()
    assert contents(warehouse, "refunds") == truth["refunds"]


def test_running_every_step_again_gives_byte_identical_tables(box, warehouse, landing):
    bad_rows = {"kind": "malformed_rows", "rows": 2, "times": 1, "path": PATHS["orders"]}
    with faults(box, bad_rows):
        batches = {}
        for entity in TABLES:
            batches[entity] = ingest(warehouse, source_of(box, entity), WINDOW, landing=landing).batch
    before = bytes_of(warehouse)
    assert all(before[table] for table in (*ALL_TABLES, "quarantine.rejected_rows"))
    for entity, batch in batches.items():
        later = service(warehouse, source_of(box, entity), landing, now=LATER)
        for step in (later.validate, later.validate, later.load, later.load):
            step(WINDOW, batch=batch)
    assert bytes_of(warehouse) == before
    for entity in TABLES:
        if entity != "orders":  # two of its rows are readable now
            ingest(warehouse, source_of(box, entity), WINDOW, landing=landing, now=LATER)
    assert bytes_of(warehouse) == before


def test_a_batch_that_has_not_passed_validation_cannot_be_loaded(box, warehouse, landing):
    source = source_of(box, "orders")
    batch = asyncio.run(service(warehouse, source, landing).extract(WINDOW)).batch
    assert batch is not None
    with pytest.raises(NotValidated, match=f"{batch} has not passed validation"):
        service(warehouse, source, landing).load(WINDOW, batch=batch)
    service(warehouse, source, landing).validate(WINDOW, batch=batch)
    damaged = landing.root / batch / "page-00001.zst"
    damaged.write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"page-00001\.zst"):
        service(warehouse, source, landing).validate(WINDOW, batch=batch)
    with pytest.raises(NotValidated):
        service(warehouse, source, landing).load(WINDOW, batch=batch)
    assert warehouse.execute("SELECT count(*) FROM shop.orders").fetchone() == (0,)


def test_a_landed_page_that_validation_counts_otherwise_fails_the_run(box, warehouse, landing):
    """Landing says how many rows there are; validation must find as many, or its receipt does not close."""
    source = source_of(box, "refunds")
    batch = asyncio.run(service(warehouse, source, landing).extract(WINDOW)).batch
    assert batch is not None
    manifest = landing.root / batch / "manifest.json"
    content = json.loads(manifest.read_text())
    content["pages"][0]["rows"] += 1
    manifest.write_text(json.dumps(content))
    with pytest.raises(RuntimeError, match="does not close"):
        service(warehouse, source, landing).validate(WINDOW, batch=batch)
    assert warehouse.execute("SELECT DISTINCT step FROM ops.receipts").fetchall() == [("extract",)]


def test_two_mangled_rows_with_one_and_the_same_broken_id_are_two_rows(box, warehouse, landing):
    """Rows without a readable id must not make a list look moved for ever."""
    fault = {"kind": "malformed_rows", "rows": 100, "path": PATHS["orders"]}
    before = len(box.requests())
    with faults(box, fault), pytest.raises(TooManyRejected, match=r"orders: .* \(100.0%\) .*: shape"):
        ingest(warehouse, source_of(box, "orders"), WINDOW, landing=landing)
    (batch,) = landing.batches()
    assert len(box.requests()) - before == len(landing.manifest(batch).pages), "read once"
    kept = warehouse.execute("SELECT count(*) FROM quarantine.rejected_rows WHERE entity = 'orders'").fetchone()
    assert kept == (landing.manifest(batch).rows,)
    assert warehouse.execute("SELECT count(*) FROM shop.orders").fetchone() == (0,)


def test_every_page_carries_its_request_without_credentials(box, landing):
    for entity in TABLES:
        source = source_of(box, entity)

        async def pages(source: Source = source) -> list[Page]:
            return [page async for page in source.pages(WINDOW)]

        for page in asyncio.run(pages()):
            secrets = (box.consumer_key, box.consumer_secret, box.event_token, box.stock_key)
            assert not any(secret in page.request for secret in secrets)
            assert page.request.startswith(PATHS[entity])
