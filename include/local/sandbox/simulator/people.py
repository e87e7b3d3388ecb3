"""Customers of the simulated shop as WooCommerce lists them, and what each is like beyond the truth of buying."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox import wire
from include.local.sandbox.instants import DAY, gmt
from include.local.sandbox.shop import Collection
from include.local.sandbox.simulator.catalogue import Catalogue
from include.local.sandbox.simulator.population import CustomerTruth

_FIRST_NAMES = ("Ada", "Ben", "Chloe", "David", "Elif", "Finn", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Liam")
_LAST_NAMES = ("Acker", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Huber", "Jansen", "Klein", "Lang")
_COUNTRIES = ("DE", "AT", "NL", "FR", "BE", "IT")
_COUNTRY_SHARES = (0.45, 0.15, 0.14, 0.12, 0.08, 0.06)
_BASKET_SHAPE = 6.0


@dataclass(frozen=True)
class Person:
    """A customer's, or with `customer_id` 0 a guest's, habits: order values are Gamma around an own mean."""

    customer_id: int
    first_name: str
    last_name: str
    email: str
    country: str
    mean_basket_cents: float
    liking: NDArray[np.float64]
    anonymous_id: str

    @property
    def billing(self) -> wire.Billing:
        """The billing address."""
        return wire.Billing(
            country=self.country, first_name=self.first_name, last_name=self.last_name, email=self.email
        )

    @property
    def shipping(self) -> wire.Address:
        """The shipping address."""
        return wire.Address(country=self.country, first_name=self.first_name, last_name=self.last_name)


def draw_person(*, customer_id: int, email: str, catalogue: Catalogue, random: np.random.Generator) -> Person:
    """Draw somebody's habits; the mean order value is inverse Gamma over people."""
    return Person(
        customer_id=customer_id,
        first_name=_FIRST_NAMES[random.integers(len(_FIRST_NAMES))],
        last_name=_LAST_NAMES[random.integers(len(_LAST_NAMES))],
        email=email,
        country=_COUNTRIES[random.choice(len(_COUNTRIES), p=_COUNTRY_SHARES)],
        mean_basket_cents=12_000 / float(random.gamma(4.0, 1.0)) + 900,
        liking=catalogue.draw_liking(random),
        anonymous_id=random.bytes(16).hex(),
    )


def draw_basket_cents(person: Person, random: np.random.Generator) -> float:
    """The value this person wants to spend on one order, in cents."""
    return float(random.gamma(_BASKET_SHAPE, person.mean_basket_cents / _BASKET_SHAPE))


def customers_collection(
    *, people: list[Person], truths: list[CustomerTruth], end: int, random: np.random.Generator
) -> Collection:
    """Every customer: registered at the first checkout, paying from the first order on, a few move later."""
    keys, created, modified, items, names = [], [], [], [], []

    def add(person: Person, *, registered: int, changed: int, is_paying: bool) -> None:
        keys.append(person.customer_id)
        created.append(registered)
        modified.append(changed)
        names.append(f"{person.first_name} {person.last_name}")
        items.append(_on_the_wire(person, registered=registered, changed=changed, is_paying=is_paying))

    for person, truth in zip(people, truths, strict=True):
        registered = truth.joined_at - 60
        add(person, registered=registered, changed=registered, is_paying=False)
        add(person, registered=registered, changed=truth.joined_at, is_paying=True)
        moved_at = truth.joined_at + int(random.exponential(900 * DAY))
        new_country = _COUNTRIES[random.integers(len(_COUNTRIES))]
        if moved_at < end:
            add(replace(person, country=new_country), registered=registered, changed=moved_at, is_paying=True)
    return Collection(keys=keys, created=created, modified=modified, items=items, sort_names=names)


def _on_the_wire(person: Person, *, registered: int, changed: int, is_paying: bool) -> wire.Customer:
    return wire.Customer(
        id=person.customer_id,
        date_created=gmt(registered),
        date_created_gmt=gmt(registered),
        date_modified=gmt(changed),
        date_modified_gmt=gmt(changed),
        email=person.email,
        first_name=person.first_name,
        last_name=person.last_name,
        username=f"customer-{person.customer_id}",
        billing=person.billing,
        shipping=person.shipping,
        is_paying_customer=is_paying,
    )
