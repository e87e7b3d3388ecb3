"""How the values of a column lie, as counts per bin, and how far two such are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Counts = npt.NDArray[np.int64]

BINS = 10
SMALLEST_SHARE = 1e-4
"""An empty bin counts as this share, so that the index stays finite."""


@dataclass(frozen=True, slots=True)
class Binning:
    """Bins of a column; behind them always one for null.

    :param edges: of numbers: bin n holds what is above edge n - 1 and not above edge n; None for texts.
    :param categories: of texts: one bin each, and one for all others; None for numbers.
    """

    edges: tuple[float, ...] | None
    categories: tuple[str, ...] | None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Binning:
        """Bins for the values of `column`: tenths of the numbers, equal ones together; or each text."""
        known = column.drop_null()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return cls(None, tuple(sorted(known.unique().to_pylist())))
        numbers = _numbers(known)
        inner = np.quantile(numbers, np.arange(1, BINS) / BINS, method="lower") if len(numbers) else np.empty(0)
        return cls(tuple(np.unique(inner).tolist()), None)

    def count(self, column: pa.ChunkedArray) -> Counts:
        """Rows per bin, the last for null."""
        if self.categories is not None:
            places = {value: place for place, value in enumerate(self.categories)}
            others, nulls = len(places), len(places) + 1
            texts = [nulls if each is None else places.get(each, others) for each in column.to_pylist()]
            return np.bincount(np.array(texts, dtype=np.int64), minlength=nulls + 1)
        assert self.edges is not None
        numbers = _numbers(column)
        positions = np.searchsorted(np.array(self.edges), numbers, side="left")
        positions = np.where(np.isnan(numbers), len(self.edges) + 1, positions)
        return np.bincount(positions, minlength=len(self.edges) + 2)


def population_stability_index(reference: Counts, found: Counts) -> float:
    """Sum over the bins of `(found - reference) * ln(found / reference)`, both as shares.

    N. Siddiqi (2006), Credit Risk Scorecards, chapter 8: below 0.1 no change to speak of, from 0.25 on a large one.
    0 where one of them has no rows.
    """
    if not reference.sum() or not found.sum():
        return 0.0
    expected = np.maximum(reference / reference.sum(), SMALLEST_SHARE)
    came = np.maximum(found / found.sum(), SMALLEST_SHARE)
    return float(((came - expected) * np.log(came / expected)).sum())


def null_share(counts: Counts) -> float:
    """Of all rows; 0 without any."""
    return float(counts[-1] / counts.sum()) if counts.sum() else 0.0


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Null is NaN."""
    return pc.cast(column, pa.float64()).to_numpy()
