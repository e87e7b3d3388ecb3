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
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from include.entities.entity import DIGEST, INSTANT, MONEY, Entity, Expectation
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion import quality
from include.ingestion.errors import NotValidated, QualityFailed
from include.ingestion.landing import Landing
from include.ingestion.quality import check_expectations
from include.sources.factory import SOURCES
from include.sources.settings import SourceSettings
from include.sources.source import Page, Source
from tests.integration.ingestion_shop import NOW, service
from tests.properties import examples
from tests.warehouse_stores import StoresInMemory, service_over

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
        self.required_fields = real.required_fields
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


def land(source: Given, landing: Landing) -> str:
    batch = asyncio.run(service_over(StoresInMemory(), source, landing, now=NOW).extract(WINDOW)).batch
    assert batch is not None
    return batch


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path)


def results(conn) -> list[tuple]:
    return conn.execute(
        "SELECT expectation, severity, is_success, row_count, failed_count, batch FROM ops.quality_results ORDER BY 1"
    ).fetchall()


def test_a_critical_expectation_that_fails_is_kept_told_and_stops_the_load(warehouse_dsn, warehouse, landing):
    from include.warehouse.connection import connect_warehouse

    source = Given("weather_daily", weather(61.0), weather(20.0))
    batch = land(source, landing)
    told = r"breaks 1 critical .*weather_daily: ExpectColumnValuesToBeBetween .*60.* fails for 1 of 2 rows.*Nothing was"
    with pytest.raises(QualityFailed, match=told), connect_warehouse(warehouse_dsn) as conn:
        service(conn, source, landing).validate(WINDOW, batch=batch)
    assert results(warehouse) == [
        ("ExpectColumnValuesToBeBetween", "critical", False, 2, 1, batch),
        ("ExpectColumnValuesToNotBeNull", "warning", True, 2, 0, batch),
    ]
    receipts = warehouse.execute("SELECT step, received, passed, quarantined FROM ops.receipts").fetchall()
    assert receipts == [("validate", 2, 2, 0)]
    with pytest.raises(NotValidated):
        service(warehouse, source, landing).load(WINDOW, batch=batch)
    assert warehouse.execute("SELECT count(*) FROM signals.weather_daily").fetchone() == (0,)


def test_a_warning_is_recorded_and_the_load_goes_on(warehouse, landing):
    source = Given("weather_daily", weather(20.0, rain=None))
    batch = land(source, landing)
    service(warehouse, source, landing).validate(WINDOW, batch=batch)
    assert [each[:5] for each in results(warehouse) if not each[2]] == [
        ("ExpectColumnValuesToNotBeNull", "warning", False, 1, 1)
    ]
    assert service(warehouse, source, landing).load(WINDOW, batch=batch)[0].inserted == 1


def test_a_batch_that_failed_is_loaded_once_the_expectation_is_mended(warehouse, landing):
    batch = land(Given("weather_daily", weather(61.0)), landing)
    with pytest.raises(QualityFailed):
        service(warehouse, Given("weather_daily"), landing).validate(WINDOW, batch=batch)
    wider = Expectation("ExpectColumnValuesToBeBetween", {"column": "temperature_max_celsius", "max_value": 70})
    mended = Given("weather_daily", expectations=(wider,))
    service(warehouse, mended, landing).validate(WINDOW, batch=batch)
    assert service(warehouse, mended, landing).load(WINDOW, batch=batch)[0].inserted == 1


def test_an_expectation_that_fails_later_takes_back_the_leave_to_load(warehouse, landing):
    source = Given("weather_daily", weather(50.0))
    batch = land(source, landing)
    service(warehouse, source, landing).validate(WINDOW, batch=batch)
    narrower = Expectation("ExpectColumnValuesToBeBetween", {"column": "temperature_max_celsius", "max_value": 40})
    with pytest.raises(QualityFailed):
        service(warehouse, Given("weather_daily", expectations=(narrower,)), landing).validate(WINDOW, batch=batch)
    with pytest.raises(NotValidated):
        service(warehouse, source, landing).load(WINDOW, batch=batch)


def test_an_expectation_that_cannot_be_evaluated_names_the_entity_and_not_the_data(warehouse, landing):
    wrong = Expectation("ExpectColumnValuesToNotBeNull", {"column": "no_such_column"})
    source = Given("weather_daily", weather(20.0), expectations=(wrong,))
    batch = land(source, landing)
    with pytest.raises(RuntimeError, match=r"weather_daily: the expectation .*no_such_column.*Mend it in the entity"):
        service(warehouse, source, landing).validate(WINDOW, batch=batch)


@pytest.mark.parametrize("entity", ["customers", "products", "orders", "refunds", "events"])
@pytest.mark.parametrize("pages", [0, 1])
def test_an_empty_batch_passes_through_every_step(warehouse, landing, entity, pages):
    body = b"" if entity == "events" else b"[]"
    source = Given(entity, *[body] * pages)
    batch = land(source, landing)
    receipts = [
        *service(warehouse, source, landing).validate(WINDOW, batch=batch),
        *service(warehouse, source, landing).load(WINDOW, batch=batch),
    ]
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


def whole(entity: Entity, rows: pa.Table) -> list[tuple[bool, int, int]]:
    """What Great Expectations says of all rows at once."""
    import great_expectations
    from great_expectations import expectations as kinds
    from great_expectations.core.expectation_suite import ExpectationSuite

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]  # the documented form
    assets = context.data_sources.add_pandas("all").add_dataframe_asset("rows")
    definition = assets.add_batch_definition_whole_dataframe("all")
    batch = definition.get_batch(batch_parameters={"dataframe": rows.to_pandas()})
    suite = ExpectationSuite(name="oracle")
    for each in entity.expectations:
        suite.add_expectation(getattr(kinds, each.kind)(**each.arguments))
    told = {}
    for result in batch.validate(suite).results:  # not in the order asked for
        config = result.expectation_config
        told[config.type.replace("_", ""), config.kwargs.get("column")] = result
    found = [told[each.kind.lower(), each.arguments.get("column")] for each in entity.expectations]
    return [(bool(each.success), rows.num_rows, each.result.get("unexpected_count", 0)) for each in found]


MOSTLY = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9, 1.0])
OF_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("ExpectColumnValuesToNotBeNull", {"column": "number"}),
    ("ExpectColumnValuesToNotBeNull", {"column": "word"}),
    ("ExpectColumnValuesToBeBetween", {"column": "number", "min_value": 0, "max_value": 1}),
    ("ExpectColumnValuesToBeInSet", {"column": "word", "value_set": ["a", "ab"]}),
    ("ExpectColumnValuesToMatchRegex", {"column": "word", "regex": "^a"}),
    ("ExpectColumnValueLengthsToEqual", {"column": "word", "value": 1}),
    ("ExpectColumnValueLengthsToBeBetween", {"column": "word", "min_value": 1, "max_value": 2}),
]
OF_WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("ExpectColumnValuesToBeUnique", {"column": "number"}),
    ("ExpectTableRowCountToBeBetween", {"min_value": 3}),
    ("ExpectColumnMaxToBeBetween", {"column": "number", "max_value": 1}),
]


@settings(examples(15), phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"number": st.none() | st.integers(-1, 2), "word": st.none() | st.sampled_from(["a", "b", "ab", "ccc"])}
        ),
        min_size=1,
        max_size=12,
    ),
    mostly=st.lists(MOSTLY, min_size=len(OF_ROWS), max_size=len(OF_ROWS)),
    slice_rows=st.integers(1, 5),
)
def test_slices_tell_what_all_rows_at_once_tell(monkeypatch, rows, mostly, slice_rows):
    monkeypatch.setattr(quality, "SLICE_ROWS", slice_rows)
    of_rows = [Expectation(kind, {**own, "mostly": share}) for (kind, own), share in zip(OF_ROWS, mostly, strict=True)]
    of_whole = [Expectation(kind, own) for kind, own in OF_WHOLE]
    assert {each.kind for each in of_rows} == quality.ROW_BY_ROW
    entity = replace(ENTITIES["customers"], expectations=(*of_whole, *of_rows))
    schema = pa.schema([("number", pa.int64()), ("unused", pa.int64()), ("word", pa.string())])
    table = pa.Table.from_pylist(rows, schema=schema)
    results = check_expectations(entity, table.to_reader(max_chunksize=2))
    assert [(each.is_success, each.row_count, each.failed_count) for each in results] == whole(entity, table)
    assert [each.expectation for each in results] == list(entity.expectations)
