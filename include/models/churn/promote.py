"""Decide whether a churn model takes the champion's place."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from include.models.churn.evaluate import CHAMPION, Evaluation, read_evaluation
from include.models.registry import holder_of, set_alias, set_status

logger = logging.getLogger(__name__)

DECIDING = ("auc", "average_precision")


class EvaluationOutOfDate(RuntimeError):
    """The champion has changed since the model was compared with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was decided.

    :param is_promoted: the model took the champion's place now.
    :param is_champion: the model is the champion, now or since earlier.
    :param reason: in words, with the numbers that decided.
    """

    model_id: str
    is_promoted: bool
    is_champion: bool
    reason: str


def promote(conn: Connection, *, model_id: str, now: datetime) -> Promotion:
    """Make the model champion if its AUC and average precision on the test rows beat both baselines and the champion.

    A model of an older test snapshot than the champion's never takes its place: the champion may have been trained
    on what that test asks.

    :raises ModelMissing: the model was not evaluated.
    :raises EvaluationOutOfDate: another model became champion since the evaluation; evaluate again.
    """
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.models.churn', 0))")
        evaluation = read_evaluation(conn, model_id)
        champion_id = holder_of(conn, CHAMPION)
        promotion = _decide(conn, evaluation, champion_id=champion_id)
        if promotion.is_promoted:
            if champion_id is not None:
                set_status(conn, champion_id, "retired", reason=f"{model_id} took its place", now=now)
            set_alias(conn, CHAMPION, model_id, reason=promotion.reason, now=now)
            set_status(conn, model_id, "champion", reason=promotion.reason, now=now)
        elif not promotion.is_champion:
            set_status(conn, model_id, "refused", reason=promotion.reason, now=now)
    outcome = "promoted" if promotion.is_promoted else "unchanged" if promotion.is_champion else "refused"
    logger.info("promote_churn model_id=%s outcome=%s reason=%r", model_id, outcome, promotion.reason)
    return promotion


def _decide(conn: Connection, evaluation: Evaluation, *, champion_id: str | None) -> Promotion:
    model_id = evaluation.model_id
    if champion_id == model_id:
        return Promotion(model_id=model_id, is_promoted=False, is_champion=True, reason="it is the champion already")
    if champion_id is not None and _test_at(conn, model_id) < _test_at(conn, champion_id):
        return Promotion(
            model_id=model_id,
            is_promoted=False,
            is_champion=False,
            reason=f"its test snapshot is older than that of the champion {champion_id}",
        )
    if evaluation.champion_id != champion_id:
        raise EvaluationOutOfDate(
            f"{model_id} was compared with {evaluation.champion_id or 'no champion'}, and the champion is "
            f"{champion_id or 'none'} now. Nothing was promoted. Run evaluate again, then promote."
        )
    is_better, reason = compare(evaluation.scores)
    return Promotion(model_id=model_id, is_promoted=is_better, is_champion=is_better, reason=reason)


def compare(scores: dict[str, dict[str, float]]) -> tuple[bool, str]:
    """Whether `model` beats every other scorer in each deciding metric, and that in words."""
    failures: list[str] = []
    successes: list[str] = []
    for rival in (name for name in scores if name != "model"):
        for metric in DECIDING:
            own, other = scores["model"][metric], scores[rival][metric]
            text = f"{metric} {own:.4f} against {other:.4f} of {rival}"
            (successes if own > other else failures).append(text)
    if failures:
        return False, f"it does not beat: {'; '.join(failures)}"
    return True, f"it beats all: {'; '.join(successes)}"


def _test_at(conn: Connection, model_id: str) -> datetime:
    row = conn.execute(
        "SELECT test_at FROM ml.models JOIN ml.training_sets USING (training_set_id) WHERE model_id = %s", (model_id,)
    ).fetchone()
    assert row is not None
    return row[0]
