"""Which shop the sandbox plays, and which warehouse belongs to it.

Every shop has a warehouse of its own, a database named after what makes the shop that shop: rows of two shops in
one table would be a third shop that never was. The default simulated shop has the plain name `warehouse`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from include.local.errors import LocalStackError

DEFAULT_CUSTOMERS = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A simulated shop of so many customers, or the replay of a file.

    :param data: an Online Retail export to replay, absolute; None is the simulator.
    :param database: the warehouse of this shop.
    """

    customers: int
    data: Path | None
    database: str

    @property
    def arguments(self) -> list[str]:
        """What the sandbox needs on its command line to be this shop."""
        return ["--data", str(self.data)] if self.data else ["--customers", str(self.customers)]


def choose_shop(*, data: str | None, customers: int | None) -> Shop:
    """The shop that was asked for on the command line.

    :raises LocalStackError: the file is not there or cannot be read, or the number makes no sense.
    """
    if data and customers is not None:
        raise LocalStackError("DATA and CUSTOMERS exclude each other: a replayed shop brings its own customers.")
    if customers is not None and not 1 <= customers <= 1_000_000:
        raise LocalStackError(f"CUSTOMERS={customers} makes no shop; give a number between 1 and 1000000.")
    if not data:
        count = customers or DEFAULT_CUSTOMERS
        name = "warehouse" if count == DEFAULT_CUSTOMERS else f"warehouse_{count}_customers"
        return Shop(customers=count, data=None, database=name)
    path = Path(data).expanduser().resolve()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LocalStackError(
            f"Cannot read DATA={data}: {error.strerror} ({path}). Give the path of an Online Retail export "
            "(.csv, .csv.gz, .csv.xz or .csv.zst)."
        ) from error
    return Shop(customers=DEFAULT_CUSTOMERS, data=path, database=f"warehouse_{digest[:12]}")


def remember_shop(path: Path, shop: Shop) -> None:
    """Make this the shop that `make up` opens and `make dsn` points to."""
    data = str(shop.data) if shop.data else None
    path.write_text(json.dumps({"database": shop.database, "data": data, "customers": shop.customers}, indent=1))


def last_shop(path: Path) -> Shop:
    """The shop used last, or the default one."""
    try:
        known = json.loads(path.read_text())
        data = Path(known["data"]) if known["data"] else None
        return Shop(customers=int(known["customers"]), data=data, database=str(known["database"]))
    except (OSError, ValueError, KeyError, TypeError):
        return choose_shop(data=None, customers=None)
