"""Which windows recommendations are judged on: the last one, and those before it on which choices are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from include.entities.window import Window
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.purchases import History, Numbers, Purchases, microseconds, numbers_in
from include.warehouse.receipts import loaded_stretches


@dataclass(frozen=True, slots=True)
class JudgedWindows:
    """The windows over which orders were loaded without a gap; none overlaps another.

    :param test: the last horizon before the cut; nothing is chosen on it.
    :param validation: those before it, newest first.
    """

    test: Window | None
    validation: tuple[Window, ...]


def judged_windows(conn: Connection, *, as_of: datetime, parameters: RecommendationParameters) -> JudgedWindows:
    """The windows that end at `as_of` and before, by the receipts of the orders."""
    horizon = timedelta(days=parameters.horizon_days)
    stretches = loaded_stretches(conn, entity="orders", until=as_of)
    windows = [
        Window(as_of - horizon * (number + 1), as_of - horizon * number)
        for number in range(parameters.validation_windows + 1)
    ]
    loaded = [
        any(stretch.start <= window.start and window.end <= stretch.end for stretch in stretches) for window in windows
    ]
    return JudgedWindows(
        test=windows[0] if loaded[0] else None,
        validation=tuple(window for window, is_loaded in zip(windows[1:], loaded[1:], strict=True) if is_loaded),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What customers bought in a window after a cut: those known before it, and of many of them a sample.

    :param customers: by number in the history; ordered.
    :param relevant: how many different products each bought, also such as nobody could recommend.
    :param relevant_new: how many of these they had not bought before.
    """

    customers: Numbers
    relevant: Numbers
    relevant_new: Numbers
    _keys: Numbers  # ordered: place of the customer times the number of products, plus the product's number
    _products: int

    @classmethod
    def of(cls, history: History, purchases: Purchases, *, end: int, most: int, seed: int) -> Outcome:
        """Outcomes from the cut of the history to `end` (microseconds).

        :param most: how many customers there are at most.
        """
        bought = purchases.between(history.at, end)
        numbers = numbers_in(history.customer_ids, bought.customer_ids)
        known = numbers >= 0
        ids, products = np.unique(bought.product_ids[known], return_inverse=True)
        pairs = np.unique(numbers[known] * max(len(ids), 1) + products)
        customers, products = np.divmod(pairs, max(len(ids), 1))
        sampled = np.unique(customers)
        if len(sampled) > most:
            sampled = np.sort(np.random.default_rng(seed).choice(sampled, most, replace=False))
        rows = numbers_in(sampled, customers)
        customers, products, rows = (each[rows >= 0] for each in (customers, products, rows))
        width = max(history.shape[1], 1)
        products = numbers_in(history.product_ids, ids)[products] if len(ids) else products
        could_be = products >= 0
        before = history.pairs.customers * width + history.pairs.products
        is_new = ~(could_be & np.isin(customers * width + products, before))
        return cls(
            customers=sampled,
            relevant=np.bincount(rows, minlength=len(sampled)),
            relevant_new=np.bincount(rows[is_new], minlength=len(sampled)),
            _keys=np.sort((rows * width + products)[could_be]),
            _products=width,
        )

    def hits(self, lists: Numbers) -> npt.NDArray[np.bool_]:
        """Which places of the lists hold a product that was bought; one row per customer of the outcome."""
        keys = np.arange(len(lists))[:, None] * self._products + lists
        return (numbers_in(self._keys, keys.ravel()).reshape(keys.shape) >= 0) & (lists >= 0)


def outcome_of(
    purchases: Purchases, window: Window, *, parameters: RecommendationParameters
) -> tuple[History, Outcome] | None:
    """The history before a window and what came in it; None if fewer customers than needed were known and bought."""
    history = History(purchases, at=microseconds(window.start))
    outcome = Outcome.of(
        history,
        purchases,
        end=microseconds(window.end),
        most=parameters.most_judged_customers,
        seed=parameters.seed,
    )
    return (history, outcome) if len(outcome.customers) >= parameters.least_customers else None
