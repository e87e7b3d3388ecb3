"""Charts of models: metrics beside baselines over time, the backtest, drift and reality, recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dashboard.charts import DAYS_AXIS, Chart
from dashboard.pages.customers_charts import SCORERS
from dashboard.words import number, sentence
from include.models.scores.measurement import Measurement
from include.models.standing import Backtest, Judged, RecommendationRun

METRICS = {
    "auc": ("AUC", "the chance that one who leaves is ranked above one who stays; 0.5 is chance, 1 is perfect"),
    "average_precision": ("average precision", "mean share of leavers among the first of the list; more is better"),
    "lift_at_10_percent": ("lift, top 10 %", "how many times more leave in the top 10 % than among all"),
    "brier": ("Brier score", "mean squared error of the probabilities; less is better"),
    "log_loss": ("log loss", "surprise at what came; less is better"),
    "expected_calibration_error": ("calibration error", "how far probabilities are from what came; less is better"),
}
MOST_SUBJECTS = 25
REALITY, SCORE = "reality", "churn_probability"
_LEGEND = {"title": None, "columns": 3}
_TIME = {"type": "temporal", "title": None, "axis": DAYS_AXIS}


def metric_chart(judged: Sequence[Judged], metric: str) -> Chart | None:
    """One metric of every model and of its rivals on the same test rows; None if nothing was judged by it."""
    own = [each for each in judged if each.metric == metric]
    if not own:
        return None
    title, meaning = METRICS[metric]
    newest = own[-1].model_id
    told = ", ".join(
        f"{SCORERS.get(each.scorer, each.scorer)} {number(each.value, 4)}"
        for each in sorted(own, key=lambda each: list(SCORERS).index(each.scorer) if each.scorer in SCORERS else 99)
        if each.model_id == newest
    )
    return Chart(
        name="metric",
        title=f"{sentence(title)} of each model, beside its baselines",
        caption=f"{sentence(meaning)}. Newest: {told}. Each judged on its own test rows.",
        columns={"at": "Judged", "model": "Model", "scorer": "By", "value": title},
        formats={"value": "digits"},
        rows=[
            {"at": each.evaluated_at, "model": each.model_id, "scorer": SCORERS.get(each.scorer, each.scorer),
             "value": each.value}
            for each in own
        ],
        spec={
            "height": 240,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": "at", **_TIME},
                "y": {"field": "value", "type": "quantitative", "title": title, "scale": {"zero": False}},
                "color": {"field": "scorer", "type": "nominal", "sort": list(SCORERS.values()), "legend": _LEGEND},
                "tooltip": [{"field": "scorer", "title": "by"}, {"field": "value", "format": ".4f"},
                            {"field": "at", "type": "temporal", "title": "judged"}, {"field": "model"}],
            },
        },
    )  # fmt: skip


def backtest_chart(backtests: Sequence[Backtest]) -> Chart | None:
    """The candidates for a model at earlier snapshots; None where the past was too short."""
    if not backtests:
        return None
    last = [each for each in backtests if each.snapshot_on == backtests[-1].snapshot_on]
    best = max(last, key=lambda each: each.auc)
    return Chart(
        name="backtest",
        title="The candidates for the champion, at earlier snapshots",
        caption=f"Each was trained on what was known by then and judged on what came. At {best.snapshot_on} "
        f"{best.candidate} told customers apart best, with an AUC of {number(best.auc, 4)}.",
        columns={"at": "Snapshot", "candidate": "Candidate", "auc": "AUC", "log_loss": "Log loss",
                 "calibration_error": "Calibration error", "churn_rate": "Left", "customers": "Customers"},
        formats={"auc": "digits", "log_loss": "digits", "calibration_error": "digits", "churn_rate": "share"},
        rows=[
            {"at": each.snapshot_on, "candidate": each.candidate, "auc": each.auc, "log_loss": each.log_loss,
             "calibration_error": each.calibration_error, "churn_rate": each.churn_rate, "customers": each.row_count}
            for each in backtests
        ],
        spec={"height": 240, **_auc_lines({"field": "candidate", "type": "nominal", "legend": _LEGEND})},
    )  # fmt: skip


def _auc_lines(by: dict[str, Any]) -> dict[str, Any]:
    """AUC over the snapshots, a line for each value of a field."""
    return {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "at", **_TIME},
            "y": {"field": "auc", "type": "quantitative", "title": "AUC", "scale": {"zero": False}},
            "color": by,
            "tooltip": [{"field": by["field"]}, {"field": "auc", "format": ".4f"},
                        {"field": "at", "type": "temporal", "title": "snapshot"}],
        },
    }  # fmt: skip


def drift_chart(drift: Sequence[Measurement], model_id: str) -> Chart | None:
    """How far inputs and scores of a model are from training, snapshot by snapshot: those that moved most."""
    own = [each for each in drift if each.metric == "psi" and each.model_id == model_id]
    if not own:
        return None
    most: dict[str, float] = {}
    for each in own:
        most[each.subject] = max(most.get(each.subject, 0.0), each.value)
    subjects = sorted(most, key=lambda subject: (subject != SCORE, -most[subject]))[:MOST_SUBJECTS]
    newest = max(each.snapshot_at for each in own)
    beyond = sorted(each.subject for each in own if each.snapshot_at == newest and each.is_alert)
    rest = f" Drawn are the {MOST_SUBJECTS} of {len(most)} that moved most." if len(most) > MOST_SUBJECTS else ""
    return Chart(
        name="drift",
        title="Distance of inputs and scores from training",
        caption=f"Population stability index: below 0.1 nothing to speak of, from 0.25 on a large change. At "
        f"{newest:%Y-%m-%d} {len(beyond) or 'none'} of {len(most)} are beyond their threshold.{rest}",
        columns={"at": "Snapshot", "subject": "Input", "psi": "Index", "alert": "Beyond the threshold"},
        formats={"psi": "digits"},
        rows=[
            {"at": each.snapshot_at.date(), "subject": each.subject, "psi": each.value, "shown": min(each.value, 0.5),
             "alert": "yes" if each.is_alert else "no"}
            for each in own if each.subject in subjects
        ],
        spec={
            "height": 18 * len(subjects),
            "mark": {"type": "rect"},
            "encoding": {
                "x": {"field": "at", "type": "ordinal", "title": None,
                      "axis": {"labelAngle": 0, "labelOverlap": True}},
                "y": {"field": "subject", "type": "nominal", "title": None, "sort": subjects,
                      "axis": {"labelLimit": 190}},
                "color": {"field": "shown", "type": "quantitative", "title": "index, 0.5 and more alike",
                          "scale": {"domain": [0, 0.5]}},
                "tooltip": [{"field": "subject"}, {"field": "at", "title": "snapshot"},
                            {"field": "psi", "format": ".3f", "title": "index"},
                            {"field": "alert", "title": "beyond the threshold"}],
            },
        },
    )  # fmt: skip


def reality_chart(drift: Sequence[Measurement]) -> Chart | None:
    """AUC of old scores, once it was known what came, beside that on the test rows."""
    own = [each for each in drift if each.subject == REALITY and each.metric == "auc"]
    if not own:
        return None
    newest = own[-1]
    rows: list[dict[str, Any]] = []
    for each in own:
        at = each.snapshot_at.date()
        rows.append({"at": at, "kind": "as it came", "auc": each.value, "customers": each.row_count})
        if each.reference is not None:
            rows.append({"at": at, "kind": "on the test rows", "auc": each.reference, "customers": None})
    beside = "" if newest.reference is None else f", on the test rows {number(newest.reference, 4)}"
    return Chart(
        name="reality",
        title="Scores beside what came",
        caption=f"AUC of the scores of each snapshot, known when its horizon is over. The newest is of "
        f"{newest.snapshot_at:%Y-%m-%d}: {number(newest.value, 4)}{beside}.",
        columns={"at": "Snapshot", "kind": "Which", "auc": "AUC", "customers": "Customers"},
        formats={"auc": "digits"},
        rows=rows,
        spec={"height": 220, **_auc_lines({"field": "kind", "type": "nominal", "title": None})},
    )  # fmt: skip


def recommendations_chart(runs: Sequence[RecommendationRun]) -> Chart | None:
    """Hit rate of each way to recommend on the test window of the newest run that has one."""
    run = next((each for each in runs if each.hits), None)
    if run is None:
        return None
    order = sorted(run.hits, key=lambda method: -run.hits[method][0])
    return Chart(
        name="hits",
        title="Recommendations beside popularity",
        caption=f"Share of customers who bought one of the ten products listed for them, on the test window before "
        f"{run.as_of:%Y-%m-%d}: best is {order[0]} with {number(run.hits[order[0]][0], 4)}. Lines are 95 % intervals.",
        columns={"method": "Method", "hit_rate": "Hit rate at 10", "low": "From", "high": "To"},
        formats={"hit_rate": "digits", "low": "digits", "high": "digits"},
        rows=[
            {"method": method, "hit_rate": run.hits[method][0], "low": run.hits[method][1],
             "high": run.hits[method][2]}
            for method in order
        ],
        spec={
            "height": 26 * len(order),
            "encoding": {"y": {"field": "method", "type": "nominal", "title": None, "sort": order}},
            "layer": [
                {"mark": {"type": "bar", "height": 14},
                 "encoding": {"x": {"field": "hit_rate", "type": "quantitative", "title": "hit rate at 10",
                                    "axis": {"tickCount": 6, "format": ".1f"}}}},
                {"mark": {"type": "rule", "strokeWidth": 2, "color": "var(--ink)"},
                 "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}}},
            ],
        },
    )  # fmt: skip
