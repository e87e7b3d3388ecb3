"""Features that are computed when they are read, from the instant of the request and from features of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.features.definitions.entity import NAME, BadDefinition
from include.features.definitions.view import FeatureType

INSTANT = pa.timestamp("us", tz="UTC")
_ARROW_TYPES: dict[FeatureType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "money": pa.float64(),
    "text": pa.string(),
}


@dataclass(frozen=True, kw_only=True)
class OnDemandFeature:
    """A feature of the instant T of a row: that of the request online, that of the spine's row in history.

    :param inputs: the features that it is computed from, each `view:feature`; none, if it needs T alone.
    :param compute: from a batch of rows to an array with a value for each, which depends on its own row alone. The
        batch has, under their own names, the input features (null where their view is not present); for each view
        `<view>__event_time`, the snapshot of the row that was picked (null if there is none); and `at`, which is T and
        never null. Instants are timestamps of microseconds in UTC.
    :raises BadDefinition: the name is not in lower snake case, it has no unit or no description, or an input is not
        `view:feature`.
    """

    name: str
    type: FeatureType
    unit: str
    description: str
    inputs: tuple[str, ...] = ()
    compute: Callable[[pa.RecordBatch], pa.Array]

    def __post_init__(self) -> None:
        problems = [
            f"its input {each!r} is not view:feature"
            for each in self.inputs
            if [bool(NAME.fullmatch(part)) for part in each.split(":")] != [True, True]
        ]
        if not NAME.fullmatch(self.name):
            problems.append("its name is not lower snake case")
        if not self.unit.strip() or not self.description.strip():
            problems.append("it has no unit or no description")
        if problems:
            raise BadDefinition(f"The on-demand feature {self.name!r} cannot be used: {'; '.join(problems)}.")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs beside `at`."""
        pairs = [each.split(":") for each in self.inputs]
        return tuple(column for view, feature in pairs for column in (feature, f"{view}__event_time"))


class BadColumn(TypeError):
    """A column that goes into an on-demand feature, or comes out of it, is missing or of another type or length."""


def inputs_of(features: Sequence[OnDemandFeature]) -> tuple[str, ...]:
    """What must be read to compute them: each `view:feature` once, in the order first named."""
    return tuple(dict.fromkeys(each for feature in features for each in feature.inputs))


def compute_on_demand(features: Sequence[OnDemandFeature], inputs: pa.Table) -> dict[str, pa.Array]:
    """The features by name, each with one value per row of `inputs`; the same for many rows and for one.

    :param inputs: columns as `OnDemandFeature.compute` has them; further ones do not matter.
    :raises BadColumn: a column is missing, an instant is not in microseconds of UTC, an `at` is null, or a feature
        gave something else than one value of its type per row.
    """
    columns = list(dict.fromkeys(["at", *(column for feature in features for column in feature.columns)]))
    for column in columns:
        if column not in inputs.column_names:
            raise BadColumn(f"The inputs have no column {column!r}. They have: {', '.join(inputs.column_names)}.")
        if (column == "at" or column.endswith("__event_time")) and inputs.schema.field(column).type != INSTANT:
            raise BadColumn(f"The column {column!r} is {inputs.schema.field(column).type}. Cast it to {INSTANT}.")
    if nulls := inputs["at"].null_count:
        raise BadColumn(f"The column 'at' is null in {nulls} of {len(inputs)} rows. Give each its instant.")
    batch = _one_batch(inputs.select(columns))
    return {feature.name: _computed(feature, batch) for feature in features}


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def _computed(feature: OnDemandFeature, inputs: pa.RecordBatch) -> pa.Array:
    values = feature.compute(inputs)
    wanted = _ARROW_TYPES[feature.type]
    if values.type != wanted or len(values) != len(inputs):
        raise BadColumn(
            f"The on-demand feature {feature.name!r} gave {len(values)} values of {values.type} for {len(inputs)} "
            f"rows, and must give one {wanted} for each. Mend its `compute`."
        )
    return values


def _recency_days_now(inputs: pa.RecordBatch) -> pa.Array:
    since_snapshot = pc.subtract(inputs["at"], inputs["customer_rfm__event_time"]).view(pa.int64())
    days = since_snapshot.to_numpy(zero_copy_only=False) / 86_400_000_000  # NaN where null
    return pc.add(inputs["recency_days"], pa.array(days, from_pandas=True))


def _days(inputs: pa.RecordBatch, view: str, feature: str) -> npt.NDArray[np.float64]:
    """A time since something that a view tells at its snapshot, in days, at the instant of the request; NaN if null."""
    elapsed = pc.subtract(inputs["at"], inputs[f"{view}__event_time"]).view(pa.int64())
    known = inputs[feature].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return known + elapsed.to_numpy(zero_copy_only=False) / 86_400_000_000


def _purchases_to_expect(inputs: pa.RecordBatch, days: npt.NDArray[np.float64]) -> pa.Array:
    """So many days at the customer's own rate, as if each had been seen to buy once more, in 60 days more."""
    bought, age = (
        inputs[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        for name in ("repeat_purchase_days", "lifetime_age_days")
    )
    return pa.array((bought + 1) / (age + 60) * days, from_pandas=True)


def _expected_since_activity(inputs: pa.RecordBatch) -> pa.Array:
    bought = _days(inputs, "customer_rfm", "recency_days")
    visited = _days(inputs, "customer_engagement", "days_since_last_visit")
    return _purchases_to_expect(inputs, np.fmin(bought, visited))


def _expected_before_visit(inputs: pa.RecordBatch) -> pa.Array:
    bought = _days(inputs, "customer_rfm", "recency_days")
    visited = _days(inputs, "customer_engagement", "days_since_last_visit")
    return _purchases_to_expect(inputs, np.maximum(bought - visited, 0.0))


_HABITS = (
    "customer_rfm:recency_days",
    "customer_engagement:days_since_last_visit",
    "customer_lifetime:repeat_purchase_days",
    "customer_lifetime:lifetime_age_days",
)


def _microseconds(inputs: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """The instants as microseconds since 1970-01-01, a Thursday."""
    return inputs["at"].view(pa.int64()).to_numpy()


def _hours(inputs: pa.RecordBatch) -> npt.NDArray[np.int64]:
    return _microseconds(inputs) // 3_600_000_000 % 24


def _weekdays(inputs: pa.RecordBatch) -> npt.NDArray[np.int64]:
    return (_microseconds(inputs) // 86_400_000_000 + 3) % 7 + 1


def _days_of_year(inputs: pa.RecordBatch) -> npt.NDArray[np.int64]:
    days = _microseconds(inputs).view("M8[us]").astype("M8[D]")
    return (days - days.astype("M8[Y]").astype("M8[D]")).astype(np.int64) + 1


# The sines of 0, 15, ... 90 degrees, written out so that every machine has the same bits, and from them those of all
# 24 hours. The cosine of an hour is the sine of 6 hours later.
_RISING = [0.0, 0.25881904510252074, 0.5, 0.7071067811865476, 0.8660254037844386, 0.9659258262890683, 1.0]
_BEFORE_NOON = np.array(_RISING + _RISING[5:0:-1])
_SINES = np.concatenate([_BEFORE_NOON, 0.0 - _BEFORE_NOON])
_COSINES = np.roll(_SINES, -6)


def _by_name(*features: OnDemandFeature) -> dict[str, OnDemandFeature]:
    by_name = {feature.name: feature for feature in features}
    if len(by_name) < len(features):
        raise BadDefinition("Two on-demand features have one name.")
    return by_name


ON_DEMAND_FEATURES: dict[str, OnDemandFeature] = _by_name(
    OnDemandFeature(
        name="recency_days_now",
        type="number",
        unit="days",
        description="time since the last purchase that the snapshot knew, at the instant of the request",
        inputs=("customer_rfm:recency_days",),
        compute=_recency_days_now,
    ),
    OnDemandFeature(
        name="expected_purchases_since_activity",
        type="number",
        unit="purchases",
        description="purchases to be expected of the customer's own rate in the time since the last visit or purchase",
        inputs=_HABITS,
        compute=_expected_since_activity,
    ),
    OnDemandFeature(
        name="expected_purchases_before_visit",
        type="number",
        unit="purchases",
        description="purchases to be expected of the customer's own rate from the last purchase to the last visit",
        inputs=_HABITS,
        compute=_expected_before_visit,
    ),
    OnDemandFeature(
        name="request_hour",
        type="integer",
        unit="hour of the day, 0 to 23",
        description="hour of the request in UTC",
        compute=lambda inputs: pa.array(_hours(inputs)),
    ),
    OnDemandFeature(
        name="request_weekday",
        type="integer",
        unit="ISO weekday, 1 is Monday",
        description="weekday of the request in UTC",
        compute=lambda inputs: pa.array(_weekdays(inputs)),
    ),
    OnDemandFeature(
        name="request_is_weekend",
        type="integer",
        unit="0 or 1",
        description="1 if the request comes on a Saturday or Sunday in UTC",
        compute=lambda inputs: pa.array((_weekdays(inputs) >= 6).astype(np.int64)),
    ),
    OnDemandFeature(
        name="request_day_of_year",
        type="integer",
        unit="day of the year, 1 to 366",
        description="day of the year of the request in UTC",
        compute=lambda inputs: pa.array(_days_of_year(inputs)),
    ),
    OnDemandFeature(
        name="request_hour_sine",
        type="number",
        unit="-1 to 1",
        description="sine of the full hour on a circle, on which midnight in UTC is at 0",
        compute=lambda inputs: pa.array(_SINES[_hours(inputs)]),
    ),
    OnDemandFeature(
        name="request_hour_cosine",
        type="number",
        unit="-1 to 1",
        description="cosine of the full hour on the same circle",
        compute=lambda inputs: pa.array(_COSINES[_hours(inputs)]),
    ),
)
