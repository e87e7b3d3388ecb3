"""What must hold of a snapshot's rows before they are published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureExpectation:
    """A bound on the rows of one snapshot of a view; what is not given is not checked.

    :param feature: the feature that it is about; None for the rows as a whole.
    :param at_least, at_most: bounds on every value, both inclusive.
    :param null_share_at_most: the share of rows, 0 to 1, in which it may be null.
    :param rows_at_least: how many rows the snapshot must have.
    :param rows_change_at_most: by which share, 0 to 1, the number of rows may fall below that of the snapshot before.
    """

    feature: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    null_share_at_most: float | None = None
    rows_at_least: int | None = None
    rows_change_at_most: float | None = None
