"""Golden cases of marts: what the shop held and what the mart must say, as small tables that can be checked by hand.

A case is a folder `tests/golden/<mart>/<case>/`, which test_golden.py finds and runs:

* `<table>.csv` for tables of the schemas `shop` and `signals` (`orders.csv`, `weather_daily.csv`): one line per row.
  Only the columns that matter stand there; others that must have a value get one that means nothing.
* `expected.csv`: the mart's rows, all of them, in any order: its key, and those of its columns that the case is about.
* `params.json`, if there is something to say: `time_zone` (UTC), `until` (the end of what was loaded; none), and
  `listed_only` (true: the mart may have more rows than `expected.csv`).

An empty cell is null, in a key also the empty text. An array is written as Postgres does: `{1,2}`. Numbers are equal if
they differ by less than one in 10⁹, all else if the text is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window

Rows = list[dict[str, str | None]]
FOLDER = Path(__file__).resolve().parents[1] / "golden"
SIGNALS = ("weather_daily", "stock_prices_daily")
NOW = datetime(2025, 1, 1, tzinfo=UTC)
WINDOW = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, tzinfo=UTC))
_FILLINGS = {
    "text": "x", "bigint": "0", "date": "2000-01-01", "boolean": "true", "jsonb": "{}",
    "double precision": "0", "numeric(18,4)": "0", "timestamp with time zone": "2000-01-01Z",
    "uuid": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
_USUAL = {
    ("orders", "currency"): "GBP", ("refunds", "currency"): "GBP", ("products", "currency"): "GBP",
    ("product_versions", "currency"): "GBP", ("product_versions", "known_from"): "-infinity",
    ("order_lines", "kind"): "product", ("refund_lines", "kind"): "product", ("order_lines", "quantity"): "1",
    ("refund_lines", "quantity"): "1", ("products", "categories"): "[]", ("product_versions", "categories"): "[]",
}  # fmt: skip


def cases(mart: str) -> list[Path]:
    """The folders of a mart's cases, by name."""
    return sorted(folder for folder in (FOLDER / mart).iterdir() if folder.is_dir())


def assert_golden(conn: Connection, folder: Path) -> None:
    """Load a case into an empty warehouse, make its mart and those that it is made of, and compare."""
    params = params_of(folder)
    for file in sorted(folder.glob("*.csv")):
        if file.stem != "expected":
            load_table(conn, file)
    name = folder.parent.name
    make_mart(conn, name, time_zone=params.get("time_zone", "UTC"), until=params.get("until"))
    expected = rows_of(folder / "expected.csv")
    columns = list(expected[0]) if expected else list(MARTS[name].key)
    assert set(columns) >= set(MARTS[name].key), f"{folder}/expected.csv lacks a column of the key"
    found = [
        dict(zip(columns, row, strict=True))
        for row in conn.execute(
            sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns),
                sql.Identifier("analytics", name),
            )
        )
    ]
    _compare(found, expected, MARTS[name].key, listed_only=params.get("listed_only", False))


def params_of(folder: Path) -> dict[str, Any]:
    file = folder / "params.json"
    return json.loads(file.read_text()) if file.exists() else {}


def rows_of(file: Path) -> Rows:
    """The lines of a file by column; empty cells are None."""
    with file.open(newline="") as lines:
        return [{name: cell or None for name, cell in line.items()} for line in csv.DictReader(lines)]


def load_table(conn: Connection, file: Path) -> None:
    """Put a file's lines into the table of its name."""
    put_rows(conn, file.stem, rows_of(file))


def put_rows(conn: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows that all have the same columns into a table of the shop or its signals; the rest is filled.

    :raises psycopg.errors.UndefinedColumn: the table has no such column.
    """
    if not rows:
        return
    schema = "signals" if table in SIGNALS else "shop"
    columns = conn.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
        """,
        (f"{schema}.{table}",),
    ).fetchall()
    filled = [
        {name: _filling(table, name, kind, row, number) for name, kind, required in columns if required} | dict(row)
        for number, row in enumerate(rows, 1)
    ]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, filled[0]))
    )
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in filled:
            copy.write_row(list(row.values()))


def _filling(table: str, name: str, kind: str, row: Mapping[str, Any], number: int) -> Any:
    """What stands in a column that must have a value and that the file does not name."""
    if name == "placed_at":
        return row.get("paid_at") or _FILLINGS[kind]
    if name in ("order_id", "refund_id", "line_id", "event_id"):
        return str(number)
    return _USUAL.get((table, name), _FILLINGS[kind])


def make_mart(conn: Connection, name: str, *, time_zone: str = "UTC", until: str | datetime | None = None) -> None:
    """Refresh a mart after those that it is made of.

    :param until: end of what was loaded; None if nobody said.
    """
    if isinstance(until, str):
        until = datetime.fromisoformat(until)
    for upstream in MARTS[name].upstream:
        make_mart(conn, upstream, time_zone=time_zone, until=until)
    refresh(conn, MARTS[name], window=WINDOW, until=until, now=NOW, time_zone=time_zone)


def _compare(found: Rows, expected: Rows, key: tuple[str, ...], *, listed_only: bool) -> None:
    def by_key(rows: Rows) -> dict[tuple[str, ...], dict[str, str | None]]:
        return {tuple(row[name] or "" for name in key): row for row in rows}

    here, there = by_key(found), by_key(expected)
    assert len(there) == len(expected), "expected.csv has two lines of one key"
    missing, surplus = there.keys() - here.keys(), here.keys() - there.keys()
    assert not missing, f"the mart lacks {sorted(missing)}; it has {sorted(surplus)[:10]}"
    assert listed_only or not surplus, f"the mart has more than expected: {sorted(surplus)[:10]}"
    for of, row in there.items():
        wrong = {
            name: (here[of][name], cell)
            for name, cell in row.items()
            if name not in key and not _is_same(here[of][name], cell)
        }
        assert not wrong, f"{of}: (found, expected) are {wrong}"


def _is_same(found: str | None, expected: str | None) -> bool:
    if found is None or expected is None:
        return found is expected
    try:
        left, right = Decimal(found), Decimal(expected)
    except InvalidOperation:
        return found == expected
    return abs(left - right) <= abs(right) * Decimal("1e-9")
