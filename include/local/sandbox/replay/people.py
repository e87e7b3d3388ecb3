"""The customers of a replayed shop, found in its lines."""

from __future__ import annotations

import numpy as np

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt
from include.local.sandbox.replay.lines import Lines
from include.local.sandbox.shop import Collection


def customers_collection(lines: Lines) -> Collection:
    """Every customer: registered with the first line, one version more for each change of country."""
    named = np.flatnonzero(lines.customer_ids != 0)
    named = named[np.lexsort((named, lines.instants[named], lines.customer_ids[named]))]
    customers, countries = lines.customer_ids[named], lines.countries.codes[named]
    is_new = np.append(True, customers[1:] != customers[:-1])[: len(named)]
    is_change = is_new | np.append(True, countries[1:] != countries[:-1])[: len(named)]
    with_order = set(np.unique(lines.customer_ids[~lines.is_refund]).tolist())
    keys, created, modified, items, names = [], [], [], [], []
    registered = 0
    for place in np.flatnonzero(is_change):
        customer, instant = int(customers[place]), int(lines.instants[named[place]])
        registered = instant if is_new[place] else registered
        keys.append(customer)
        created.append(registered)
        modified.append(instant)
        names.append(f"customer-{customer}")
        items.append(
            _customer(
                customer,
                country=lines.countries[int(named[place])],
                registered=registered,
                changed=instant,
                is_paying=customer in with_order,
            )
        )
    return Collection(keys=keys, created=created, modified=modified, items=items, sort_names=names)


def _customer(customer: int, *, country: str, registered: int, changed: int, is_paying: bool) -> wire.Customer:
    email = f"customer-{customer}@example.com"
    return wire.Customer(
        id=customer,
        date_created=gmt(registered),
        date_created_gmt=gmt(registered),
        date_modified=gmt(changed),
        date_modified_gmt=gmt(changed),
        email=email,
        first_name="",
        last_name="",
        username=f"customer-{customer}",
        billing=wire.Billing(country=country, email=email),
        shipping=wire.Address(country=country),
        is_paying_customer=is_paying,
    )
