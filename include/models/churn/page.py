"""The report on a churn model as one HTML page that needs nothing else: tables, and drawings as SVG inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from include.models.churn.page_drawings import Line, bars, chart

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6877; --line: #d8dde4; --ground: #fff; --panel: #f6f7f9;
  --c0: #1f6feb; --c1: #c2410c; --c2: #6b7280; --c3: #7c3aed; --c4: #0f766e; --bad: #b42318; --good: #067647; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --line: #333c49; --ground: #12161c;
  --panel: #1a2029; --c0: #6ea8fe; --c1: #fb923c; --c2: #9ca3af; --c3: #c4b5fd; --c4: #5eead4; --bad: #f97066;
  --good: #4ade80; } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto;
  max-width: 62rem; padding: 1.5rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem }
p { max-width: 46rem; margin: .4rem 0 } .soft, caption { color: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } thead th { color: var(--soft); font-weight: 600 }
td small { color: var(--soft) } .alarm { color: var(--bad) } .fine { color: var(--good) }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem } figure { margin: .6rem 0; flex: 1 1 22rem; max-width: 30rem }
svg { width: 100%; height: auto; background: var(--panel); border-radius: 6px } figcaption { color: var(--soft);
  font-size: .87rem } svg text { fill: var(--soft); font: 11px system-ui, sans-serif }
"""
_METRICS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "lift_at_5_percent": "lift, top 5 %",
    "lift_at_10_percent": "lift, top 10 %",
    "lift_at_20_percent": "lift, top 20 %",
    "precision_at_5_percent": "precision, top 5 %",
    "precision_at_10_percent": "precision, top 10 %",
    "precision_at_20_percent": "precision, top 20 %",
    "brier": "Brier score",
    "log_loss": "log loss",
    "expected_calibration_error": "calibration error (10 bins)",
}
_SCORERS = {
    "model": "this model",
    "recency_only": "recency only",
    "rfm_score": "RFM sum",
    "bg_nbd": "BG/NBD",
    "champion": "champion before",
}


def page_of(report: Mapping[str, Any]) -> str:
    """The page of a report as `evaluate` writes it."""
    sections = [_head(report), _scores(report), _canaries(report), _curves(report), _season(report), _backtest(report)]
    sections += [_customers(report), _importance(report), _campaign(report)]
    title = escape(report["model_id"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body>{''.join(sections)}</body></html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    days = report["parameters"]["horizon_days"]
    return (
        f"<h1>Who will not come back: {escape(report['model_id'])}</h1>"
        f"<p>Judged on {report['test_rows']:,} customers as of {escape(report['test_at'][:10])} (UTC). Of them "
        f"{report['churn_rate']:.1%} bought nothing in the {days} days from then on; among the rows it learnt from it "
        f"was {report['training_churn_rate']:.1%}. All figures here are of these customers, whom it was not trained on "
        f"at that time; a chance of error of each figure is given as the middle 95 % over customers drawn anew.</p>"
    )


def _scores(report: Mapping[str, Any]) -> str:
    scorers = list(report["scores"])
    header = ["", *(_SCORERS.get(name, name) for name in scorers)]
    rows = []
    for metric, title in _METRICS.items():
        cells = [title]
        for name in scorers:
            low, high = report["intervals"][name][metric]
            cells.append(f"{report['scores'][name][metric]:.4f}<br><small>{low:.4f} to {high:.4f}</small>")
        rows.append(cells)
    differences = [
        [
            _SCORERS.get(name, name),
            *(_difference(report, name, metric) for metric in ("auc", "average_precision", "brier")),
        ]
        for name in scorers
        if name != "model"
    ]
    return (
        "<h2>How good it is</h2>"
        "<p>AUC: the chance that one who leaves is ranked above one who stays. Lift: how many times more leave among "
        "the top than among all. Brier score, log loss and calibration error are better when small.</p>"
        + _table(header, rows)
        + "<h2>By how much it is better</h2><p>This model minus the other one. An interval that does not hold zero is "
        "more than chance.</p>" + _table(["", "AUC", "average precision", "Brier score"], differences)
    )


def _difference(report: Mapping[str, Any], name: str, metric: str) -> str:
    value = report["scores"]["model"][metric] - report["scores"][name][metric]
    low, high = report["differences"][name][metric]
    return f"{value:+.4f}<br><small>{low:+.4f} to {high:+.4f}</small>"


def _canaries(report: Mapping[str, Any]) -> str:
    alarms = report["canaries"]
    if not alarms:
        return (
            '<h2>Search for leaks</h2><p class="fine">No alarm: no feature alone tells who left, labels shuffled at '
            "random cannot be foretold, and a random split does not flatter.</p>"
        )
    found = "".join(f"<li>{escape(alarm)}</li>" for alarm in alarms)
    return f'<h2>Search for leaks</h2><ul class="alarm">{found}</ul>'


def _curves(report: Mapping[str, Any]) -> str:
    scorers = list(report["scores"])
    reliability = [
        Line(
            _SCORERS.get(name, name), [(b["mean_probability"], b["observed_rate"]) for b in bins], number, has_dots=True
        )
        for number, (name, bins) in enumerate(report["reliability"].items())
        if name in ("model", "bg_nbd")
    ]
    gain = [
        Line(_SCORERS.get(name, name), list(zip(report["gain_shares"], report["gain"][name], strict=True)), number)
        for number, name in enumerate(scorers)
    ]
    return (
        '<h2>Reliability and gain</h2><div class="pair">'
        + chart(
            reliability, x="foretold", y="came", has_diagonal=True,
            caption="Reliability: of customers who were given a probability, the share that left. On the diagonal the "
            "probabilities are true.",
        )
        + chart(
            gain, x="share of customers, most likely first", y="share of leavers", has_diagonal=True,
            caption="Gain: which share of all leavers is among the customers most likely to leave.",
        )
        + "</div>"
    )  # fmt: skip


def _season(report: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{own['mean_probability']:.4f}", f"{own['expected_calibration_error']:.4f}", f"{own['log_loss']:.4f}"]
        for name, own in report["season"].items()
    ]
    return (
        "<h2>Season</h2><p>The share of leavers swings through the year. What the weeks before the test say about the "
        "season is used, and nothing after it. The same model with and without, on the test rows, of which "
        f"{report['churn_rate']:.4f} left:</p>"
        + _table(["", "mean probability", "calibration error", "log loss"], rows)
    )


def _backtest(report: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{own['snapshot_on']} {escape(own['candidate'])}",
            f"{own['row_count']:,}",
            f"{own['churn_rate']:.4f}",
            f"{own['exposure']:.3f}",
            f"{own['auc']:.4f}",
            f"{own['log_loss']:.4f}",
            f"{own['calibration_error_as_trained']:.4f}",
            f"{own['calibration_error_with_season']:.4f}",
            f"{own['calibration_error']:.4f}",
        ]
        for own in report["backtest"]
    ]
    header = [
        "", "rows", "churned", "busier", "AUC", "log loss", "error as trained", "with season", "and calibrated",
    ]  # fmt: skip
    if not rows:
        return "<h2>Backtest over time</h2><p>The past is too short for one.</p>"
    return (
        "<h2>Backtest over time</h2><p>Each candidate trained on what was known by an earlier snapshot and judged on "
        "it; errors are those of calibration. The one that told customers apart best there was fitted on everything "
        "and is this model. Its calibration was learnt here, so the last column flatters.</p>" + _table(header, rows)
    )


def _customers(report: Mapping[str, Any]) -> str:
    scorers = list(report["scores"])
    rows = [
        [name, f"{own['rows']:,}", _number(own["churn_rate"]), *(_number(own[f"auc_{each}"]) for each in scorers)]
        for name, own in report["customers"].items()
    ]
    header = ["", "rows", "churned", *(f"AUC of {_SCORERS.get(each, each)}" for each in scorers)]
    other = report["other_customers"]
    told = (
        f" Two models of half of the customers each: on the same test rows the one of their own past has an AUC of "
        f"{other['auc_of_their_own_past']:.4f}, the one of other customers' past {other['auc_of_others_past']:.4f}."
        if other["auc_of_others_past"] is not None
        else ""
    )
    return (
        "<h2>Customers that training knew, and others</h2><p>The same customer may be in training at an earlier "
        "snapshot. A model that had learnt persons and not habits would fail at those it never met. New customers are "
        f"hard for everyone, so the baselines stand beside it.{told}</p>" + _table(header, rows)
    )


def _importance(report: Mapping[str, Any]) -> str:
    found = [(own["description"], own["auc_fall"], own["deviation"]) for own in report["importance"]]
    return (
        "<h2>What it looks at</h2><p>By how much the AUC falls when a feature, with those that measure the same, is "
        "dealt anew among the customers.</p>" + bars(found)
    )


def _campaign(report: Mapping[str, Any]) -> str:
    own = report["campaign"]
    terms = own["terms"]
    lines = [
        Line("foretold", list(zip(own["shares"], own["foretold_per_1000"], strict=True)), 1),
        Line("came", list(zip(own["shares"], own["came_per_1000"], strict=True)), 0),
    ]
    return (
        "<h2>What a campaign would bring</h2>"
        f"<p>A letter costs {terms['offer_cost']:g}, a customer who stays is worth {terms['customer_value']:g}, and "
        f"the letter is assumed to keep {terms['saved_share']:.0%} of those who would leave. It pays for those with a "
        f"probability above {own['pays_above_probability']:.0%}: {own['written_to_share']:.1%} of them. For "
        f"those it foretold {own['foretold_there_per_1000']:,.0f} per 1,000 customers, and "
        f"{own['came_there_per_1000']:,.0f} would have come; for everyone {own['everyone_per_1000']:,.0f}.</p>"
        + chart(
            lines, x="share of customers written to", y="profit per 1,000 customers",
            caption="Profit by how many are written to, those most likely to leave first.",
        )
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
