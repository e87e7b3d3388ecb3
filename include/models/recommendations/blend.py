"""From four sources to one list: candidates of each source, their scores side by side, a weighted sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from include.models.recommendations.purchases import History, Numbers
from include.models.recommendations.sources import Popularity, Scores, Source

SOURCES = ("repeat", "item_to_item", "factors", "popularity")
CUSTOMERS_AT_ONCE = 512

Weights = tuple[float, float, float, float]
"""One weight per source, in the order of `SOURCES`."""

_PLACE_BITS = 24

TIE_BREAK = 1e-6
"""What popularity always counts at least, so that a list is filled where the other sources say nothing."""

ALONE: Mapping[str, Weights] = {
    name: tuple(1.0 if other == name else TIE_BREAK * (other == "popularity") for other in SOURCES)  # type: ignore[misc]  # one per source
    for name in SOURCES
}
"""The weights that leave one source alone."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Products that could be recommended to some customers, one row per customer.

    :param products: by number, in ascending order; −1 where a row has fewer.
    :param scores: per product one score per source, 0 to 1; 1 is the customer's best of that source.
    :param is_bought: the customer has bought it before.
    """

    products: Numbers
    scores: Scores
    is_bought: npt.NDArray[np.bool_]

    def lists(self, weights: Weights, *, length: int, new_only: bool = False) -> tuple[Numbers, Scores]:
        """The best products of each row by the weighted sum and these sums; −1 where nothing speaks for more.

        Of equal ones the one with the smaller id comes first.
        """
        totals = self.scores @ np.asarray(weights, np.float32)
        totals[self.products < 0] = 0
        if new_only:
            totals[self.is_bought] = 0
        places = _best_places(totals, min(length, totals.shape[1]))
        best = np.take_along_axis(totals, places, axis=1)
        products = np.where(best > 0, np.take_along_axis(self.products, places, axis=1), -1)
        missing = length - products.shape[1]
        if missing > 0:
            products = np.pad(products, ((0, 0), (0, missing)), constant_values=-1)
            best = np.pad(best, ((0, 0), (0, missing)))
        return products, best

    def leading_source(self, weights: Weights, products: Numbers) -> Numbers:
        """For each product of the lists, which of `SOURCES` adds most to its sum."""
        places = np.argmax(self.products[:, None, :] == products[:, :, None], axis=2)
        parts = np.take_along_axis(self.scores, places[:, :, None], axis=1) * np.asarray(weights, np.float32)
        return np.argmax(parts, axis=2)


@dataclass(frozen=True, slots=True)
class Sources:
    """The four sources fitted on one history."""

    history: History
    repeat: Source
    item_to_item: Source
    factors: Source
    popularity: Popularity

    def candidates(
        self, customers: Numbers, *, per_source: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Candidates:
        """What each source would recommend: of `repeat` what the customer knows, of the others what is new to them.

        Popularity adds its best whether or not they are known.

        :param customers: by number.
        :param allowed: per product, whether it may be recommended; by default all may.
        """
        dense = np.stack([getattr(self, name).scores(customers) for name in SOURCES], axis=2)
        if allowed is not None:
            dense[:, ~allowed] = 0
        pairs, count = self.history.pairs, self.history.shape[1]
        is_bought = np.zeros(dense.shape[:2], bool)
        starts, ends = (np.searchsorted(pairs.customers, customers, side=side) for side in ("left", "right"))
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            is_bought[row, pairs.products[start:end]] = True
        kept = min(per_source, count)
        picked = [_best(np.where(is_bought, dense[:, :, 0], -1), kept)]
        picked += [_best(np.where(is_bought, -1, dense[:, :, source]), kept) for source in range(1, len(SOURCES))]
        picked.append(_best(dense[:, :, SOURCES.index("popularity")], kept))
        products = np.sort(np.concatenate(picked, axis=1), axis=1)
        places = products[:, :, None]
        scores = np.take_along_axis(dense, places, axis=1)
        best = dense.max(axis=1, keepdims=True)
        scores = np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
        known = np.take_along_axis(is_bought, products, axis=1)
        products[:, 1:][products[:, 1:] == products[:, :-1]] = -1
        return Candidates(products, scores, known)

    def in_batches(
        self, customers: Numbers, *, per_source: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[Numbers, Candidates]]:
        """Candidates of many customers, some of them at a time."""
        for start in range(0, len(customers), CUSTOMERS_AT_ONCE):
            batch = customers[start : start + CUSTOMERS_AT_ONCE]
            yield batch, self.candidates(batch, per_source=per_source, allowed=allowed)


def _best(scores: Scores, kept: int) -> Numbers:
    return np.argpartition(-scores, kept - 1, axis=1)[:, :kept]


def _best_places(totals: Scores, kept: int) -> Numbers:
    """The places of the best of each row, best first; of equal ones the first.

    A float that is not negative is ordered as its bits are; with the place behind them no two keys are equal, so that
    picking some without sorting all has one answer.
    """
    last = totals.shape[1] - 1
    bits = np.ascontiguousarray(totals, np.float32).view(np.int32).astype(np.int64)
    keys = (bits << _PLACE_BITS) | (last - np.arange(last + 1))
    if kept <= last:
        keys = np.partition(keys, last + 1 - kept, axis=1)[:, last + 1 - kept :]
    return last - (np.sort(keys, axis=1)[:, ::-1] & ((1 << _PLACE_BITS) - 1))
