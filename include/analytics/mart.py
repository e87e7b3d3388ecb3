"""What a mart is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

SQL_FOLDER = Path(__file__).resolve().parents[1] / "sql" / "analytics"
BOOKS = frozenset(f"analytics.{name}" for name in ("mart_states", "day_readers", "stale_days", "owners", "lineage"))
"""Tables of the schema that are no marts: what the marts and the catalogue are kept up by."""


class BadMart(ValueError):
    """A mart cannot be as it is declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mart:
    """A table `analytics.<name>`, made by `include/sql/analytics/<name>.sql`.

    The file is one SELECT that gives the table's columns by name, and says in its first line what one row is. It may
    ask `analytics.time_zone()` (where days begin) and `analytics.data_until()` (end of what was loaded, infinity if
    nobody said); if the mart has a `day_column`, it must give the rows of the days between `analytics.from_instant()`
    and `analytics.until_instant()` alone. As it stands it can be run in psql and gives all rows.

    :param key: columns that tell one row from another; none of them is ever null.
    :param inputs: tables that it reads, with their schema; those of other marts are refreshed first.
    :param kept_by: of inputs that are no marts but kept by triggers on the table of one: the name of that mart.
    :param day_column: the date of a row, if its rows are made of the facts of that one day: then only days with
        changed facts are made anew. Its sources are rows of `analytics.day_readers`.
    :param looks_back_days: how many days before its own a day's rows are made of facts of, too.
    :param looks_ahead_days: how many days after its own they are, too. Both are whole days, and at least as long as
        what the file looks back and ahead.
    :param month_column: the first day of a row's month, if its rows are made of the facts up to the end of that month:
        then only the months from the first change on are made anew, which its file must give, those from
        `analytics.from_instant()` on. A day of that month is put into `analytics.stale_days`.
    :param customer_column: the customer of a row, if its rows are made of the facts of that one customer: then only
        customers in `analytics.stale_customers` are made anew. Its file gives those of all; the planner carries the
        condition down to where the facts are read, if all that is grouped or numbered is so by customer.
    :raises BadMart: there is no such file, its first line does not say what one row is, or it has several such columns.
    """

    name: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    day_column: str | None = None
    looks_back_days: int = 0
    looks_ahead_days: int = 0
    month_column: str | None = None
    customer_column: str | None = None
    kept_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.query.startswith("-- One row per "):
            raise BadMart(f"{self.name}.sql must begin with `-- One row per …`: say what one row of the mart is.")
        if sum(map(bool, (self.day_column, self.month_column, self.customer_column))) > 1:
            raise BadMart(f"{self.name} can be kept up by days, by months or by customers: choose one column.")

    @property
    def grain(self) -> str:
        """What is counted of it when it is made anew; days also where it is always made as a whole."""
        return "customers" if self.customer_column else "months" if self.month_column else "days"

    @property
    def query(self) -> str:
        """The text of its SQL file.

        :raises BadMart: there is none.
        """
        file = SQL_FOLDER / f"{self.name}.sql"
        try:
            return file.read_text()
        except FileNotFoundError:
            raise BadMart(f"The mart {self.name} has no SQL file: write {file}.") from None

    @property
    def words(self) -> str:
        """The comment that its SQL begins with: what one row is, and what there is to know."""
        lines = takewhile(lambda line: line.startswith("--"), self.query.splitlines())
        return " ".join(line.removeprefix("--").strip() for line in lines)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the marts that it is made of."""
        return tuple(
            self.kept_by.get(table, table.removeprefix("analytics."))
            for table in self.inputs
            if table.startswith("analytics.") and table not in BOOKS
        )

    @property
    def is_last(self) -> bool:
        """It reads what every refresh writes, so all other marts are refreshed first."""
        return "analytics.mart_states" in self.inputs
