"""Which rows of a landed batch the sandbox damaged, told from the bytes in plain Python."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from include.entities.window import Window
from include.ingestion.landing import Landing

MARK = {"not": "what", "it": ["should", "be"]}
LINES = ("line_items", "shipping_lines", "fee_lines")
CHILD = {"orders": "order_lines", "refunds": "refund_lines"}
_MISSING = {
    "events": "messageId",
    "weather_daily": "time",
    "stock_prices_daily": "1. open",
}
Place = tuple[str, str, str]
"""Entity, landed file with its batch, and position in it."""


def damaged_places(landing: Landing, batch: str, entity: str, reach: Window) -> set[Place]:
    """Where the damaged rows of a batch lie, and the lines that go with them."""
    found: set[Place] = set()
    for file, body, repeated in bodies(landing, batch):
        for position, row in enumerate(rows_in(body, entity, reach)):
            if position >= repeated and is_damaged(row, entity):
                found.add((entity, file, str(position)))
                found |= {(CHILD[entity], file, f"{position}.{number}") for number in range(_line_count(row, entity))}
    return found


def bodies(landing: Landing, batch: str) -> Iterator[tuple[str, bytes, int]]:
    """Landed files of a batch with what came over the wire, read without the help of landing.

    And how many of its first rows stand, byte for byte, in the file before: they are judged there.
    """
    before: list[bytes] = []
    manifest = json.loads((landing.root / batch / "manifest.json").read_text())
    for page in manifest["pages"]:
        name = f"{batch}/{page['file']}"
        body = gzip.decompress((landing.root / name).read_bytes())
        repeated = page.get("repeated_rows", 0)
        if repeated:
            rows = cut_out(body)
            assert set(rows[:repeated]) <= set(before), f"{name} does not begin with what stood on the page before it"
        before = cut_out(body) if body.startswith(b"[") else []
        yield name, body, repeated


def cut_out(body: bytes) -> list[bytes]:
    """The raw elements of a JSON array, found with Python's own JSON."""
    text = body.decode()
    found, position, decoder = [], 1, json.JSONDecoder()
    while position < len(text) - 1:
        _, end = decoder.raw_decode(text, position)
        found.append(text[position:end].encode())
        position = end + 1
    return found


def rows_in(body: bytes, entity: str, reach: Window) -> list[Any]:
    """Rows of one answer; None for one that is no JSON."""
    if entity == "events":
        return [_parsed(line) for line in body.split(b"\n") if line.strip()]
    content = json.loads(body)
    if entity == "weather_daily":
        daily = content["daily"]
        return [dict(zip(daily, values, strict=True)) for values in zip(*daily.values(), strict=True)]
    if entity == "stock_prices_daily":
        first, last = reach.start.isoformat(), reach.end.isoformat()
        days = content["Time Series (Daily)"]
        return [{**days[day], "day": day} for day in sorted(days) if first <= f"{day}T00:00:00+00:00" < last]
    return content


def is_damaged(row: Any, entity: str) -> bool:
    """Whether the sandbox took something from the row, or put something else in its place."""
    return row is None or row.get(_MISSING.get(entity, "id")) is None or MARK in list(row.values())


def _line_count(row: Mapping[str, Any] | None, entity: str) -> int:
    if row is None or entity not in CHILD or any(row[name] == MARK for name in LINES):
        return 0
    return sum(len(row[name]) for name in LINES)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
