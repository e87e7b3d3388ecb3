"""Charts of customers: how risk lies, whether it is true, what it is worth, and one customer over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboard.charts import DAYS_AXIS, Chart
from dashboard.words import number, sentence, share
from include.features.definitions.view import Feature
from include.models.customer_record import CustomerScore
from include.models.scores.risks import RiskBin, RiskValueCell, ScoreRun

SCORERS = {"model": "this model", "bg_nbd": "BG/NBD", "recency_only": "recency only", "rfm_score": "RFM sum",
           "champion": "champion before"}  # fmt: skip
"""Whoever scores, as people call it."""

_LOWEST_VALUE = 10 ** (-1 / 3)
"""Where the cell of values below 1 begins on a logarithmic axis, as wide as the others."""
_SHARE_AXIS = {"format": "%", "tickCount": 6}


def risk_chart(bins: Sequence[RiskBin], run: ScoreRun) -> Chart:
    """How many customers have which probability of leaving."""
    likely = sum(each.customer_count for each in bins if each.low >= 0.5)
    total = sum(each.customer_count for each in bins)
    return Chart(
        name="risk",
        title="How likely customers are to leave",
        caption=f"{number(likely)} of {number(total)} customers are more likely than not to order nothing in the "
        f"{run.horizon_days} days from the snapshot on.",
        columns={"low": "From", "high": "To", "customers": "Customers"},
        formats={"low": "share", "high": "share"},
        rows=[{"low": each.low, "high": each.high, "customers": each.customer_count} for each in bins],
        spec={
            "height": 220,
            "mark": {"type": "bar", "binSpacing": 1, "cornerRadiusEnd": 0},
            "encoding": {
                "x": {"field": "low", "bin": "binned", "type": "quantitative", "axis": _SHARE_AXIS,
                      "title": "probability of leaving", "scale": {"domain": [0, 1]}},
                "x2": {"field": "high"},
                "y": {"field": "customers", "type": "quantitative", "title": "customers"},
                "tooltip": [{"field": "low", "format": "%", "title": "from"},
                            {"field": "high", "format": "%", "title": "to"},
                            {"field": "customers", "format": ",", "title": "customers"}],
            },
        },
    )  # fmt: skip


def risk_value_chart(cells: Sequence[RiskValueCell]) -> Chart:
    """How many customers are where between probability and value."""
    worth = sum(cell.value_amount for cell in cells)
    at_risk = sum(cell.value_amount for cell in cells if cell.risk_low >= 0.5)
    return Chart(
        name="risk-value",
        title="Value against risk",
        caption=f"{share(at_risk / worth if worth else 0)} of what customers are expected to bring comes from those "
        "who are more likely than not to leave. Rightwards: likelier to leave. Upwards: worth more.",
        columns={"risk": "Probability from", "risk_to": "To", "value": "Value from", "value_to": "To below",
                 "customers": "Customers", "worth": "Worth together"},
        formats={"risk": "share", "risk_to": "share", "value": "number", "value_to": "number", "worth": "number"},
        rows=[
            {"risk": cell.risk_low, "risk_to": cell.risk_high, "value": cell.value_low,
             "drawn_from": cell.value_low or _LOWEST_VALUE, "value_to": cell.value_high,
             "customers": cell.customer_count, "worth": cell.value_amount}
            for cell in cells
        ],
        spec={
            "height": 260,
            "mark": {"type": "rect"},
            "encoding": {
                "x": {"field": "risk", "bin": "binned", "type": "quantitative", "axis": _SHARE_AXIS,
                      "title": "probability of leaving", "scale": {"domain": [0, 1]}},
                "x2": {"field": "risk_to"},
                "y": {"field": "drawn_from", "type": "quantitative", "scale": {"type": "log", "nice": False},
                      "title": "value of one, shop's currency",
                      "axis": {"format": ",.0f", "values": [10**power for power in range(8)]}},
                "y2": {"field": "value_to"},
                "color": {"field": "customers", "type": "quantitative", "title": "customers"},
                "tooltip": [{"field": "risk", "format": "%", "title": "probability from"},
                            {"field": "value", "format": ",.0f", "title": "value from"},
                            {"field": "value_to", "format": ",.0f", "title": "to below"},
                            {"field": "customers", "format": ",", "title": "customers"},
                            {"field": "worth", "format": ",.0f", "title": "worth together"}],
            },
        },
    )  # fmt: skip


def reliability_chart(reliability: Mapping[str, Sequence[Mapping[str, Any]]], test_rows: int) -> Chart | None:
    """What was foretold beside what came, on the test rows; None without figures."""
    own = reliability.get("model") or []
    if not own:
        return None
    worst = max(own, key=lambda each: abs(each["mean_probability"] - each["observed_rate"]) * each["row_count"])
    names = [SCORERS[scorer] for scorer in ("model", "bg_nbd")]
    return Chart(
        name="reliability",
        title="Whether it is true",
        caption=f"On {number(test_rows)} customers that the model was judged on: where it foretold "
        f"{share(worst['mean_probability'])}, {share(worst['observed_rate'])} left; nowhere was it further off, "
        "weighed by customers. On the dashed line probabilities are true.",
        columns={"scorer": "By", "foretold": "Foretold", "came": "Came", "customers": "Customers"},
        formats={"foretold": "share", "came": "share"},
        rows=[
            {"scorer": SCORERS[scorer], "foretold": each["mean_probability"], "came": each["observed_rate"],
             "customers": each["row_count"]}
            for scorer in ("model", "bg_nbd") for each in reliability.get(scorer, [])
        ],
        spec={
            "height": 260,
            "layer": [
                {
                    "data": {"values": [{"at": 0}, {"at": 1}]},
                    "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.6, "color": "gray"},
                    "encoding": {"x": {"field": "at", "type": "quantitative"},
                                 "y": {"field": "at", "type": "quantitative"}},
                },
                {
                    "mark": {"type": "line", "point": True},
                    "encoding": {
                        "x": {"field": "foretold", "type": "quantitative", "title": "foretold", "axis": _SHARE_AXIS,
                              "scale": {"domain": [0, 1]}},
                        "y": {"field": "came", "type": "quantitative", "title": "came", "axis": _SHARE_AXIS,
                              "scale": {"domain": [0, 1]}},
                        "color": {"field": "scorer", "type": "nominal", "title": None, "sort": names},
                        "tooltip": [{"field": "scorer", "title": "by"}, {"field": "foretold", "format": ".1%"},
                                    {"field": "came", "format": ".1%"}, {"field": "customers", "format": ","}],
                    },
                },
            ],
        },
    )  # fmt: skip


def score_chart(scores: Sequence[CustomerScore]) -> Chart:
    """One customer's probability of leaving, snapshot by snapshot."""
    first, last = scores[0], scores[-1]
    return Chart(
        name="score",
        title="Probability of leaving over time",
        caption=f"From {share(first.churn_probability)} at {first.snapshot_at:%Y-%m-%d} to "
        f"{share(last.churn_probability)} at {last.snapshot_at:%Y-%m-%d}.",
        columns={"at": "Snapshot", "probability": "Probability", "value": "Value", "model": "Model"},
        formats={"probability": "share", "value": "number"},
        rows=[
            {"at": each.snapshot_at.date(), "probability": each.churn_probability, "value": each.value_amount,
             "model": each.model_id}
            for each in scores
        ],
        spec={
            "height": 200,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": "at", "type": "temporal", "title": None, "axis": DAYS_AXIS},
                "y": {"field": "probability", "type": "quantitative", "title": "probability", "axis": _SHARE_AXIS,
                      "scale": {"domain": [0, 1]}},
                "tooltip": [{"field": "at", "type": "temporal", "title": "snapshot"},
                            {"field": "probability", "format": ".1%"}, {"field": "model"}],
            },
        },
    )  # fmt: skip


def feature_chart(feature: Feature, rows: Sequence[tuple[datetime, float | None]]) -> Chart:
    """One feature of one customer, snapshot by snapshot."""
    known = [(at, value) for at, value in rows if value is not None]
    told = (
        f"{number(known[0][1], 2)} at {known[0][0]:%Y-%m-%d}, {number(known[-1][1], 2)} at {known[-1][0]:%Y-%m-%d}; "
        f"least {number(min(value for _, value in known), 2)}, most {number(max(value for _, value in known), 2)}."
        if known
        else "It was never known of this customer."
    )
    return Chart(
        name="feature",
        title=f"{feature.name} over time",
        caption=f"{sentence(feature.description)}, in {feature.unit}: {told}",
        columns={"at": "Snapshot", "value": feature.unit},
        rows=[{"at": at.date(), "value": value} for at, value in rows],
        spec={
            "height": 200,
            "mark": {"type": "line", "interpolate": "step-after"},
            "encoding": {
                "x": {"field": "at", "type": "temporal", "title": None, "axis": DAYS_AXIS},
                "y": {"field": "value", "type": "quantitative", "title": feature.unit},
                "tooltip": [{"field": "at", "type": "temporal", "title": "snapshot"},
                            {"field": "value", "format": ",.4~g"}],
            },
        },
    )  # fmt: skip


def sparkline(values: Sequence[float | None], *, width: int = 120, height: int = 22) -> str:
    """Points of an SVG polyline for a small drawing of numbers, gaps left out; empty without two numbers."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low, high = min(value for _, value in known), max(value for _, value in known)
    across = (width - 4) / (len(values) - 1)
    up = (height - 6) / (high - low) if high > low else 0.0
    return " ".join(f"{2 + place * across:.1f},{height - 3 - (value - low) * up:.1f}" for place, value in known)
