"""Decide whether a churn model takes the champion's place."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg import Connection

from include.models.champion import crown, follow
from include.models.churn.errors import EvaluationOutOfDate
from include.models.churn.evaluate import read_evaluation
from include.models.churn.gate import LARGEST_CALIBRATION_ERROR, judge
from include.models.churn.train import NAME
from include.models.index import registry_version, set_status, take_turn
from include.models.registry.model_registry import ROLLED_BACK, ModelRegistry, ModelVersion

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was decided, or would be.

    :param is_promoted: the model takes the champion's place now.
    :param is_champion: the model is the champion, now or since earlier.
    :param reason: in words, with the numbers that decided.
    """

    model_id: str
    is_promoted: bool
    is_champion: bool
    reason: str


def promote(
    conn: Connection,
    registry: ModelRegistry,
    *,
    model_id: str,
    now: datetime,
    largest_calibration_error: float = LARGEST_CALIBRATION_ERROR,
    rejection: str | None = None,
    approval: str | None = None,
) -> Promotion:
    """Make the model champion if it passes the gate (`gate.judge`) and nobody who was asked said no.

    A model of an older test snapshot than the champion's never takes its place: the champion may have been trained
    on what that test asks. Nor does one that was rolled back.

    :param rejection: why a person refused it.
    :param approval: who let it pass, for the history.
    :raises ModelMissing: the model was not evaluated.
    :raises EvaluationOutOfDate: another model became champion since the evaluation; evaluate again.
    :raises RegistryUnreachable: MLflow does not answer.
    """
    with conn.transaction():
        take_turn(conn, NAME)
        champion = follow(conn, registry, NAME, now=now)
        kept, decided = _decide(conn, registry, model_id, champion, largest_calibration_error)
        if decided.is_promoted and rejection:
            decided = replace(decided, is_promoted=False, is_champion=False, reason=f"{rejection}; {decided.reason}")
        if decided.is_promoted:
            decided = replace(decided, reason=f"{decided.reason}; {approval}") if approval else decided
            crown(conn, registry, kept, reason=decided.reason, now=now)
        elif not decided.is_champion and not kept.tags.get(ROLLED_BACK):
            set_status(conn, model_id, "refused", reason=decided.reason, now=now)
    outcome = "promoted" if decided.is_promoted else "unchanged" if decided.is_champion else "refused"
    logger.info("promote_churn model_id=%s outcome=%s reason=%r", model_id, outcome, decided.reason)
    return decided


def preview(
    conn: Connection,
    registry: ModelRegistry,
    *,
    model_id: str,
    largest_calibration_error: float = LARGEST_CALIBRATION_ERROR,
) -> Promotion:
    """What `promote` would decide; nothing is changed. Raises what it raises."""
    champion = registry.holder_of(NAME)
    return _decide(conn, registry, model_id, champion, largest_calibration_error)[1]


def _decide(
    conn: Connection,
    registry: ModelRegistry,
    model_id: str,
    champion: ModelVersion | None,
    largest_calibration_error: float,
) -> tuple[ModelVersion, Promotion]:
    evaluation = read_evaluation(conn, model_id)
    kept = registry.version(NAME, registry_version(conn, model_id))
    decided = Promotion(model_id=model_id, is_promoted=False, is_champion=False, reason="")
    if champion and champion.version == kept.version:
        return kept, replace(decided, is_champion=True, reason="it is the champion already")
    if obstacle := _obstacle(kept, champion):
        return kept, replace(decided, reason=obstacle)
    champion_id = champion.model_id if champion else None
    if evaluation.champion_id != champion_id:
        raise EvaluationOutOfDate(
            f"{model_id} was compared with {evaluation.champion_id or 'no champion'}, and the champion is "
            f"{champion_id or 'none'} now. Nothing was promoted. Run evaluate again, then promote."
        )
    verdict = judge(
        evaluation.scores,
        canaries=evaluation.canaries,
        differences=evaluation.differences,
        largest_calibration_error=largest_calibration_error,
    )
    is_passed = verdict.is_passed
    return kept, replace(decided, is_promoted=is_passed, is_champion=is_passed, reason=verdict.reason)


def _obstacle(kept: ModelVersion, champion: ModelVersion | None) -> str | None:
    """What keeps a model from the place whatever its figures."""
    if rolled_back := kept.tags.get(ROLLED_BACK):
        return f"it was rolled back: {rolled_back}"
    if champion and _test_at(kept) < _test_at(champion):
        return f"its test snapshot is older than that of the champion {champion.model_id}"
    return None


def _test_at(kept: ModelVersion) -> datetime:
    return datetime.fromisoformat(kept.tags["test_at"])
