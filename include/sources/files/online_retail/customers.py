"""The customers of a shop, found in the lines of its export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from include.sources.files.online_retail.lines import Lines


@dataclass(frozen=True, slots=True)
class CustomerVersion:
    """A customer from one change of country to the next. Instants are seconds since 1970 in UTC.

    :param registered: the customer's first line.
    :param changed: the line that began this version.
    :param is_paying: the customer has an order, not only refunds.
    """

    customer_id: int
    country: str
    registered: int
    changed: int
    is_paying: bool


def customer_versions(lines: Lines) -> Iterator[CustomerVersion]:
    """Every customer: registered with the first line, one version more for each change of country, oldest first."""
    named = np.flatnonzero(lines.customer_ids != 0)
    named = named[np.lexsort((named, lines.instants[named], lines.customer_ids[named]))]
    customers, countries = lines.customer_ids[named], lines.countries.codes[named]
    is_new = np.append(True, customers[1:] != customers[:-1])[: len(named)]
    is_change = is_new | np.append(True, countries[1:] != countries[:-1])[: len(named)]
    with_order = set(np.unique(lines.customer_ids[~lines.is_refund]).tolist())
    registered = 0
    for place in np.flatnonzero(is_change):
        customer, instant = int(customers[place]), int(lines.instants[named[place]])
        registered = instant if is_new[place] else registered
        yield CustomerVersion(
            customer_id=customer,
            country=lines.countries[int(named[place])],
            registered=registered,
            changed=instant,
            is_paying=customer in with_order,
        )


def email_of(customer_id: int) -> str:
    """An address that leads nowhere: the export has none."""
    return f"customer-{customer_id}@example.com"
