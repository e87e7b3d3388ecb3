"""The summary of a demo run: for programs as JSON, for people as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.local.progress import Progress

_COLUMNS = ("received", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")


def print_summary(summary: Mapping[str, Any], progress: Progress) -> None:
    """Print what came out, for a person."""
    say = progress.plain
    window, shop = summary["window"], summary["shop"]
    say()
    say("=" * 100)
    say(f"{shop['description']}, {window['start'][:10]} to {window['end'][:10]} (window end not included)")
    say(f"warehouse: {shop['database']}, {summary['database_bytes'] / 1e6:,.0f} MB")
    say()
    say(_row("LOADED", list(_COLUMNS)))
    for entity, sums in summary["entities"].items():
        say(_row(entity, [f"{sums[name]:,}" for name in _COLUMNS]))
    if summary["is_repeat"]:
        say()
        say(_repeat(summary))
    _print_rejections(summary, say)
    say()
    say("FEATURES" + " " * 26 + "rows received    written    history rows    online rows")
    for view, built in summary["features"].items():
        say(
            f"  {view:<30} {built['received']:>14,} {built['inserted'] + built['updated']:>10,} "
            f"{built['history_rows']:>15,} {built['online_rows']:>14,}"
        )
    _print_model(summary["model"], say, because=summary["model_skipped_because"])
    _print_predictions(summary["tables"], say)
    say()
    say("CHECKS")
    for check in summary["checks"]:
        say(f"  {'holds ' if check['holds'] else 'BROKEN'}  {check['name']}: {check['detail']}")
    say()
    say("WHERE TO LOOK NEXT")
    say('  psql "$(make -s dsn)"    the warehouse (keeps running; make down stops it)')
    say("  make up                  Airflow's UI with this data")
    say("  .local/summary.json      this summary for programs;  .local/logs and .local/airflow/logs: all logs")
    say("=" * 100)
    verdict = "Everything ended as it should" if summary["ok"] else "NOT EVERYTHING ENDED AS IT SHOULD (see CHECKS)"
    say(f"{verdict}, {summary['seconds']:.0f} s after the command began.")


def _row(title: str, cells: list[str]) -> str:
    return f"{title if title.isupper() else '  ' + title:<24}" + "".join(f"{cell:>12}" for cell in cells)


def _repeat(summary: Mapping[str, Any]) -> str:
    if not summary["is_nothing_new"]:
        return "This warehouse held rows of this shop before; what was new or changed is counted above."
    told = "This range had been loaded before: 0 rows inserted, 0 updated, nothing was duplicated"
    if summary["is_every_table_as_before"]:
        return f"{told}; every table has exactly as many rows as before."
    grown = [name for name, rows in summary["tables"].items() if rows["rows"] != rows["rows_before"]]
    return f"{told}. Tables with other row counts than before: {', '.join(grown)}."


def _print_rejections(summary: Mapping[str, Any], say: Any) -> None:
    say()
    if not summary["rejected"]:
        say("REJECTED  nothing; quarantine is empty")
        return
    say("REJECTED (quarantine.rejected_rows)")
    for each in summary["rejected"]:
        say(f"  {each['rows']:>8,}  {each['entity']}: {each['rule_id']}: {each['example'][:90]}")


def _print_predictions(tables: Mapping[str, Mapping[str, int]], say: Any) -> None:
    say()
    say("PREDICTIONS" + " " * 29 + "rows")
    for table in ("ml.customer_scores", "ml.lifetime_values", "ml.recommendations", "ml.bought_together"):
        say(f"  {table:<30} {tables[table]['rows']:>11,}")


def _print_model(model: Mapping[str, Any] | None, say: Any, *, because: str | None) -> None:
    say()
    if not model:
        say(f"MODEL  not trained: {because or 'the run did not get that far'}")
        return
    names = list(model["scores"])
    metrics = list(dict.fromkeys(metric for scores in model["scores"].values() for metric in scores))
    say(f"MODEL  {model['name']} version {model['registry_version']} ({model['model_id']}): {model['status']}")
    say("  " + model["status_reason"].replace("; ", ";\n    "))
    say(
        f"  trained on {model['training_row_count']:,} rows, judged on {model['test_row_count']:,} customers "
        f"as of {model['test_at'][:10]}"
    )
    say(f"  {'':<28}" + "".join(f"{name:>16}" for name in names))
    for metric in metrics:
        cells = [model["scores"][name].get(metric) for name in names]
        say(f"  {metric:<28}" + "".join(f"{'-' if cell is None else f'{cell:.4f}':>16}" for cell in cells))
