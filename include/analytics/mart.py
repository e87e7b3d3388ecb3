"""What a mart is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SQL_FOLDER = Path(__file__).resolve().parents[1] / "sql" / "analytics"


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
    :param day_column: the date of a row, if its rows are made of the facts of that one day: then only days with
        changed facts are made anew. Its sources are rows of `analytics.day_readers`.
    :raises BadMart: there is no such file, or its first line does not say what one row is.
    """

    name: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    day_column: str | None = None

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
    def upstream(self) -> tuple[str, ...]:
        """Names of the marts that it is made of."""
        return tuple(table.removeprefix("analytics.") for table in self.inputs if table.startswith("analytics."))
