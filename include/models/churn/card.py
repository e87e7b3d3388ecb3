"""The churn model's card: what it is for, what it was made of, how it did, and where it must not be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_INTENDED_USE = """\
Says for each customer who bought in the year before how likely they are not to buy in the next {horizon_days} days,
so that a shop can choose whom to write to. It is not made to decide about persons: about credit, prices or refusals."""

_LIMITS = """\
It knows the customers of the shop it was trained on, and their habits up to the last training snapshot. Customers
without a purchase in the year before are not asked about. It foretells, and does not say what a letter or a discount
would change."""


def model_card(
    *,
    model_id: str,
    parameters: Mapping[str, Any],
    training_set: Mapping[str, Any],
    feature_views: Sequence[str],
    libraries: Mapping[str, str],
    scores: Mapping[str, Mapping[str, float]] | None = None,
    canaries: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    :param training_set: row of `ml.training_sets`.
    :param feature_views: versions of the views whose features it reads.
    :param scores: scorer to metric to value on the test rows; None before it was evaluated.
    :param canaries: what the search for leaks found.
    """
    parts = [
        f"# {model_id}",
        _INTENDED_USE.format(**parameters),
        "## Data",
        _list(
            {
                "training set": f"{training_set['training_set_id']}, SHA-256 {training_set['data_digest']}",
                "training rows": f"{training_set['training_row_count']:,} at "
                f"{training_set['training_snapshot_count']} snapshots",
                "test rows": f"{training_set['test_row_count']:,}, all as of {_day(training_set['test_at'])} UTC",
                "features": ", ".join(feature_views),
                "churned": f"no paid order in the {parameters['horizon_days']} days from the snapshot on",
            }
        ),
        "## How it did on the test rows",
        _table(scores) if scores else "Not evaluated yet.",
        *(["## Warnings of the search for leaks", _list(dict(enumerate(canaries, start=1)))] if canaries else []),
        "## Limits",
        _LIMITS,
        "## Made with",
        _list({**parameters, **libraries}),
    ]
    return "\n\n".join(parts) + "\n"


def _list(facts: Mapping[Any, object]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _table(scores: Mapping[str, Mapping[str, float]]) -> str:
    metrics = list(dict.fromkeys(metric for values in scores.values() for metric in values))
    rows = [["", *scores], ["---", *("---:" for _ in scores)]]
    rows += [[metric, *(_number(values.get(metric)) for values in scores.values())] for metric in metrics]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"
