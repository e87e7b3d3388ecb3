"""Reading online: what callers get, what is refused, exact values of every type, keys that look alike."""

from __future__ import annotations

import asyncio
import struct
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
import redis
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from include.entities.window import NaiveTime, Window
from include.features.definitions.entity import Entity, JoinKey
from include.features.definitions.on_demand import ON_DEMAND_FEATURES
from include.features.definitions.versions import UnknownVersion, apply_view, current_version
from include.features.definitions.view import Feature, FeatureView
from include.features.history.historical import get_historical_features
from include.features.online.postgres import online_pool
from include.features.online.reads import AsyncOnlineFeatures, OnlineFeatures
from include.features.online.request import BadEntityRows
from include.features.registry import FEATURE_VIEWS, REGISTRY, Registry, UnknownFeature
from tests.integration.feature_shop import DAY, build_all, day, load, random_facts
from tests.integration.online_stores import MICROSECOND, Online, bits
from tests.integration.redis_process import NEEDS_REDIS
from tests.properties import examples

START = day("2024-01-01")
NOW = START + DAY * 6
KEYS = [{"customer_id": c, "product_id": p} for c, p in ((1, 1), (2, None), (None, 2), (999, 3), (1, 1), (3, 4))]
PAIR = Entity(
    name="pair",
    join_keys=(JoinKey("left_id"), JoinKey("right_name", "text")),
    description="Two keys, one of them text.",
    population="SELECT customer_id AS left_id, event_name AS right_name FROM shop.events",
)
EXACT = FeatureView(
    name="exact_values",
    entity=PAIR,
    features=tuple(
        Feature(name=f"some_{kind}", type=kind, unit="none", description="A value.")
        for kind in ("integer", "number", "money", "text")
    ),
    reads=("shop.events",),
    description="Values of every type.",
    owner="tests",
    ttl=timedelta(days=3),
    query="""
    SELECT entities.left_id, entities.right_name, snapshots.snapshot_at, count(events.event_id) AS some_integer,
        0.5::double precision AS some_number, 1::numeric AS some_money, ''::text AS some_text
    FROM entities CROSS JOIN snapshots LEFT JOIN shop.events ON events.customer_id = entities.left_id
    GROUP BY 1, 2, 3
    """,
)
PAIRS = Registry(views=(EXACT,))


@pytest.fixture
def shop(warehouse: psycopg.Connection, online: Online) -> Online:
    """A store with some days of all views."""
    load(warehouse, random_facts(4, start=START, days=6))
    build_all(warehouse, Window(START, NOW), now=NOW)
    online.publish(warehouse, now=NOW)
    return online


@pytest.mark.parametrize("later", [timedelta(0), timedelta(hours=31), timedelta(days=7, microseconds=1)])
def test_online_gives_the_table_that_history_gives_on_demand_features_included(warehouse, shop, later):
    wanted = [*FEATURE_VIEWS, *ON_DEMAND_FEATURES]
    rows = pa.Table.from_pylist(
        [key | {"event_timestamp": NOW + later} for key in KEYS],
        pa.schema({"customer_id": pa.int64(), "product_id": pa.int64(), "event_timestamp": pa.timestamp("us", "UTC")}),
    )
    history = get_historical_features(warehouse, rows, wanted).to_arrow().drop_columns(["event_timestamp"])
    answer = shop.reader.get_online_features(wanted, KEYS, at=NOW + later).to_arrow()
    assert answer.schema == history.schema
    assert bits(answer.to_pydict()) == bits(history.to_pydict())


def test_an_on_demand_feature_brings_its_inputs_but_does_not_show_them(shop):
    asked = shop.reader.get_online_features(["recency_days_now", "request_hour"], KEYS[:1], at=NOW + timedelta(hours=5))
    answer = asked.to_dict(include_statuses=True)
    stored = shop.reader.get_online_features(["customer_rfm:recency_days"], KEYS[:1], at=NOW).to_dict()
    assert list(answer) == [
        "customer_id", "recency_days_now", "request_hour", "recency_days_now__status", "request_hour__status",
    ]  # fmt: skip
    assert answer["request_hour"] == [5]
    assert answer["recency_days_now"] == [pytest.approx(stored["recency_days"][0] + 5 / 24)]


def test_a_service_a_version_and_single_features_are_understood(warehouse, shop):
    by_name = shop.reader.get_online_features("churn", KEYS, at=NOW).to_dict()
    by_views = shop.reader.get_online_features(REGISTRY.service("churn").features, KEYS, at=NOW).to_dict()
    assert bits(by_name) == bits(by_views)
    version = current_version(warehouse, FEATURE_VIEWS["customer_rfm"])
    of_version = shop.reader.get_online_features([version], KEYS, at=NOW).to_dict()
    named = shop.reader.get_online_features(["customer_rfm@1:segment"], KEYS, at=NOW).to_dict()
    assert named == {"customer_id": by_name["customer_id"], "segment": of_version["segment"]}
    with pytest.raises(UnknownFeature):
        shop.reader.get_online_features(["customer_rfm:nonsense"], KEYS, at=NOW)


def test_no_rows_give_empty_columns(shop):
    response = shop.reader.get_online_features([*FEATURE_VIEWS, "request_hour"], [], at=NOW)
    assert len(response) == 0
    assert {len(column) for column in response.to_dict(include_statuses=True).values()} == {0}
    assert response.to_arrow().num_rows == 0


def test_asynchronous_reading_gives_the_same(warehouse_dsn, shop):
    wanted = [*FEATURE_VIEWS, "recency_days_now"]

    async def read() -> list[dict[str, list]]:
        client = None
        if shop.client is not None:
            client = redis.asyncio.Redis(port=shop.client.connection_pool.connection_kwargs["port"])
        async with AsyncOnlineFeatures(warehouse_dsn, redis_client=client) as online:
            answers = await asyncio.gather(*(online.get_online_features(wanted, KEYS, at=NOW) for _ in range(8)))
        if client is not None:
            await client.aclose()
        return [answer.to_dict(include_event_timestamps=True, include_statuses=True) for answer in answers]

    expected = shop.read(KEYS, at=NOW, features=wanted)
    for answer in asyncio.run(read()):
        assert bits(answer) == bits(expected)


def test_the_instant_is_now_unless_given_and_never_naive(shop):
    assert shop.reader.get_online_features(["customer_rfm"], KEYS).at.tzinfo is not None
    with pytest.raises(NaiveTime):
        shop.reader.get_online_features(["customer_rfm"], KEYS, at=datetime(2024, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("bad", ["1", 1.0, True, 2**63, -(2**63) - 1, Decimal(1), b"1"])
def test_keys_that_are_no_integers_of_64_bits_are_refused_by_position(shop, bad):
    with pytest.raises(BadEntityRows, match=r"Entity rows 1, 3 have no usable 'customer_id'"):
        shop.reader.get_online_features(["customer_rfm"], [{"customer_id": key} for key in (1, bad, None, bad)], at=NOW)


def test_a_row_without_a_key_is_refused_and_numpy_integers_are_integers(shop):
    with pytest.raises(BadEntityRows, match=r"Entity row 1 has no 'customer_id'"):
        shop.reader.get_online_features(["customer_rfm"], [{"customer_id": 1}, {"product_id": 1}], at=NOW)
    plain = shop.reader.get_online_features(["customer_rfm"], [{"customer_id": 2**63 - 1}, {"customer_id": 1}], at=NOW)
    other = shop.reader.get_online_features(
        ["customer_rfm"], [{"customer_id": np.int64(2**63 - 1)}, {"customer_id": np.int32(1)}], at=NOW
    )
    assert bits(plain.to_dict()) == bits(other.to_dict())


def test_a_view_that_is_built_later_is_found_without_a_new_object(warehouse, warehouse_dsn):
    with OnlineFeatures(warehouse_dsn, registry=PAIRS) as online:
        with pytest.raises(UnknownVersion):
            online.get_online_features(["exact_values"], [{"left_id": 1, "right_name": ""}], at=NOW)
        apply_view(warehouse, EXACT, now=START)
        warehouse.commit()
        answer = online.get_online_features(["exact_values"], [{"left_id": 1, "right_name": ""}], at=NOW)
        assert answer.statuses["some_text"] == ["not found"]


def test_a_pool_of_the_caller_is_left_open(warehouse, warehouse_dsn):
    with online_pool(warehouse_dsn, most=2) as pool:
        with OnlineFeatures(pool) as online:
            online.get_online_features(["customer_rfm"], KEYS, at=NOW)
        with pool.connection() as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                conn.execute("DELETE FROM shop.orders")


@NEEDS_REDIS
def test_a_redis_client_that_decodes_is_refused(warehouse_dsn, redis_url):
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    with pytest.raises(ValueError, match="decode_responses"):
        OnlineFeatures(warehouse_dsn, redis_client=client)


KEY_TEXTS = st.text(
    alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("',\"{}\\|: 123"),
    max_size=5,
)
ROWS = st.dictionaries(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1) | st.sampled_from([1, 12, 123]),
        KEY_TEXTS | st.sampled_from(["23", "3", "NULL"]),
    ),
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(),
        st.none() | st.decimals(min_value=-(10**14) + 1, max_value=10**14 - 1, places=4),
        st.none() | st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    ),
    max_size=8,
)


@examples(40)
@given(rows=ROWS)
def test_values_of_every_type_and_pairs_of_keys_come_back_exactly(warehouse, online, rows):
    version = apply_view(warehouse, EXACT, now=START)
    online.registry = PAIRS
    warehouse.execute(sql.SQL("TRUNCATE {}, {}").format(version.history, version.online))
    warehouse.execute("UPDATE features.view_versions SET last_seq = last_seq + 1 WHERE view_name = 'exact_values'")
    instant = START + timedelta(microseconds=123_457)
    with warehouse.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO {} SELECT %s, %s, %s, %s, %s, last_seq, false, %s, %s, %s, %s FROM features.view_versions"
                " WHERE view_name = 'exact_values'"
            ).format(version.history),
            [(*key, instant, instant, instant, *values) for key, values in rows.items()],
        )
    warehouse.commit()
    if online.client is not None:
        online.client.delete(f"regulars:online:{version}")
    online.publish(warehouse, [EXACT], now=instant)
    keys = [{"left_id": left, "right_name": right} for left, right in rows]
    swapped = [
        {"left_id": 1, "right_name": "23"},
        {"left_id": 12, "right_name": "3"},
        {"left_id": None, "right_name": ""},
    ]
    answer = online.read([*keys, *swapped], at=instant)
    for place, key in enumerate([*rows, (1, "23"), (12, "3"), (None, "")]):
        wanted = rows.get(key, (None,) * 4)
        got = tuple(answer[feature.name][place] for feature in EXACT.features)
        assert [_exact(value) for value in got] == [_exact(value) for value in wanted], key
        assert answer["some_text__ts"][place] == (instant if key in rows else None)
    later = online.read(keys[:1], at=instant + timedelta(days=3))
    expired = online.read(keys[:1], at=instant + timedelta(days=3) + MICROSECOND)
    assert set(later["some_text__status"]) <= {"present", "null"}
    assert set(expired["some_text__status"]) <= {"outside ttl"}


def _exact(value: Any) -> Any:
    """Money as the nearest double, as readers get it; doubles by their bits, whatever NaN they are."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return "nan" if value != value else struct.pack(">d", value)
    return type(value).__name__, value
