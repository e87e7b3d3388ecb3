"""The point-in-time join as its callers meet it: what comes back, what is refused, and the rules one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from psycopg import sql

from include.entities.window import NaiveTime
from include.features.definitions.versions import apply_view
from include.features.history.historical import get_historical_features
from include.features.history.spine import BadSpine, LabelBeforeSpine
from include.features.registry import UnknownFeature
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
TTL = 3
VIEW = replace(CUSTOMER_RFM, ttl=timedelta(microseconds=TTL))


def at(tick: int | None) -> datetime | None:
    """Ticks of a microsecond, so that the finest edges are the ordinary case."""
    return None if tick is None else EPOCH + timedelta(microseconds=tick)


@dataclass(frozen=True)
class Version:
    key: int
    event: int
    available: int
    ingested: int
    seq: int
    is_tombstone: bool
    recency: float | None
    segment: str | None

    @property
    def order(self) -> tuple[int, int, int]:
        return self.event, self.available, self.seq


def write(conn, versions: list[Version]) -> None:
    """Into the history of each definition that the tests read."""
    for view in (CUSTOMER_RFM, VIEW):
        history = apply_view(conn, view, now=EPOCH).history
        conn.execute(sql.SQL("TRUNCATE {}").format(history))
        with conn.cursor().copy(
            sql.SQL(
                """COPY {} (customer_id, event_time, available_time, ingested_at, seq, is_tombstone,
                recency_days, segment, monetary_amount, frequency) FROM STDIN"""
            ).format(history)
        ) as copy:
            for v in versions:
                money = None if v.recency is None else Decimal(v.seq) / 10
                copy.write_row(
                    (v.key, at(v.event), at(v.available), at(v.ingested), v.seq, v.is_tombstone, v.recency, v.segment,
                     money, 2**53 + v.seq)
                )  # fmt: skip


def joined_to(conn, frame, features, **how):
    return get_historical_features(conn, frame, features, **how).to_df()


def version(key=1, event=0, available=0, ingested=0, seq=1, is_tombstone=False, recency=1.5, segment="New") -> Version:
    return Version(key, event, available, ingested, seq, is_tombstone, recency, segment)


def spine_of(*rows: tuple[int | None, int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": pd.array([key for key, _ in rows], dtype="Int64"),
            "event_timestamp": pd.Series([at(t) for _, t in rows], dtype="datetime64[us, UTC]"),
        }
    )


def test_the_ttl_is_inclusive_to_the_microsecond(warehouse):
    write(warehouse, [version(event=0)])
    joined = joined_to(warehouse, spine_of((1, TTL - 1), (1, TTL), (1, TTL + 1)), [VIEW])
    assert joined["customer_rfm_status"].tolist() == ["present", "present", "outside ttl"]
    assert joined["recency_days"].isna().tolist() == [False, False, True]


def test_of_equal_event_times_the_latest_available_and_then_the_latest_written_counts(warehouse):
    write(
        warehouse,
        [
            version(event=1, available=2, seq=1, recency=1.0),
            version(event=1, available=3, seq=2, recency=2.0),
            version(event=1, available=3, seq=3, recency=3.0),
            version(event=0, available=4, seq=4, recency=4.0),
        ],
    )
    spine = spine_of((1, 1), (1, 2), (1, 3), (1, 9))
    assert joined_to(warehouse, spine, ["customer_rfm:recency_days"])["recency_days"].tolist()[1:3] == [1, 3]
    corrected = joined_to(warehouse, spine, ["customer_rfm:recency_days"], mode="as_corrected")
    assert corrected["recency_days"].tolist() == [3, 3, 3, 3]


def test_a_tombstone_and_a_null_hide_older_values(warehouse):
    write(
        warehouse,
        [
            version(key=1, event=0, recency=1.0),
            version(key=1, event=1, available=1, is_tombstone=True, recency=None),
            version(key=11, event=0, recency=1.0),
            version(key=11, event=1, available=1, recency=None),
        ],
    )
    joined = joined_to(warehouse, spine_of((1, 2), (11, 2)), [VIEW])
    assert joined["customer_rfm_status"].tolist() == ["not found", "present"]
    assert joined["recency_days"].isna().all()


def test_the_frame_comes_back_with_its_index_its_columns_and_its_duplicates(warehouse):
    write(warehouse, [version()])
    spine = spine_of((1, 1), (2, 1), (1, 1), (None, 1)).assign(note=["a", "b", "c", "d"])
    spine.index = pd.Index([7, 7, 3, 1], name="row")
    before = spine.copy()
    joined = joined_to(warehouse, spine, [VIEW])
    pd.testing.assert_frame_equal(spine, before)
    pd.testing.assert_frame_equal(joined[list(before.columns)], before)
    assert joined["customer_rfm_status"].tolist() == ["present", "not found", "present", "not found"]


def test_large_whole_numbers_and_money_come_through_exactly(warehouse):
    write(warehouse, [version(seq=1)])
    joined = joined_to(warehouse, spine_of((1, 1), (5, 1)), [VIEW])
    assert joined["frequency"].tolist() == [2**53 + 1, pd.NA]
    assert joined["monetary_amount"].tolist()[0] == 0.1


def test_keys_that_look_alike_when_written_side_by_side_stay_apart(warehouse):
    write(warehouse, [version(key=1, recency=1.0), version(key=11, recency=11.0), version(key=111, recency=111.0)])
    joined = joined_to(warehouse, spine_of((11, 1), (1, 1), (111, 1)), [VIEW])
    assert joined["recency_days"].tolist() == [11.0, 1.0, 111.0]


def test_several_views_and_single_features_are_joined_side_by_side(warehouse):
    write(warehouse, [version()])
    joined = joined_to(warehouse, spine_of((1, 1)), ["customer_activity:tenure_days", "customer_rfm:segment"])
    assert list(joined.columns[2:]) == [
        "tenure_days", "customer_activity_status", "segment", "customer_rfm_status",
    ]  # fmt: skip
    assert joined.iloc[0, 3:].tolist() == ["not found", "New", "present"]
    with pytest.raises(UnknownFeature):
        joined_to(warehouse, spine_of((1, 1)), ["customer_rfm:nothing"])


def test_times_of_any_zone_and_resolution_are_the_instants_they_are(warehouse):
    write(warehouse, [version(event=3, available=3)])
    utc = pd.Series([at(2), at(3)], dtype="datetime64[us, UTC]")
    for times in (
        utc.dt.tz_convert("Asia/Kolkata"),
        utc.astype("datetime64[ns, UTC]"),
        utc.astype(object),
        pd.Series([value.to_pydatetime() for value in utc.dt.tz_convert("America/New_York")], dtype=object),
    ):
        spine = pd.DataFrame({"customer_id": [1, 1], "event_timestamp": times})
        joined = joined_to(warehouse, spine, [VIEW])
        assert joined["customer_rfm_status"].tolist() == ["not found", "present"], times.dtype


def test_nanoseconds_are_cut_to_the_microsecond_also_before_1970(warehouse):
    old = datetime(1969, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)
    warehouse.execute(
        sql.SQL(
            """INSERT INTO {} (customer_id, event_time, available_time, ingested_at, seq, is_tombstone)
            VALUES (1, %(t)s, %(t)s, %(t)s, 1, false)"""
        ).format(apply_view(warehouse, VIEW, now=EPOCH).history),
        {"t": old},
    )
    times = pd.Series([pd.Timestamp(old).as_unit("ns") + pd.Timedelta(n, "ns") for n in (-1, 0, 999)])
    spine = pd.DataFrame({"customer_id": [1, 1, 1], "event_timestamp": times})
    assert joined_to(warehouse, spine, [VIEW])["customer_rfm_status"].tolist() == [
        "not found", "present", "present",
    ]  # fmt: skip


NAIVE = pd.Timestamp("2024-01-01")
AWARE = pd.Timestamp("2024-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"customer_id": [1, 2], "event_timestamp": [NAIVE, NAIVE]},
            "Rows 0, 1 of the spine: event_timestamp has no time zone",
        ),
        (
            {"customer_id": [1, 2, 3], "event_timestamp": pd.Series([AWARE, NAIVE, AWARE], dtype=object)},
            "Row 1 .*no time zone",
        ),
        (
            {"customer_id": [1, 2, 3], "event_timestamp": [AWARE, AWARE, pd.NaT]},
            "Row 2 of the spine: event_timestamp is null",
        ),
        (
            {"customer_id": [1, 2], "event_timestamp": pd.Series([None, AWARE], dtype=object)},
            "Row 0 .*null or not an instant",
        ),
        ({"customer_id": [1, 2], "event_timestamp": ["2024-01-01T00:00:00Z"] * 2}, "Rows 0, 1 .*not an instant"),
        (
            {"customer_id": ["1", "2"], "event_timestamp": [AWARE] * 2},
            "Rows 0, 1 .*customer_id is .*string, not an integer",
        ),
        ({"customer_id": [1.0, None], "event_timestamp": [AWARE] * 2}, "customer_id is double, not an integer.*Int64"),
        ({"customer_id": [True, False], "event_timestamp": [AWARE] * 2}, "customer_id is bool, not an integer"),
        (
            {"customer_id": pd.Series([1, "x", 2.5], dtype=object), "event_timestamp": [AWARE] * 3},
            "Rows 1, 2 .*the first is 'x'",
        ),
        (
            {"customer_id": pd.Series([2**63], dtype="uint64"), "event_timestamp": [AWARE]},
            "Row 0 .*larger than any key",
        ),
        (
            {"customer_id": pd.Series([None, 2**63], dtype=object), "event_timestamp": [AWARE] * 2},
            "Row 1 .*larger than any key",
        ),
        (
            {"customer_id": [1] * 8, "event_timestamp": [pd.NaT] * 7 + [AWARE]},
            "Rows 0, 1, 2, 3, 4 and 2 more of the spine",
        ),
        ({"customer": [1], "event_timestamp": [AWARE]}, "0 columns named 'customer_id'"),
        ({"customer_id": [1], "event_timestamp": [AWARE], "segment": ["x"]}, "two features have one name: segment"),
    ],
)
def test_rows_that_cannot_be_joined_are_refused_by_name(warehouse, columns, says):
    write(warehouse, [])
    with pytest.raises(BadSpine, match=says):
        joined_to(warehouse, pd.DataFrame(columns), [VIEW])


def test_naive_arrow_times_and_a_naive_known_at_are_refused(warehouse):
    write(warehouse, [])
    naive = pa.table({"customer_id": [1], "event_timestamp": pa.array([datetime(2024, 1, 1)], pa.timestamp("us"))})  # noqa: DTZ001
    with pytest.raises(BadSpine, match="no time zone"):
        joined_to(warehouse, naive, [VIEW])
    with pytest.raises(NaiveTime, match="known_at"):
        joined_to(warehouse, spine_of((1, 1)), [VIEW], known_at=datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="as_known"):
        joined_to(warehouse, spine_of((1, 1)), [VIEW], mode="as known")  # type: ignore[arg-type]


def test_a_label_window_that_starts_before_its_row_is_refused(warehouse):
    write(warehouse, [])
    spine = spine_of((1, 1), (1, 2), (1, 3))
    fine = spine.assign(label_start=spine["event_timestamp"])
    assert len(joined_to(warehouse, fine, [VIEW], label_start_column="label_start")) == 3
    early = fine.assign(label_start=[at(1), at(1), at(3)])
    with pytest.raises(LabelBeforeSpine, match=r"Row 1 of the spine: the label window \(label_start\) starts before"):
        joined_to(warehouse, early, [VIEW], label_start_column="label_start")


def test_an_empty_spine_gives_the_columns_and_no_rows(warehouse):
    write(warehouse, [])
    joined = joined_to(warehouse, spine_of(), [VIEW, CUSTOMER_ACTIVITY])
    assert len(joined) == 0
    assert "recency_over_typical_gap" in joined.columns
