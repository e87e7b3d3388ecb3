"""What the monitoring of scores keeps: one row of `ml.monitoring`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of one model at one snapshot, beside what it was in training or on the test rows.

    :param subject: an input, `churn_probability` or `reality`.
    :param reference: the same in training or on the test rows.
    """

    model_id: str
    snapshot_at: datetime
    subject: str
    metric: str
    value: float
    reference: float | None
    threshold: float | None
    is_alert: bool
    row_count: int

    def __str__(self) -> str:
        return (
            f"snapshot={self.snapshot_at:%Y-%m-%dT%H:%M:%SZ} subject={self.subject} metric={self.metric} "
            f"value={self.value:.4f} reference={self.reference} threshold={self.threshold} rows={self.row_count}"
        )
