"""What a mart is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

SQL_FOLDER = Path(__file__).resolve().parents[1] / "sql" / "analytics"
BOOKS = frozenset(f"analytics.{name}" for name in ("mart_states", "day_readers", "stale_days", "owners", "lineage"))
"""Tables of the schema that are no marts: what the marts and the catalogue are kept up by."""


class BadMart(ValueError):
    """A mart cannot be as it is declared."""


@dataclass(frozen=True, slots=True)
class ByDay:
    """A row is made of the facts of one day: only days with changed facts are made anew.

    The mart's sources are rows of `analytics.day_readers`.

    :param column: the date of a row.
    :param looks_back_days: how many days before its own a day's rows are made of facts of, too.
    :param looks_ahead_days: how many days after its own they are, too. Both are whole days, and at least as long as
        what the file looks back and ahead.
    """

    grain: ClassVar = "days"
    column: str
    looks_back_days: int = 0
    looks_ahead_days: int = 0


@dataclass(frozen=True, slots=True)
class ByMonth:
    """A row is made of the facts up to the end of its month: only the months from the first change on are made anew.

    The mart's file must give those from `analytics.from_instant()` on. A day of the month with a change is put into
    `analytics.stale_days`.

    :param column: the first day of a row's month.
    """

    grain: ClassVar = "months"
    column: str


@dataclass(frozen=True, slots=True)
class ByCustomer:
    """A row is made of the facts of one customer: only those in `analytics.stale_customers` are made anew.

    The mart's file gives the rows of all; the planner carries the condition down to where the facts are read, if all
    that is grouped or numbered is so by customer.

    :param column: the customer of a row.
    """

    grain: ClassVar = "customers"
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mart:
    """A table `analytics.<name>`, made by `include/sql/analytics/<name>.sql`.

    The file is one SELECT that gives the table's columns by name, and says in its first line what one row is. It may
    ask `analytics.time_zone()` (where days begin) and `analytics.data_until()` (end of what was loaded, infinity if
    nobody said); if the mart is kept up by day, it must give the rows of the days between `analytics.from_instant()`
    and `analytics.until_instant()` alone. As it stands it can be run in psql and gives all rows.

    :param key: columns that tell one row from another; none of them is ever null.
    :param inputs: tables that it reads, with their schema; those of other marts are refreshed first.
    :param kept_by: of inputs that are no marts but kept by triggers on the table of one: the name of that mart.
    :param kept_up: which of its rows are made anew after a change; None if all of them always are.
    :raises BadMart: there is no such file, or its first line does not say what one row is.
    """

    name: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    kept_up: ByDay | ByMonth | ByCustomer | None = None
    kept_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.query.startswith("-- One row per "):
            raise BadMart(f"{self.name}.sql must begin with `-- One row per …`: say what one row of the mart is.")

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
            dict.fromkeys(
                self.kept_by.get(table, table.removeprefix("analytics."))
                for table in self.inputs
                if table.startswith("analytics.") and table not in BOOKS
            )
        )

    @property
    def is_last(self) -> bool:
        """It reads what every refresh writes, so all other marts are refreshed first."""
        return "analytics.mart_states" in self.inputs
