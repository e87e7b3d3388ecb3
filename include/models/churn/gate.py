"""What a churn model must show before it may take the champion's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DECIDING = ("auc", "average_precision")
CALIBRATION = "expected_calibration_error"
LARGEST_CALIBRATION_ERROR = 0.1

Scores = Mapping[str, Mapping[str, float]]
Differences = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    :param is_passed: all of its conditions hold.
    :param reason: in words, with the figures that decided.
    """

    is_passed: bool
    reason: str


def judge(
    scores: Scores,
    *,
    canaries: Sequence[str] = (),
    differences: Differences | None = None,
    largest_calibration_error: float = LARGEST_CALIBRATION_ERROR,
) -> Verdict:
    """Whether `model` beats every other scorer in each deciding metric, is calibrated, and raised no alarm of a leak.

    Figures decide by themselves, not by their intervals: of a weekly candidate and a champion of last week the
    intervals always overlap, and a gate that waits for them to part would keep an ageing champion for ever.

    :param scores: scorer to metric to value, all on the same test rows.
    :param canaries: alarms of the search for leaks, in words.
    :param differences: other scorer to metric to the bounds of the model's lead over it, told with the figures.
    :param largest_calibration_error: the expected calibration error that is still let pass, 0 to 1.
    """
    holds, fails = compare(scores, differences or {})
    error = scores["model"][CALIBRATION]
    if not error <= largest_calibration_error:
        fails.append(f"expected calibration error {error:.4f} above {largest_calibration_error:.4f}")
    fails += [f"alarm of a leak: {canary}" for canary in canaries]
    if fails:
        return Verdict(False, f"it does not pass: {'; '.join(fails)}")
    return Verdict(True, f"it beats all: {'; '.join(holds)}; expected calibration error {error:.4f}")


def compare(scores: Scores, differences: Differences) -> tuple[list[str], list[str]]:
    """Where `model` beats the other scorers and where it does not, in words. Equal is not better."""
    better: list[str] = []
    not_better: list[str] = []
    for rival in (name for name in scores if name != "model"):
        for metric in DECIDING:
            own, other = scores["model"][metric], scores[rival][metric]
            text = f"{metric} {own:.4f} against {other:.4f} of {rival}{_lead(differences, rival, metric)}"
            (better if own > other else not_better).append(text)
    return better, not_better


def _lead(differences: Differences, rival: str, metric: str) -> str:
    bounds = differences.get(rival, {}).get(metric)
    return f" (lead {bounds[0]:+.4f} to {bounds[1]:+.4f})" if bounds else ""
