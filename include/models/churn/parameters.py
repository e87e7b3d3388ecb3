"""What makes one churn model differ from another, besides its data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnParameters:
    """Choices of the churn model.

    :param horizon_days: H; a customer has churned at t if they have no paid order in `[t, t + H)`.
    :param bought_within_days: only customers with a paid order in this many days before t are asked about.
    :param step_days: distance between training snapshots.
    :param most_snapshots: how many training snapshots there are at most, the newest ones.
    :param least_history_days: how much of the shop's past a training snapshot needs before it.
    :param least_rows: how many rows training and test need, each with both outcomes.
    """

    horizon_days: int = 90
    bought_within_days: int = 365
    step_days: int = 14
    most_snapshots: int = 26
    least_history_days: int = 60
    least_rows: int = 50
    seed: int = 0

    @property
    def horizon(self) -> timedelta:
        return timedelta(days=self.horizon_days)

    def test_snapshot(self, *, coverage_end: datetime) -> datetime:
        """The last midnight (UTC) whose label window is fully covered by data, which ends at `coverage_end`."""
        latest = coverage_end.astimezone(UTC) - self.horizon
        return datetime.combine(latest.date(), datetime.min.time(), UTC)

    def training_snapshots(self, *, coverage_end: datetime, data_start: datetime) -> list[datetime]:
        """Snapshots, oldest first, whose label windows all end before the test snapshot."""
        latest = self.test_snapshot(coverage_end=coverage_end) - self.horizon
        earliest = data_start + timedelta(days=self.least_history_days)
        steps = (latest - timedelta(days=self.step_days * number) for number in range(self.most_snapshots))
        return sorted(snapshot for snapshot in steps if snapshot >= earliest)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
