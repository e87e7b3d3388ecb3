"""Hostile values from an API's answer to the tables: each is stored exactly as sent, or in quarantine with its reason.

And Postgres never sees one as part of a statement: the statements that the server logs hold none, and a table whose
name stands in each piece of SQL is still there, row and all.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from typing import Any

import psycopg
import pytest

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.errors import ContractBroken, SourceError
from tests.hostile_values import (
    UNREADABLE,
    VALUES,
    hostile_prices,
    hostile_rows,
    hostile_weather,
    numbered,
    with_doubled_keys,
    with_value,
)
from tests.integration.canned_api import LISTS, PLACE, CannedApi, canned_api
from tests.integration.ingestion_shop import TABLES, Run, ingest
from tests.integration.logged_warehouse import logged_warehouse, without_a_payload_in_the_log
from tests.soak.landed import CHILD, bodies, cut_out
from tests.unit.hostile_pages import places_in
from tests.unit.source_pages import WINDOW, row
from tests.wire_rows import (
    KEYS,
    LINE_TABLES,
    NOT_TOLD,
    OBSERVED,
    Row,
    lines_in,
    read_json,
    row_of_line,
    row_without_lines,
)

DAY = timedelta(days=1)
CONTEXT: dict[str, dict[str, Any]] = {
    "weather_daily": PLACE,
    "stock_prices_daily": {"symbol": "AMZN", "currency": "USD"},
}
TEN_MEGABYTES = 10 * 2**20


@pytest.fixture(scope="module")
def conn(postgres_server) -> Iterator[psycopg.Connection]:
    with logged_warehouse(postgres_server, "hostile") as connection:
        yield connection


@pytest.fixture
def log(postgres_server, conn) -> Iterator[None]:
    """At the end nothing of a payload stands in a statement that the server logged."""
    with without_a_payload_in_the_log(postgres_server, conn):
        yield


@pytest.fixture
def api() -> Iterator[CannedApi]:
    with canned_api() as served:
        yield served


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


def raw_rows(entity: str, body: bytes) -> list[bytes]:
    """The raw rows of an answer, cut out with Python's own JSON."""
    if entity == "events":
        return [line for line in body.split(b"\n") if line.strip()]
    if entity in LISTS:
        return cut_out(body)
    content = json.loads(body, parse_float=Exact, parse_int=Exact)
    if entity == "weather_daily":
        daily = content["daily"]
        return [encoded(dict(zip(daily, cells, strict=True))) for cells in zip(*daily.values(), strict=True)]
    days = content["Time Series (Daily)"].items()
    return [
        encoded({**(told if isinstance(told, dict) else {"numbers": told}), "day": day}) for day, told in sorted(days)
    ]


class Exact(float):
    """A number that is written again as it was read."""

    def __new__(cls, text: str) -> Exact:
        made = super().__new__(cls, text)
        made.text = text  # type: ignore[attr-defined]
        return made


def encoded(value: Any) -> bytes:
    """JSON with numbers as they were read."""
    if isinstance(value, Exact):
        return value.text.encode()  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return b"{" + b",".join(json.dumps(name).encode() + b":" + encoded(part) for name, part in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(encoded, value)) + b"]"
    return json.dumps(value).encode()


def rejected(conn: psycopg.Connection) -> dict[tuple[str, str, str], str]:
    """Reasons by entity, landed file and position."""
    rows = conn.execute(
        "SELECT entity, landing_file, landing_position, rule_id || ': ' || reason FROM quarantine.rejected_rows"
    ).fetchall()
    conn.rollback()
    return {(entity, file, position): reason for entity, file, position, reason in rows}


def stored(conn: psycopg.Connection, entity: str) -> dict[str, dict[tuple[Any, ...], Row]]:
    """Rows of the entity's tables by key, without what only the writing knows."""
    found: dict[str, dict[tuple[Any, ...], Row]] = {}
    for number, table in enumerate(TABLES[entity]):
        cursor = conn.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description or ()]
        dropped = NOT_TOLD | ({"source_updated_at"} if number or entity in OBSERVED else set())
        rows = [{n: v for n, v in zip(names, values, strict=True) if n not in dropped} for values in cursor]
        found[table] = {tuple(each[name] for name in KEYS[table]): each for each in rows}
    conn.rollback()
    return found


def assert_each_is_stored_or_rejected(conn: psycopg.Connection, landing: Landing, run: Run, entity: str) -> list[str]:
    """Every row that was sent is in its tables exactly as sent, or in quarantine; gives the reasons."""
    reasons, tables = rejected(conn), stored(conn, entity)
    main = TABLES[entity][0]
    context = CONTEXT.get(entity, {"currency": "EUR"})
    seen = set()
    for file, body, repeated in bodies(landing, run.batch):
        for position, raw in enumerate(raw_rows(entity, body)):
            if position < repeated:
                continue
            place = (entity, file, str(position))
            inside = {other for other in reasons if other[1] == file and other[2].startswith(f"{position}.")}
            seen |= inside
            if place in reasons:
                seen.add(place)
                continue
            wire = read_json(raw)
            own = row_without_lines(entity, wire, context)
            assert same(tables[main].get(tuple(own[name] for name in KEYS[main])), own), f"sent as {raw[:300]!r}"
            for number, (kind, line) in enumerate(lines_in(wire) if entity in CHILD else ()):
                if (CHILD[entity], file, f"{position}.{number}") in inside:
                    continue
                table, sent = LINE_TABLES[entity], row_of_line(entity, kind, line, wire)
                assert same(tables[table].get(tuple(sent[name] for name in KEYS[table])), sent), f"sent as {line}"
    assert set(reasons) == seen, "quarantine holds rows that were never sent"
    assert all(reason.partition(": ")[2] for reason in reasons.values())
    return sorted(set(reasons.values()))


def same(found: Any, sent: Any) -> bool:
    """Equal and of one kind all the way down: true is not 1."""
    if isinstance(sent, dict):
        return isinstance(found, dict) and found.keys() == sent.keys() and all(same(found[k], sent[k]) for k in sent)
    if isinstance(sent, list):
        return isinstance(found, list) and len(found) == len(sent) and all(map(same, found, sent))
    return isinstance(found, bool) == isinstance(sent, bool) and found == sent


@pytest.mark.parametrize("entity", [*LISTS, "events"])
def test_every_hostile_value_in_every_field_is_stored_exactly_or_rejected_with_its_reason(
    conn, log, api, landing, entity
):
    api.rows = [json.dumps(numbered(entity, 1)).encode(), *hostile_rows(entity), *with_doubled_keys(entity)]
    run = ingest(conn, api.source(entity), WINDOW, landing=landing)
    reasons = assert_each_is_stored_or_rejected(conn, landing, run, entity)
    loaded = run["upsert", entity]
    assert loaded.received >= len(api.rows) > 500
    assert loaded.inserted > 0 and loaded.quarantined > 0
    assert len(reasons) > 10


@pytest.mark.parametrize("entity", sorted(OBSERVED))
def test_every_hostile_value_of_a_day_is_stored_exactly_or_rejected_with_its_reason(conn, log, api, landing, entity):
    first = date(2024, 3, 1)
    make = hostile_weather if entity == "weather_daily" else hostile_prices
    api.body, count = make(first, VALUES)
    start = datetime.combine(first, time.min, UTC) + ENTITIES[entity].look_back
    window = Window(start, datetime.combine(first, time.min, UTC) + count * DAY)
    run = ingest(conn, api.source(entity), window, landing=landing)
    reasons = assert_each_is_stored_or_rejected(conn, landing, run, entity)
    loaded = run["upsert", entity]
    assert loaded.received == count > 200
    assert loaded.inserted > 0 and loaded.quarantined > 0
    assert len(reasons) > 10


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("entity", LISTS)
def test_what_no_reader_takes_anywhere_in_a_list_fails_the_run_or_rejects_the_row(
    conn, log, api, landing, entity, what
):
    good = numbered(entity, 1)
    for place in [place for place in places_in(good)[1:] if len(place) == 1 or place[0] == "line_items"][::6]:
        api.rows = [json.dumps(numbered(entity, 2)).encode(), with_value(good, place, UNREADABLE[what])]
        try:
            run = ingest(conn, api.source(entity), WINDOW, landing=landing)
        except ContractBroken as error:
            assert "cannot be read" in str(error) and "Nothing was loaded" in str(error)
            assert not any(stored(conn, entity).values())
        else:
            assert run["upsert", entity].quarantined + run["upsert", entity].received >= 2
            assert_the_bad_one_is_not_stored(conn, entity, good_key=2, bad_key=1)
            conn.execute(f"TRUNCATE {', '.join(TABLES[entity])}")
            conn.commit()


def assert_the_bad_one_is_not_stored(conn: psycopg.Connection, entity: str, *, good_key: int, bad_key: int) -> None:
    """The good row is in its table; the bad one, or the line of it that was bad, is in quarantine."""
    keys = set(stored(conn, entity)[TABLES[entity][0]])
    assert (good_key,) in keys
    assert (bad_key,) not in keys or rejected(conn)


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_no_reader_takes_in_an_export_rejects_its_line_alone(conn, log, api, landing, what):
    places = places_in(row("events"))[1:]
    api.rows = [
        json.dumps(numbered("events", 1)).encode(),
        *(with_value(numbered("events", 10 + number), place, UNREADABLE[what]) for number, place in enumerate(places)),
    ]
    run = ingest(conn, api.source("events"), WINDOW, landing=landing)
    loaded = run["upsert", "events"]
    assert loaded.received == loaded.inserted + loaded.quarantined == len(places) + 1
    unused = {f"m-{10 + number}" for number, place in enumerate(places) if place == ("type",)}
    assert {key for (key,) in stored(conn, "events")["shop.events"]} <= {"m-1"} | unused
    assert all(reason.startswith("shape: ") for reason in rejected(conn).values())


@pytest.mark.parametrize("entity", [*LISTS, "events"])
def test_ten_megabytes_in_any_text_are_stored_exactly_or_rejected(conn, log, api, landing, entity, monkeypatch):
    monkeypatch.setattr("include.sources.woocommerce_list.PER_PAGE", 4)
    monkeypatch.setattr("include.sources.woocommerce_list.MOST_SHARED", 2)
    monkeypatch.setattr("include.sources.woocommerce.PER_PAGE", 4, raising=False)
    texts = [place for place in places_in(numbered(entity, 1)) if isinstance(value_at(numbered(entity, 1), place), str)]
    huge = json.dumps("ten megabytes " + "x" * TEN_MEGABYTES).encode()
    good = [json.dumps(numbered(entity, 1)).encode()]
    for first in range(0, len(texts), 3):
        chosen = texts[first : first + 3]
        api.rows = good + [with_value(numbered(entity, 100 + first + n), place, huge) for n, place in enumerate(chosen)]
        run = ingest(conn, api.source(entity), WINDOW, landing=landing)
        assert run["upsert", entity].received == len(chosen) + 1
        assert_each_is_stored_or_rejected(conn, landing, run, entity)
        conn.execute(f"TRUNCATE {', '.join(TABLES[entity])}, quarantine.rejected_rows")
        conn.commit()


@pytest.mark.parametrize("entity", sorted(OBSERVED))
def test_ten_megabytes_in_any_value_of_a_day_are_stored_exactly_or_rejected(conn, log, api, landing, entity):
    make, good = (hostile_weather, "1.5") if entity == "weather_daily" else (hostile_prices, '"1.5"')
    api.body, count = make(date(2024, 3, 1), [json.dumps("ten megabytes " + "x" * TEN_MEGABYTES), good])
    first = datetime(2024, 3, 1, tzinfo=UTC)
    window = Window(first + ENTITIES[entity].look_back, first + count * DAY)
    run = ingest(conn, api.source(entity), window, landing=landing)
    assert_each_is_stored_or_rejected(conn, landing, run, entity)
    loaded = run["upsert", entity]
    assert loaded.received == count >= 10
    assert loaded.quarantined >= count / 2 > loaded.inserted > 0
    conn.execute(f"TRUNCATE {', '.join(TABLES[entity])}, quarantine.rejected_rows")
    conn.commit()


def value_at(value: Any, place: Sequence[Any]) -> Any:
    for step in place:
        value = value[step]
    return value


def bomb(megabytes: int) -> bytes:
    return gzip.compress(b" " * (megabytes << 20))


BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "gzip bomb": (bomb(200), {"Content-Encoding": "gzip"}),
    "deflate bomb": (zlib.compress(b" " * (200 << 20)), {"Content-Encoding": "deflate"}),
    "bomb in a bomb": (gzip.compress(bomb(200)), {"Content-Encoding": "gzip, gzip"}),
    "no gzip at all": (b"[]", {"Content-Encoding": "gzip"}),
    "empty body": (b"", {}),
    "BOM alone": (b"\xef\xbb\xbf", {}),
    "UTF-16": ('[{"id": 1}]'.encode("utf-16"), {}),
    "null": (b"null", {}),
    "a number": (b"1e999999", {}),
    "brackets": (b"[" * 1_000_000, {}),
    "braces": (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, {}),
    "zeros": (b"\x00" * 1_000, {}),
}


A_QUIET_NIGHT = ("events", "empty body")
"""An export without events answers with nothing: no error, and the next test's case."""


@pytest.mark.parametrize(
    ("entity", "what"), sorted({*product([*LISTS, "events", *OBSERVED], BODIES)} - {A_QUIET_NIGHT})
)
def test_a_body_that_is_none_fails_the_run_clearly_and_nothing_is_loaded(conn, api, landing, entity, what):
    api.body, api.headers = BODIES[what]
    with pytest.raises(SourceError, match="Nothing was loaded") as failed:
        ingest(conn, api.source(entity), WINDOW, landing=landing)
    assert len(str(failed.value)) < 1_500
    assert not any(stored(conn, entity).values())
    assert list(landing.batches()) == []


def test_an_export_that_answers_nothing_is_believed_once_it_has_said_so_twice(conn, api, landing):
    entity, what = A_QUIET_NIGHT
    api.body, api.headers = BODIES[what]
    run = ingest(conn, api.source(entity), WINDOW, landing=landing)
    assert run["upsert", entity].received == 0
    assert len(api.asked) > 2 and set(Counter(api.asked).values()) == {2}


@pytest.mark.parametrize("entity", [*LISTS, "events"])
def test_a_byte_order_mark_before_good_rows_loses_none_of_them(conn, log, api, landing, entity):
    """Either the rows are read, or the run fails."""
    rows = [json.dumps(numbered(entity, number)).encode() for number in (1, 2, 3)]
    body = b"[" + b",".join(rows) + b"]" if entity in LISTS else b"\n".join(rows)
    api.rows, api.body = rows, b"\xef\xbb\xbf" + body
    try:
        run = ingest(conn, api.source(entity), Window(WINDOW.start, WINDOW.start + 3 * DAY), landing=landing)
    except ContractBroken as error:
        assert "cannot be read" in str(error)
        return
    loaded = run["upsert", entity]
    assert loaded.inserted + loaded.quarantined == 3
    assert loaded.inserted >= 2
