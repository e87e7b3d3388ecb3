"""What can be asked of history by name, from where entity rows may come, and where the result may go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from include.features.definitions.selection import TwoVersions
from include.features.definitions.service import FeatureService
from include.features.definitions.versions import UnknownVersion, current_version
from include.features.history.historical import NotInDatabase, PostgresEngine, get_historical_features
from include.features.history.mirror import Mirror
from include.features.history.spine import BadSpine, LabelBeforeSpine
from include.features.history.table_join import TableTaken
from include.features.registry import REGISTRY as SHOP
from include.features.registry import Registry, UnknownFeature
from include.warehouse.connection import connect_warehouse
from tests.integration.history_oracle import BY_NUMBER, BY_TEXT, Row, at, write

SERVICE = FeatureService(
    name="model", features=("by_text:by_text_text", "by_number"), description="for tests", owner="tests"
)
REGISTRY = Registry(views=(BY_NUMBER, BY_TEXT), services=(SERVICE,))
NAMES = [f"by_number_{name}" for name in ("whole", "number", "money", "text", "status")]


@pytest.fixture
def shop(warehouse):
    write(warehouse, BY_NUMBER, [Row((1,), values=(11, 0.5, None, "eleven"))])
    write(warehouse, BY_TEXT, [Row(("a",), values=(12, 0.25, None, "twelve"))])
    return warehouse


def frame(*, ticks: tuple[int, ...] = (0,), **columns) -> pd.DataFrame:
    rows = {"left_id": [1], "code": ["a"]} | columns
    return pd.DataFrame(rows | {"event_timestamp": pd.Series([at(t) for t in ticks], dtype="datetime64[us, UTC]")})


def added(joined: pd.DataFrame) -> list[str]:
    return [name for name in joined.columns if name not in ("left_id", "code", "event_timestamp")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["by_number"], NAMES),
        ([BY_NUMBER], NAMES),
        (["by_number@1"], NAMES),
        (["by_number@1:by_number_money"], ["by_number_money", "by_number_status"]),
        (["by_number:by_number_text", "by_number:by_number_whole"], ["by_number_text", NAMES[0], "by_number_status"]),
        ("model", ["by_text_text", "by_text_status", *NAMES]),
        (SERVICE, ["by_text_text", "by_text_status", *NAMES]),
    ],
)
def test_features_are_asked_for_by_view_version_name_or_service(shop, wanted, names):
    assert added(get_historical_features(shop, frame(), wanted, registry=REGISTRY).to_df()) == names


def test_a_stored_version_is_read_by_its_own_definition(shop):
    """A model that learnt from the first version keeps it, with its TTL, after the definition has changed."""
    changed = replace(BY_NUMBER, ttl=timedelta(days=1))
    version = write(shop, changed, [Row((1,), values=(22, None, None, None))])
    registry = Registry(views=(changed,))
    rows = frame(ticks=(4,))
    old = get_historical_features(shop, rows, ["by_number@1"], registry=registry).to_df()
    new = get_historical_features(shop, rows, ["by_number"], registry=registry).to_df()
    assert old["by_number_status"].tolist() == ["outside ttl"]
    assert new["by_number_whole"].tolist() == [22]
    same = get_historical_features(shop, rows, [version], registry=registry).to_df()
    pd.testing.assert_frame_equal(same, new)
    with pytest.raises(TwoVersions, match="by_number@1 and by_number@2"):
        get_historical_features(shop, rows, ["by_number@1", "by_number"], registry=registry)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (["nothing"], UnknownFeature),
        (["by_number:nothing"], UnknownFeature),
        (["by_number@1:nothing"], UnknownFeature),
        (["by_number@one"], UnknownFeature),
        (["by_number@7"], UnknownVersion),
        ([replace(BY_NUMBER, ttl=timedelta(days=9))], UnknownVersion),
        ("nothing", UnknownFeature),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_read(shop, wanted, error):
    with pytest.raises(error):
        get_historical_features(shop, frame(), wanted, registry=REGISTRY)


def test_the_snapshot_that_features_are_from_is_given_when_it_is_wanted(shop):
    rows = frame(left_id=[1, 1, 2], code=["a"] * 3, ticks=(3, 4, 4))
    result = get_historical_features(shop, rows, ["by_number"], registry=REGISTRY, with_event_times=True)
    assert result.to_arrow()["by_number__event_time"].to_pylist() == [at(0), at(0), None]
    assert result.to_table("with_times") == 3
    assert shop.execute("SELECT by_number__event_time FROM ml.with_times ORDER BY row_number").fetchall() == [
        (at(0),), (at(0),), (None,),
    ]  # fmt: skip


def test_on_demand_features_are_computed_from_the_instant_and_from_what_was_known_then(warehouse):
    """A Sunday; the input feature is read though nobody asked to see it."""
    snapshot = at(0)
    warehouse.execute(
        """INSERT INTO features.customer_rfm_v1 (customer_id, event_time, available_time, ingested_at, seq,
        is_tombstone, recency_days) VALUES (1, %(t)s, %(t)s, %(t)s, 1, false, 2.5)""",
        {"t": snapshot},
    )
    instants = pd.Series([snapshot + timedelta(days=1.5), snapshot], dtype="datetime64[us, UTC]")
    rows = pd.DataFrame({"customer_id": [1, 2], "event_timestamp": instants})
    wanted = ["request_weekday", "recency_days_now"]
    joined = get_historical_features(warehouse, rows, wanted, registry=SHOP).to_df()
    assert list(joined.columns[2:]) == wanted
    assert joined["request_weekday"].tolist() == [1, 7]
    assert joined["recency_days_now"].iloc[0] == 4.0
    assert pd.isna(joined["recency_days_now"].iloc[1])
    with pytest.raises(NotInDatabase, match="request_weekday"):
        get_historical_features(warehouse, rows, wanted, registry=SHOP).to_table("somewhere")


def test_an_on_demand_feature_is_computed_from_the_version_that_is_wanted_of_its_view(warehouse):
    """A model that learnt from the first version of a view keeps it after the definition has changed."""
    warehouse.execute(
        """INSERT INTO features.customer_rfm_v1 (customer_id, event_time, available_time, ingested_at, seq,
        is_tombstone, recency_days, frequency) VALUES (1, %(t)s, %(t)s, %(t)s, 1, false, 2.5, 7)""",
        {"t": at(0)},
    )
    changed = Registry(views=(replace(SHOP.view("customer_rfm"), ttl=timedelta(days=9)),))
    rows = pd.DataFrame({"customer_id": [1], "event_timestamp": pd.Series([at(0)], dtype="datetime64[us, UTC]")})
    wanted = ["customer_rfm@1:frequency", "recency_days_now"]
    joined = get_historical_features(warehouse, rows, wanted, registry=changed).to_df()
    assert (joined["frequency"].tolist(), joined["recency_days_now"].tolist()) == ([7], [2.5])
    assert "recency_days" not in joined.columns
    with pytest.raises(UnknownVersion):
        get_historical_features(warehouse, rows, ["recency_days_now"], registry=changed)


def test_a_result_overwrites_nothing_and_goes_only_where_results_belong(shop):
    result = get_historical_features(shop, frame(), ["by_number"], registry=REGISTRY)
    assert result.to_table("features.mine") == 1
    for taken in ("features.mine", "ml.training_sets", "features.by_number_v1", "features.by_number"):
        with pytest.raises(TableTaken, match="left as it is"):
            result.to_table(taken)
    for place in ("shop.mine", "public.mine", "ml.Mine", 'ml.x"; DROP TABLE shop.orders; --', "ml.", "a.b.c", ""):
        with pytest.raises(TableTaken, match="no place for a result"):
            result.to_table(place)
    assert shop.execute("SELECT by_number_whole FROM features.mine").fetchall() == [(11,)]


BAD = [
    ({"event_timestamp": ["2024-01-01"]}, "event_timestamp .*instant"),
    (
        {"event_timestamp": pd.Series([pd.NaT], dtype="datetime64[us, UTC]")},
        "Row 0 of the spine: event_timestamp is nu",
    ),
    ({"event_timestamp": [pd.Timestamp("2024-01-01")]}, "event_timestamp .*time zone"),
    ({"left_id": ["1"]}, "left_id is"),
    ({"left_id": [1.0]}, "left_id is"),
    ({"code": [1]}, "code is"),
    ({"by_text_text": ["x"]}, "one name: by_text_text"),
]


@pytest.mark.parametrize(("columns", "says"), BAD)
@pytest.mark.parametrize("way", ["frame", "table", "relation"])
def test_rows_that_cannot_be_joined_are_refused_wherever_they_are(shop, columns, says, way):
    rows = frame().assign(**columns)
    source: pd.DataFrame | str = rows
    if way == "relation":
        literals = ", ".join(_as_sql(name, rows[name]) for name in rows.columns)
        source = f"SELECT {literals}"
    result = get_historical_features(shop, source, ["by_number", "by_text"], registry=REGISTRY)
    with pytest.raises(BadSpine, match=says):
        result.to_df() if way == "frame" else result.to_table("refused")
    assert shop.execute("SELECT to_regclass('ml.refused')").fetchone() == (None,)


@pytest.mark.parametrize(("columns", "says"), BAD)
def test_a_mirror_refuses_the_same_rows(shop, tmp_path, columns, says):
    mirror = Mirror(tmp_path)
    for view in (BY_NUMBER, BY_TEXT):
        mirror.update(shop, current_version(shop, view))
    rows = frame().assign(**columns)
    with pytest.raises(BadSpine, match=says):
        mirror.get_historical_features(rows, ["by_number", "by_text"], registry=REGISTRY).to_df()


def _as_sql(name: str, column: pd.Series) -> str:
    kinds = {"i": "bigint", "f": "double precision", "O": "text", "M": "timestamp"}
    kind = "timestamptz" if isinstance(column.dtype, pd.DatetimeTZDtype) else kinds.get(column.dtype.kind, "text")
    value = column.iloc[0]
    return f"{'NULL' if pd.isna(value) else repr(str(value))}::{kind} AS {name}"


@pytest.mark.parametrize("text", ["with\0NUL", "half a pair \ud83d"])
def test_a_text_key_that_postgres_cannot_hold_is_refused(shop, text):
    rows = frame(left_id=[1, 1], code=pd.Series(["a", text], dtype=object), ticks=(0, 0))
    with pytest.raises(BadSpine, match="Row 1 of the spine: code"):
        get_historical_features(shop, rows, ["by_text"], registry=REGISTRY).to_df()


def test_text_keys_come_in_every_type_that_holds_text(shop):
    values = ["a", "b", None]
    instants = pa.array([at(0)] * 3, pa.timestamp("us", "UTC"))
    for codes in (
        pa.array(values),
        pa.array(values, pa.large_string()),
        pa.array(values).dictionary_encode(),
        pa.chunked_array([["a"], ["b", None]]),
    ):
        rows = pa.table({"code": codes, "event_timestamp": instants})
        joined = get_historical_features(shop, rows, ["by_text"], registry=REGISTRY).to_arrow()
        assert joined["by_text_status"].to_pylist() == ["present", "not found", "not found"], codes.type
    for series in (
        pd.Series(values, dtype=object),
        pd.Series(values, dtype="category"),
        pd.Series(values, dtype="str"),
    ):
        frame_ = pd.DataFrame({"code": series, "event_timestamp": instants.to_pandas()})
        joined = get_historical_features(shop, frame_, ["by_text"], registry=REGISTRY).to_df()
        assert joined["by_text_status"].tolist() == ["present", "not found", "not found"], series.dtype


@pytest.mark.parametrize("way", ["frame", "table"])
def test_a_label_from_before_its_row_is_refused_on_every_way(shop, way):
    rows = frame(left_id=[1] * 8, code=["a"] * 8, ticks=(1,) * 8)
    rows["label_at"] = pd.Series([at(1), *[at(0)] * 7], dtype="datetime64[us, UTC]")
    result = get_historical_features(shop, rows, ["by_number"], registry=REGISTRY, label_start_column="label_at")
    with pytest.raises(LabelBeforeSpine, match="Rows 1, 2, 3, 4, 5 and 2 more of the spine: the label window"):
        result.to_df() if way == "frame" else result.to_table("refused")


def test_a_table_keeps_what_entity_rows_hold(shop):
    """Types that a training set is likely to have come through a table unharmed."""
    rows = frame().assign(
        note="naïve", flag=True, share=0.1, small=pd.Series([7], dtype="int8"), kind=pd.Series(["x"], dtype="category"),
        day=pd.Series([datetime(2024, 1, 2).date()]),  # noqa: DTZ001
    )  # fmt: skip
    get_historical_features(shop, rows, ["by_number:by_number_text"], registry=REGISTRY).to_table("kept")
    found = shop.execute("SELECT note, flag, share, small, kind, day::text, by_number_text FROM ml.kept").fetchone()
    assert found == ("naïve", True, 0.1, 7, "x", "2024-01-02", "eleven")


def test_a_day_is_24_hours_also_where_clocks_go_forward(shop):
    """The day of the snapshot has 23 hours in Berlin, where this session is."""
    view = replace(BY_NUMBER, ttl=timedelta(days=1))
    write(shop, view, [Row((1,), values=(11, None, None, None))])
    shop.execute("SET timezone = 'Europe/Berlin'")
    day = timedelta(days=1) // timedelta(microseconds=1)
    rows = frame(left_id=[1] * 4, code=["a"] * 4, ticks=(day - 1, day, day + 1, day - 3_600_000_000))
    rows["event_timestamp"] = rows["event_timestamp"].dt.tz_convert("Europe/Berlin")
    result = get_historical_features(shop, rows, ["by_number"], registry=Registry(views=(view,)))
    wanted = ["present", "present", "outside ttl", "present"]
    assert result.to_df()["by_number_status"].tolist() == wanted
    result.to_table("summer_time")
    found = shop.execute("SELECT by_number_status FROM ml.summer_time ORDER BY row_number").fetchall()
    assert [status for (status,) in found] == wanted


def test_all_queries_of_one_join_see_one_state(shop, warehouse_dsn):
    """What a colleague commits between two views of one call is in neither."""
    shop.commit()
    seen = []

    class Watched:
        def __init__(self, engine):
            self.engine, self.versions = engine, engine.versions

        def pick(self, selections, spine, **how):
            picks = self.engine.pick(selections, spine, **how)
            seen.append(selections[0].view.name)
            with connect_warehouse(warehouse_dsn) as colleague:
                seq = len(seen) + 1
                write(colleague, BY_TEXT, [Row(("a",), 1, 1, seq=seq, values=(99, None, None, "new"))], add=True)
            return picks

    engine = Watched(PostgresEngine(shop))
    rows = frame(ticks=(2,))
    joined = get_historical_features(shop, rows, ["by_number", "by_text"], registry=REGISTRY, mirror=engine).to_df()
    assert seen == ["by_number", "by_text"]
    assert joined["by_text_text"].tolist() == ["twelve"]
    again = get_historical_features(shop, rows, ["by_text"], registry=REGISTRY).to_df()
    assert again["by_text_text"].tolist() == ["new"]
