"""The exported definitions in the real Feast: the same frame of entities gives the same features as here."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from psycopg import Connection

from bench.feast_peer.environment import ask_feast, feast_python
from bench.own_environment import EnvironmentUnavailable
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.entity import Entity, JoinKey
from include.features.definitions.service import FeatureService
from include.features.definitions.versions import apply_view
from include.features.definitions.view import Feature, FeatureView
from include.features.feast_export import export_feast
from include.features.history.historical import get_historical_features
from include.features.registry import FEATURE_VIEWS, Registry
from include.features.registry import REGISTRY as SHOP
from tests.integration.feature_shop import DAY, day, load, random_facts
from tests.integration.whole_facts import CUSTOMERS, PRODUCTS, put, whole_facts

pytestmark = pytest.mark.slow

START = day("2024-01-01")
FIRST = Window(START + 20 * DAY, START + 40 * DAY)
BUILT = START + 40 * DAY + timedelta(hours=1)
CORRECTED = START + 41 * DAY + timedelta(hours=1)
VIEWS = [FEATURE_VIEWS["customer_rfm"], FEATURE_VIEWS["customer_activity"]]
REGISTRY = Registry(
    views=tuple(VIEWS),
    services=(
        FeatureService(
            name="some",
            features=("customer_rfm", f"customer_activity:{VIEWS[1].feature_names[0]}"),
            description="One view and one feature.",
            owner="growth",
        ),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def with_feast() -> None:
    try:
        feast_python()
    except EnvironmentUnavailable as error:
        pytest.skip(f"Feast's environment cannot be made ({error})")


@pytest.fixture
def history(warehouse: Connection) -> Connection:
    """First builds, corrections of most snapshots a day later, and the tombstones of a customer that bought nothing."""
    facts = random_facts(7, start=START, days=42)
    random.Random(7).shuffle(facts)
    late = len(facts) // 5
    load(warehouse, facts[late:])
    _build(warehouse, FIRST, now=BUILT)
    load(warehouse, facts[:late])
    warehouse.execute("DELETE FROM shop.orders WHERE customer_id = 3")
    warehouse.commit()
    _build(warehouse, FIRST, now=CORRECTED)
    return warehouse


def _build(conn: Connection, window: Window, *, now: datetime) -> None:
    for view in VIEWS:
        build_view(conn, view, window, now=now)
    conn.commit()


def _entity_df() -> pd.DataFrame:
    """Customers known and unknown, at midnights, at the edges of the TTLs, and before and after the corrections."""
    instants = [START + 20 * DAY + timedelta(hours=7) * number for number in range(80)]
    instants += [START + DAY * number for number in range(19, 60)]
    instants += [CORRECTED, CORRECTED - timedelta(microseconds=1)]
    for view in VIEWS:
        if view.ttl:
            instants += [START + 40 * DAY + view.ttl + timedelta(microseconds=off) for off in (-1, 0, 1)]
    rows = [(customer, instant) for customer in (*range(1, 9), 4_711) for instant in sorted(set(instants))]
    random.Random(8).shuffle(rows)
    frame = pd.DataFrame(rows, columns=["customer_id", "event_timestamp"])
    frame["event_timestamp"] = frame["event_timestamp"].astype("datetime64[us, UTC]")
    return frame


@pytest.mark.parametrize("mode", ["as_known", "as_corrected"])
def test_feast_gives_the_same_history(history, warehouse_dsn, tmp_path, mode):
    export_feast(history, tmp_path, REGISTRY)
    entity_df = _entity_df()
    ours = get_historical_features(history, entity_df, VIEWS, mode=mode).to_df()
    entity_df.to_parquet(tmp_path / "entity_df.parquet")
    ask_feast(
        warehouse_dsn,
        repository=str(tmp_path),
        apply=True,
        wanted="history",
        entity_df=str(tmp_path / "entity_df.parquet"),
        features=[f"{view}:{name}" for view in VIEWS for name in view.feature_names],
        as_known=mode == "as_known",
        result=str(tmp_path / "result.parquet"),
    )
    feasts = pd.read_parquet(tmp_path / "result.parquet")
    assert len(feasts) == len(ours)
    by = ["customer_id", "event_timestamp"]
    ours, feasts = ours.sort_values(by), feasts.sort_values(by)
    found = 0
    for view in VIEWS:
        found += ours[f"{view}_status"].value_counts().reindex(["present", "not found", "outside ttl"]).min()
        for feature in view.features:
            assert _values(ours[feature.name]) == _values(feasts[feature.name]), feature.name
    assert found > 0, "some rows of each status must be there, or nothing was compared"


def test_feast_gives_the_same_values_of_every_view_of_the_shop(warehouse, warehouse_dsn, tmp_path):
    put(warehouse, whole_facts(1, start=START - 60 * DAY, days=100))
    for view in FEATURE_VIEWS.values():
        build_view(warehouse, view, FIRST, now=BUILT)
    warehouse.commit()
    export_feast(warehouse, tmp_path, SHOP)
    rows = [
        (customer, product, START + DAY * number)
        for customer in CUSTOMERS
        for product in PRODUCTS
        for number in (25, 40)
    ]
    entity_df = pd.DataFrame(rows, columns=["customer_id", "product_id", "event_timestamp"])
    entity_df["event_timestamp"] = entity_df["event_timestamp"].astype("datetime64[us, UTC]")
    entity_df.to_parquet(tmp_path / "entity_df.parquet")
    views = list(FEATURE_VIEWS.values())
    ask_feast(
        warehouse_dsn, repository=str(tmp_path), apply=True, wanted="history",
        entity_df=str(tmp_path / "entity_df.parquet"),
        features=[f"{view}:{name}" for view in views for name in view.feature_names],
        as_known=True, result=str(tmp_path / "result.parquet"),
    )  # fmt: skip
    by = list(entity_df.columns)
    ours = get_historical_features(warehouse, entity_df, views).to_df().sort_values(by)
    feasts = pd.read_parquet(tmp_path / "result.parquet").sort_values(by)
    for view in views:
        assert "present" in set(ours[f"{view}_status"])
        for feature in view.features:
            assert _values(ours[feature.name]) == _values(feasts[feature.name]), feature.name


def _values(column: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in column.astype(object).replace({np.nan: None})]


def test_as_corrected_and_as_known_differ_in_this_history(history):
    known, corrected = (
        get_historical_features(history, _entity_df(), VIEWS, mode=mode).to_df()
        for mode in ("as_known", "as_corrected")
    )
    assert not known.equals(corrected)


def test_feast_materializes_and_serves_the_newest_rows(history, warehouse_dsn, tmp_path):
    export_feast(history, tmp_path, REGISTRY)
    view = VIEWS[0]
    asked = {"repository": str(tmp_path), "features": [f"{view}:{name}" for name in view.feature_names]}
    ask_feast(
        warehouse_dsn,
        **asked,
        apply=True,
        wanted="materialize",
        views=[view.name],
        start=START.isoformat(),
        end=CORRECTED.isoformat(),
    )
    customers = list(range(1, 9))
    answer = ask_feast(
        warehouse_dsn, **asked, wanted="online", entity_rows=[[{"customer_id": each} for each in customers]], show=True
    )["answer"]
    entity_df = pd.DataFrame({"customer_id": customers, "event_timestamp": [pd.Timestamp(CORRECTED)] * len(customers)})
    ours = get_historical_features(history, entity_df, [view]).to_df()
    for name in view.feature_names:
        assert answer[name] == _values(ours[name]), name


def test_no_password_is_written(history, warehouse_dsn, tmp_path):
    export_feast(history, tmp_path, REGISTRY)
    password = history.info.password
    assert password and not any(password in file.read_text() for file in tmp_path.iterdir())


PAIRS = FeatureView(
    name="pairs",
    entity=Entity(
        name="pair",
        join_keys=(JoinKey("first_key", "text"), JoinKey("second_key", "text")),
        description="Two texts.",
        population="SELECT 'a' AS first_key, 'b' AS second_key",
    ),
    features=(Feature(name="pair_score", type="number", unit="points", description="A score."),),
    reads=("shop.orders",),
    description="Scores of pairs.",
    owner="growth",
    query="SELECT first_key, second_key, snapshot_at, 1.0::double precision AS pair_score"
    " FROM entities CROSS JOIN snapshots WHERE EXISTS (SELECT FROM shop.orders)",
)


def test_views_that_feast_would_mix_up_or_that_were_never_built_are_left_out_with_the_reason(warehouse, tmp_path):
    apply_view(warehouse, PAIRS, now=datetime(2024, 1, 1, tzinfo=UTC))
    unbuilt = FeatureView(
        name="unbuilt",
        entity=VIEWS[0].entity,
        features=(Feature(name="nothing", type="integer", unit="things", description="Nothing."),),
        reads=("shop.orders",),
        description="Never built.",
        owner="growth",
        query="SELECT 1",
    )
    wants_pairs = FeatureService(name="wants_pairs", features=("pairs",), description="A service.", owner="growth")
    exported = export_feast(warehouse, tmp_path, Registry(views=(VIEWS[0], PAIRS, unbuilt), services=(wants_pairs,)))
    assert exported.views == ("customer_rfm",)
    assert "several columns" in exported.left_out["pairs"]
    assert "never built" in exported.left_out["unbuilt"]
    assert "left out" in exported.left_out["wants_pairs"]
    written = Path(tmp_path / "features.py").read_text()
    assert "pair_score" not in written and "unbuilt" not in written
