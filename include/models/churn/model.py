"""The churn model as it is registered, loaded and asked: for each customer a probability, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.models.churn.columns import InputColumns, Matrix, Vector
from include.models.churn.parts import LARGEST_LOG_ODDS, Part, in_order, probability_of
from include.models.churn.words import Words

SEASON_INPUT = "request_day_of_year"
"""The on-demand feature by which a model knows the season of a request."""
_ROWS_FOR_DECILES = 50_000
_BLOCK_CELLS = 1_000_000
"""Reasons are computed for so many customers at a time that this many numbers suffice."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature that moved a customer's score.

    :param value: what the customer has; None if unknown.
    :param effect: by how much the log-odds of churn would fall if the feature, and those that measure the same, were
        those of the reference customer; below 0 it speaks for staying.
    :param text: the same in words.
    """

    feature: str
    value: float | str | None
    effect: float
    text: str


@dataclass(frozen=True, slots=True)
class ChurnScores:
    """Scores of the rows asked, in their order.

    :param decile: 10 is the tenth of the training scores that is most likely to leave.
    :param reasons: per row those that moved it most, the strongest first.
    """

    probability: Vector
    decile: npt.NDArray[np.int16]
    reasons: list[tuple[Reason, ...]]


@dataclass(frozen=True)
class ReasonGroup:
    """Inputs that measure one thing and are replaced together by those of the reference customer.

    :param name: the input that stands for them in a reason.
    """

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Calibration:
    """From the parts' log-odds to a probability of the season.

    :param slope, intercept: of the line through the log-odds, fitted between training and test.
    :param exposures: for each day of the year, from 1 to 366, how much busier the `horizon_days` from it on are
        expected to be than those that the line was fitted on: the hazard of a purchase is that many times as high.
    """

    slope: float = 1.0
    intercept: float = 0.0
    exposures: tuple[float, ...] = (1.0,) * 366

    def log_odds(self, raw: Vector, day_of_year: Vector) -> Vector:
        """With `L = -log p` the hazard times exposure e gives `p' = exp(-e L)`: waiting without a purchase."""
        known = np.where(np.isnan(day_of_year), 1.0, day_of_year).astype(np.int64)
        exposure = np.asarray(self.exposures)[np.clip(known, 1, 366) - 1]
        straight = np.clip(self.slope * raw + self.intercept, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
        waited = exposure * np.log1p(np.exp(-straight))
        return np.clip(-waited - np.log(-np.expm1(-waited)), -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


@dataclass(frozen=True)
class ChurnModel:
    """P(no order in `[t, t + H)`) of customers by their features at t.

    Each row gets the same bits alone, in any batch and in any order, here and in every process on the same machine.

    :param wanted: feature references, `customer_rfm@1:recency_days` or the name of an on-demand feature, as
        `get_historical_features` and `get_online_features` take them.
    :param decile_bounds: the nine bounds between tenths of the training scores.
    :param parts: opinions; their log-odds are added with `weights`.
    :param purchases: a part whose log-odds join the matrix that `parts` see, as its last column; None if there is none.
    :param reference: the matrix row of the reference customer.
    """

    wanted: tuple[str, ...]
    columns: InputColumns
    horizon_days: int
    decile_bounds: tuple[float, ...]
    parts: tuple[Part, ...]
    weights: tuple[float, ...]
    purchases: Part | None
    calibration: Calibration
    reference: tuple[float, ...]
    groups: tuple[ReasonGroup, ...]
    words: dict[str, Words]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the columns that it reads, in order."""
        return self.columns.names

    def probabilities(self, rows: pa.Table) -> Vector:
        """P(churn) of each row, 0 to 1.

        :raises MissingInput: a column that the model reads is not there.
        """
        return self.probabilities_of(self.columns.matrix(rows))

    def probabilities_of(self, matrix: Matrix) -> Vector:
        """The same from the matrix of inputs."""
        return probability_of(self._log_odds(matrix))

    def score(self, rows: pa.Table, *, reasons: int = 3) -> ChurnScores:
        """Probability, decile and the reasons of each row.

        :param reasons: how many per row at most; an effect of exactly zero is none.
        :raises MissingInput: a column that the model reads is not there.
        """
        matrix = self.columns.matrix(rows)
        if not reasons or not len(matrix):
            probability = self.probabilities_of(matrix)
            return ChurnScores(probability, self.deciles(probability), [()] * len(matrix))
        log_odds, found = np.empty(len(matrix)), []
        for block in _blocks(len(matrix), cells_per_row=(1 + len(self.groups)) * max(1, len(self.columns))):
            log_odds[block], effects = self._effects(matrix[block])
            found += self._strongest(matrix[block], effects, reasons)
        probability = probability_of(log_odds)
        return ChurnScores(probability, self.deciles(probability), found)

    def deciles(self, probability: Vector) -> npt.NDArray[np.int16]:
        """1 to 10 by the training scores; 10 is most likely to leave."""
        return (np.searchsorted(np.asarray(self.decile_bounds), probability, side="right") + 1).astype(np.int16)

    def with_deciles(self, rows: pa.Table) -> ChurnModel:
        """The model with the bounds of the tenths of its scores of some rows; of many, of every so many of them."""
        every = np.arange(0, len(rows), max(1, len(rows) // _ROWS_FOR_DECILES))
        bounds = np.quantile(self.probabilities(rows.take(pa.array(every))), np.arange(1, 10) / 10)
        return replace(self, decile_bounds=tuple(float(bound) for bound in bounds))

    def raw_log_odds(self, matrix: Matrix) -> Vector:
        """What the parts say together, before calibration and season."""
        seen = self.seen(matrix)
        opinions = np.stack([part.log_odds(seen) for part in self.parts], axis=1)
        return in_order(0.0, opinions * np.asarray(self.weights))

    def seen(self, matrix: Matrix, *, in_place: bool = False) -> Matrix:
        """The matrix that the parts see: without the season, and with the opinion of `purchases`.

        :param in_place: the matrix may be written over, which spares a copy of it.
        """
        own = matrix[:, :-1] if self.has_season else matrix
        if self.purchases is None:
            return own
        opinion = self.purchases.log_odds(matrix)
        if in_place and self.has_season:
            matrix[:, -1] = opinion
            return matrix
        return np.concatenate([own, opinion[:, None]], axis=1)

    def calibrated(self, calibration: Calibration) -> ChurnModel:
        """The same model with another calibration."""
        return replace(self, calibration=calibration)

    @property
    def has_season(self) -> bool:
        """Whether the season is an input; it is the last one then."""
        return SEASON_INPUT in self.inputs[-1:]

    def _log_odds(self, matrix: Matrix) -> Vector:
        days = matrix[:, -1] if self.has_season else np.full(len(matrix), np.nan)
        return self.calibration.log_odds(self.raw_log_odds(matrix), days)

    def _effects(self, matrix: Matrix) -> tuple[Vector, Matrix]:
        """Log-odds of each row, and by how much they exceed those with each group replaced; one call for all."""
        variants = np.repeat(matrix[None], 1 + len(self.groups), axis=0)
        for number, group in enumerate(self.groups, 1):
            for place in group.places:
                variants[number, :, place] = self.reference[place]
        log_odds = self._log_odds(variants.reshape(-1, matrix.shape[1])).reshape(1 + len(self.groups), len(matrix))
        return log_odds[0], (log_odds[0] - log_odds[1:]).T

    def _strongest(self, matrix: Matrix, effects: Matrix, count: int) -> list[tuple[Reason, ...]]:
        order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :count]
        found = []
        for row, places in zip(range(len(matrix)), order.tolist(), strict=True):
            moved = [(place, float(effects[row, place])) for place in places]
            found.append(tuple(self._reason(matrix[row], place, effect) for place, effect in moved if effect))
        return found

    def _reason(self, row: Vector, place: int, effect: float) -> Reason:
        name = self.groups[place].name
        value = self.value_of(name, float(row[self.inputs.index(name)]))
        return Reason(feature=name, value=value, effect=effect, text=self.words[name].say(value))

    def value_of(self, name: str, number: float) -> float | str | None:
        """An input as people know it, from its number in the matrix."""
        if number != number:
            return None
        categories = self.columns.categories.get(name)
        return number if categories is None else categories[int(number)]


def _blocks(rows: int, *, cells_per_row: int) -> Iterator[slice]:
    size = max(1, _BLOCK_CELLS // cells_per_row)
    return (slice(start, start + size) for start in range(0, rows, size))
