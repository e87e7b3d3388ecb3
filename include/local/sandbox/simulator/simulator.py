"""The whole simulated shop from a seed: the same seed and size give the same shop to the byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from include.local.sandbox.instants import parse_instant
from include.local.sandbox.shop import Shop
from include.local.sandbox.simulator.browsing import browse
from include.local.sandbox.simulator.catalogue import Catalogue
from include.local.sandbox.simulator.orders import DraftOrder, DraftRefund, OrderBook
from include.local.sandbox.simulator.people import Person, customers_collection, draw_person
from include.local.sandbox.simulator.population import CustomerTruth, PurchaseModel, Season, simulate_population
from include.local.sandbox.simulator.versions import orders_collection, refunds_collection

START = parse_instant("2024-01-01T00:00:00Z")
END = parse_instant("2026-01-01T00:00:00Z")
FIRST_CUSTOMER_ID = 2
_FIRST_ORDER_ID = 1001
_UNPAID_SHARE = 0.06
_GUEST_SHARE = 0.12


@dataclass
class Simulator:
    """A shop from 2024-01-01 to 2026-01-01.

    :param customers: how many register over the two years.
    :param seed: the same seed and number of customers give the same shop.
    """

    customers: int = 1_500
    seed: int = 1
    model: PurchaseModel = field(default_factory=PurchaseModel)

    def __post_init__(self) -> None:
        population, catalogue, habits, orders, *self._later = np.random.SeedSequence(self.seed).spawn(6)
        self.season = Season(start=START, end=END)
        self.catalogue = Catalogue(start=START, end=END, random=np.random.default_rng(catalogue))
        self._truth = simulate_population(
            customers=self.customers,
            first_customer_id=FIRST_CUSTOMER_ID,
            model=self.model,
            season=self.season,
            random=np.random.default_rng(population),
        )
        habits_random = np.random.default_rng(habits)
        self._people = [
            draw_person(
                customer_id=truth.customer_id,
                email=f"customer-{truth.customer_id}@example.com",
                catalogue=self.catalogue,
                random=habits_random,
            )
            for truth in self._truth
        ]
        self._drafts = self._draw_orders(np.random.default_rng(orders), habits_random)

    @property
    def truth(self) -> Sequence[CustomerTruth]:
        """What only the simulator knows, one per customer, in the order of joining."""
        return self._truth

    @property
    def drafts(self) -> Sequence[DraftOrder]:
        """All orders, paid or not, with everything that ever happens to them."""
        return self._drafts

    def shop(self) -> Shop:
        """The shop to serve: the same whenever it is asked for."""
        moves, browsing = (np.random.default_rng(seed) for seed in self._later)
        orders = orders_collection(self._drafts, end=END)
        refunds = refunds_collection(self._drafts, end=END)
        customers = customers_collection(people=self._people, truths=self._truth, end=END, random=moves)
        products = self.catalogue.collection()
        events = browse(
            people=self._people,
            truths=self._truth,
            drafts=self._drafts,
            catalogue=self.catalogue,
            season=self.season,
            random=browsing,
        )
        return Shop(
            kind="simulator",
            currency="EUR",
            start=START,
            end=END,
            orders=orders,
            refunds=refunds,
            customers=customers,
            products=products,
            events=events,
            counts={
                "orders": len(orders),
                "refunds": len(refunds),
                "customers": len(customers),
                "products": len(products),
                "events": len(events),
                "order_versions": len(orders.keys),
            },
        )

    def _draw_orders(self, random: np.random.Generator, habits: np.random.Generator) -> list[DraftOrder]:
        book = OrderBook(catalogue=self.catalogue, random=random)
        drafts: list[DraftOrder] = []
        for person, truth in zip(self._people, self._truth, strict=True):
            for paid_at in truth.purchases:
                drafts.append(book.paid_order(person, paid_at=paid_at, is_last=paid_at == truth.dropped_out_at))
                if random.random() < _UNPAID_SHARE:
                    drafts.append(book.unpaid_order(person, created_at=paid_at + int(random.integers(700, 200_000))))
        drafts += self._guest_orders(len(drafts), book, random, habits)
        drafts = [draft for draft in drafts if START <= draft.created_at < END]
        _number(drafts)
        return drafts

    def _guest_orders(
        self, paid: int, book: OrderBook, random: np.random.Generator, habits: np.random.Generator
    ) -> list[DraftOrder]:
        total = float(self.season.operational_days(float(END)))
        instants = self.season.instants(np.sort(random.uniform(0, total, int(random.poisson(_GUEST_SHARE * paid)))))
        return [
            book.paid_order(self._guest(number, habits), paid_at=int(instant), is_last=False)
            for number, instant in enumerate(instants, start=1)
        ]

    def _guest(self, number: int, random: np.random.Generator) -> Person:
        return draw_person(customer_id=0, email=f"guest-{number}@example.com", catalogue=self.catalogue, random=random)


def _number(drafts: list[DraftOrder]) -> None:
    """Give orders and refunds their ids out of one sequence, in the order of their creation."""
    born = [(draft.created_at, 0, position, draft) for position, draft in enumerate(drafts)]
    refunds = [refund for draft in drafts for refund in draft.refunds]
    given_back = [(refund.refunded_at, 1, position, refund) for position, refund in enumerate(refunds)]
    ordered: list[tuple[int, int, int, DraftOrder | DraftRefund]] = [*born, *given_back]
    ordered.sort(key=lambda entry: entry[:3])
    for number, (_, _, _, record) in enumerate(ordered, start=_FIRST_ORDER_ID):
        if isinstance(record, DraftOrder):
            record.order_id = number
        else:
            record.refund_id = number
