"""Take a customer's personal data out of landing and the warehouse.

Erase the customer in the shop first: while the shop has their data, the next load brings it back. Let running loads
end before; then

  --customer 1234

masks e-mail address, names, addresses, phone and network address in every landed row of that customer, of their guest
orders with the same e-mail address and of their browsers, and takes address and names out of the warehouse. Ids,
amounts and times stay, so that sums hold and what was landed can be replayed. Killed half way, run it again. The log
line says `unfinished`: batches into which nobody could look because they were being written; if it is not 0, run it
again when no load is running.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime

from include.ingestion.commands.environment import warehouse_in
from include.ingestion.erasure import erase_customer
from include.ingestion.settings import landing_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--customer", type=int, required=True, metavar="ID", help="customer_id in shop.customers")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Erase, and print what changed.

    :raises BadSetting: a setting is missing or wrong.
    """
    landing = landing_of(environment)
    with warehouse_in(environment) as conn:
        print(erase_customer(conn, landing, customer_id=arguments.customer, now=datetime.now(UTC)))
    return 0
