"""Great Expectations over a batch: critical ones stop the load, warnings are recorded, results are always kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from include.entities.entity import DIGEST, INSTANT, MONEY, Entity, Expectation
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.errors import NotValidated, QualityFailed
from include.ingestion.extract import extract
from include.ingestion.landing import Landing
from include.ingestion.load import load
from include.ingestion.quality import check_expectations
from include.ingestion.validate import validate
from include.sources.factory import SOURCES
from include.sources.settings import SourceSettings
from include.sources.source import Page, Source
from tests.integration.ingestion_shop import NOW

WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC))
EVERY = [each for entity in ENTITIES.values() for each in (entity, entity.child) if each is not None]
GOOD: dict[pa.DataType, Any] = {
    pa.int64(): 5,
    pa.string(): "EUR",
    pa.bool_(): True,
    pa.float64(): 5.0,
    MONEY: Decimal(5),
    INSTANT: datetime(2024, 3, 1, tzinfo=UTC),
    pa.date32(): date(2024, 3, 1),
    DIGEST: bytes(16),
}


class Given:
    """A source whose pages are given; it reads them as the real source of its entity does."""

    def __init__(self, entity: str, *bodies: bytes, expectations: tuple[Expectation, ...] | None = None) -> None:
        _, build = SOURCES[entity]
        real: Source = build(SourceSettings(name="given", base_url="http://127.0.0.1:1"))
        self.name, self.split, self.split_lines, self.parse = real.name, real.split, real.split_lines, real.parse
        self.entity = real.entity if expectations is None else replace(real.entity, expectations=expectations)
        self._bodies = bodies

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        for body in self._bodies:
            context = {"name": "London", "latitude": 51.5, "longitude": -0.12}
            yield Page(body=body, request="/", received_at=NOW, context=context)


def weather(degrees: float | None, *, rain: float | None = 0.0) -> bytes:
    units = {"temperature_2m_max": "°C", "temperature_2m_min": "°C", "precipitation_sum": "mm"}
    columns = {"temperature_2m_max": [degrees], "temperature_2m_min": [None], "precipitation_sum": [rain]}
    return json.dumps(
        {
            "daily_units": {**units, "wind_speed_10m_max": "km/h"},
            "daily": {"time": ["2024-03-01"], **columns, "wind_speed_10m_max": [None]},
        }
    ).encode()


def land(source: Given, landing: Landing) -> dict[str, Any]:
    batch = asyncio.run(extract(source, WINDOW, landing=landing, now=NOW)).batch
    return {"batch": batch, "landing": landing, "now": NOW}


def results(conn) -> list[tuple]:
    return conn.execute(
        "SELECT expectation, severity, is_success, row_count, failed_count, batch FROM ops.quality_results ORDER BY 1"
    ).fetchall()


def test_a_critical_expectation_that_fails_is_kept_told_and_stops_the_load(warehouse_dsn, warehouse, tmp_path):
    from include.warehouse.connection import connect_warehouse

    source = Given("weather_daily", weather(61.0), weather(20.0))
    step = land(source, Landing(tmp_path))
    told = r"breaks 1 critical .*weather_daily: ExpectColumnValuesToBeBetween .*60.* fails for 1 of 2 rows.*Nothing was"
    with pytest.raises(QualityFailed, match=told), connect_warehouse(warehouse_dsn) as conn:
        validate(conn, source, WINDOW, **step)
    assert results(warehouse) == [
        ("ExpectColumnValuesToBeBetween", "critical", False, 2, 1, step["batch"]),
        ("ExpectColumnValuesToNotBeNull", "warning", True, 2, 0, step["batch"]),
    ]
    receipts = warehouse.execute("SELECT step, received, passed, quarantined FROM ops.receipts").fetchall()
    assert receipts == [("validate", 2, 2, 0)]
    with pytest.raises(NotValidated):
        load(warehouse, source, WINDOW, **step)
    assert warehouse.execute("SELECT count(*) FROM signals.weather_daily").fetchone() == (0,)


def test_a_warning_is_recorded_and_the_load_goes_on(warehouse, tmp_path):
    source = Given("weather_daily", weather(20.0, rain=None))
    step = land(source, Landing(tmp_path))
    validate(warehouse, source, WINDOW, **step)
    assert [each[:5] for each in results(warehouse) if not each[2]] == [
        ("ExpectColumnValuesToNotBeNull", "warning", False, 1, 1)
    ]
    assert load(warehouse, source, WINDOW, **step)[0].inserted == 1


def test_a_batch_that_failed_is_loaded_once_the_expectation_is_mended(warehouse, tmp_path):
    step = land(Given("weather_daily", weather(61.0)), Landing(tmp_path))
    with pytest.raises(QualityFailed):
        validate(warehouse, Given("weather_daily"), WINDOW, **step)
    wider = Expectation("ExpectColumnValuesToBeBetween", {"column": "temperature_max_celsius", "max_value": 70})
    mended = Given("weather_daily", expectations=(wider,))
    validate(warehouse, mended, WINDOW, **step)
    assert load(warehouse, mended, WINDOW, **step)[0].inserted == 1


def test_an_expectation_that_fails_later_takes_back_the_leave_to_load(warehouse, tmp_path):
    source = Given("weather_daily", weather(50.0))
    step = land(source, Landing(tmp_path))
    validate(warehouse, source, WINDOW, **step)
    narrower = Expectation("ExpectColumnValuesToBeBetween", {"column": "temperature_max_celsius", "max_value": 40})
    with pytest.raises(QualityFailed):
        validate(warehouse, Given("weather_daily", expectations=(narrower,)), WINDOW, **step)
    with pytest.raises(NotValidated):
        load(warehouse, source, WINDOW, **step)


def test_an_expectation_that_cannot_be_evaluated_names_the_entity_and_not_the_data(warehouse, tmp_path):
    wrong = Expectation("ExpectColumnValuesToNotBeNull", {"column": "no_such_column"})
    source = Given("weather_daily", weather(20.0), expectations=(wrong,))
    step = land(source, Landing(tmp_path))
    with pytest.raises(RuntimeError, match=r"weather_daily: the expectation .*no_such_column.*Mend it in the entity"):
        validate(warehouse, source, WINDOW, **step)


@pytest.mark.parametrize("entity", ["customers", "products", "orders", "refunds", "events"])
@pytest.mark.parametrize("pages", [0, 1])
def test_an_empty_batch_passes_through_every_step(warehouse, tmp_path, entity, pages):
    body = b"" if entity == "events" else b"[]"
    source = Given(entity, *[body] * pages)
    step = land(source, Landing(tmp_path))
    receipts = [*validate(warehouse, source, WINDOW, **step), *load(warehouse, source, WINDOW, **step)]
    assert {each.received for each in receipts} == {0}
    assert results(warehouse) == []


def broken(expectation: Expectation) -> dict[str, Any]:
    """A column's value for which the expectation does not hold."""
    arguments = expectation.arguments
    if expectation.kind == "ExpectColumnValuesToNotBeNull":
        return {arguments["column"]: None}
    if expectation.kind == "ExpectColumnValuesToBeBetween":
        return {arguments["column"]: -1000}
    text = "" if "min_value" in arguments else "nothing like it"
    return {arguments["column"]: text}


CASES = [(entity, number) for entity in EVERY for number in range(len(entity.expectations))]


@pytest.mark.parametrize(("entity", "number"), CASES, ids=lambda value: getattr(value, "name", value))
def test_every_expectation_of_every_entity_can_fail(entity: Entity, number: int):
    kind = {"kind": "fee"} if "kind" in entity.columns else {}
    email = {"email": "a@b"} if "email" in entity.columns else {}
    good = {column.name: GOOD[column.type] for column in entity.arrow_schema} | kind | email
    bad = good | broken(entity.expectations[number])

    def outcomes(row: dict[str, Any]) -> list[bool]:
        rows = pa.Table.from_pylist([row], schema=entity.arrow_schema)
        return [result.is_success for result in check_expectations(entity, rows)]

    assert outcomes(good) == [True] * len(entity.expectations)
    assert not outcomes(bad)[number]


def test_the_oldest_and_the_furthest_times_and_the_greatest_amounts_can_be_looked_at():
    rows = []
    for moment, amount in (
        (datetime.min.replace(tzinfo=UTC), Decimal(0)),
        (datetime.max.replace(tzinfo=UTC), Decimal(10**18 - 1).scaleb(-4)),
    ):
        rows.append({column.name: GOOD[column.type] for column in ENTITIES["orders"].arrow_schema})
        rows[-1] |= {"placed_at": moment, "paid_at": moment + timedelta(0), "total_amount": amount}
    batch = pa.Table.from_pylist(rows, schema=ENTITIES["orders"].arrow_schema)
    assert all(result.is_success for result in check_expectations(ENTITIES["orders"], batch))
