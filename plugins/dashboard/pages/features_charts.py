"""Charts of a feature view: how a feature lay at each snapshot, and how many rows had it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.charts import DAYS_AXIS, Chart
from dashboard.words import number, sentence, share
from include.features.definitions.view import Feature
from include.features.upkeep.statistics import QUANTILES, FeatureStatistics

_LOW, _MEDIAN, _HIGH = (QUANTILES.index(each) for each in (0.05, 0.5, 0.95))


def null_share(told: FeatureStatistics) -> float | None:
    """The share of rows without a value; None without rows."""
    return told.null_count / told.row_count if told.row_count else None


def spread_chart(feature: Feature, told: Sequence[FeatureStatistics]) -> Chart | None:
    """Median and the middle nine tenths over the snapshots; None for text, and where it never had a value."""
    known = [each for each in told if each.quantiles]
    if not known:
        return None
    first, last = known[0], known[-1]
    assert first.quantiles and last.quantiles
    return Chart(
        name="spread",
        title=f"{feature.name}: how it lies",
        caption=f"{sentence(feature.description)}, in {feature.unit}. The median (line; mean dashed) went from "
        f"{number(first.quantiles[_MEDIAN], 2)} at {first.event_time:%Y-%m-%d} to {number(last.quantiles[_MEDIAN], 2)} "
        f"at {last.event_time:%Y-%m-%d}. There nine tenths of the values were between "
        f"{number(last.quantiles[_LOW], 2)} and {number(last.quantiles[_HIGH], 2)}, the ends of the band.",
        columns={"at": "Snapshot", "low": "5 % below", "median": "Median", "mean": "Mean", "high": "5 % above"},
        rows=[
            {"at": each.event_time.date(), "low": each.quantiles[_LOW], "median": each.quantiles[_MEDIAN],
             "mean": each.mean, "high": each.quantiles[_HIGH]}
            for each in known if each.quantiles
        ],
        spec={
            "height": 240,
            "encoding": {"x": _time_axis(known)},
            "layer": [
                {"mark": {"type": "area", "opacity": 0.35},
                 "encoding": {"y": {"field": "low", "type": "quantitative", "title": feature.unit},
                              "y2": {"field": "high"}}},
                {"mark": {"type": "line"},
                 "encoding": {"y": {"field": "median", "type": "quantitative"},
                              "tooltip": [{"field": "at", "type": "temporal", "title": "snapshot"},
                                          {"field": "median", "format": ",.4~g"}, {"field": "mean", "format": ",.4~g"},
                                          {"field": "low", "format": ",.4~g", "title": "5 % below"},
                                          {"field": "high", "format": ",.4~g", "title": "5 % above"}]}},
                {"mark": {"type": "line", "strokeDash": [4, 3], "color": "var(--c2)"},
                 "encoding": {"y": {"field": "mean", "type": "quantitative"}}},
            ],
        },
    )  # fmt: skip


def rows_chart(feature: Feature, told: Sequence[FeatureStatistics]) -> Chart | None:
    """Rows at each snapshot, with and without the feature."""
    if not told:
        return None
    last = told[-1]
    return Chart(
        name="rows",
        title=f"{feature.name}: rows with a value",
        caption=f"At {last.event_time:%Y-%m-%d} there were {number(last.row_count)} rows, {share(null_share(last))} of "
        "them without a value.",
        columns={"at": "Snapshot", "rows": "Rows", "known": "With a value", "distinct": "Different values"},
        rows=[
            {"at": each.event_time.date(), "rows": each.row_count, "known": each.row_count - each.null_count,
             "distinct": each.distinct_count}
            for each in told
        ],
        spec={
            "height": 240,
            "transform": [{"fold": ["rows", "known"], "as": ["which", "count"]},
                          {"calculate": "datum.which == 'rows' ? 'all rows' : 'with a value'", "as": "which"}],
            "mark": {"type": "line"},
            "encoding": {
                "x": _time_axis(told),
                "y": {"field": "count", "type": "quantitative", "title": "rows"},
                "color": {"field": "which", "type": "nominal", "title": None},
                "tooltip": [{"field": "at", "type": "temporal", "title": "snapshot"}, {"field": "which"},
                            {"field": "count", "format": ","}],
            },
        },
    )  # fmt: skip


def _time_axis(told: Sequence[FeatureStatistics]) -> dict[str, Any]:
    """Within a week each day once, else as many as there is room for."""
    is_week = (told[-1].event_time - told[0].event_time).days <= 7
    return {
        "field": "at", "type": "temporal", "title": None,
        "axis": DAYS_AXIS | ({"tickCount": "day"} if is_week else {}),
    }  # fmt: skip
