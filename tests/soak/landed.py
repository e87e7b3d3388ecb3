"""Which rows of a landed batch the sandbox damaged, told from the bytes in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from include.entities.window import Window
from include.ingestion.landing import Landing, decompressed
from tests.wire_rows import read_json

MARK = {"not": "what", "it": ["should", "be"]}
LINES = ("line_items", "shipping_lines", "fee_lines")
CHILD = {"orders": "order_lines", "refunds": "refund_lines"}
_MISSING = {"events": "messageId", "weather_daily": "time", "stock_prices_daily": "1. open"}
_KEYS = {"events": "messageId", "weather_daily": "time", "stock_prices_daily": "day"}
_BROKEN = b',"broken":'
Place = tuple[str, str, str]
"""Entity, landed file with its batch, and position in it."""
Wire = tuple[Mapping[str, Any], Mapping[str, Any]]
"""A row as it goes over the wire, and what its page knows beside it."""
Key = tuple[Any, ...]
"""What tells a row on the wire from all others, with the place or symbol of its page."""


def damaged_places(landing: Landing, batch: str, entity: str, reach: Window) -> set[Place]:
    """Where the damaged rows of a batch lie, and the lines that go with them."""
    found: set[Place] = set()
    for file, body, repeated in bodies(landing, batch):
        for position, row in enumerate(rows_in(body, entity, reach)):
            if position >= repeated and is_damaged(row, entity):
                found.add((entity, file, str(position)))
                found |= {(CHILD[entity], file, f"{position}.{number}") for number in range(_line_count(row, entity))}
    return found


def kept_from_the_tables(
    landing: Landing, batch: str, entity: str, reach: Window, wires: Iterable[Wire], *, is_edited: bool
) -> set[Key]:
    """Keys of the rows of which a batch holds damaged copies and no good one.

    :param wires: the rows that were sent, before any damage.
    :param is_edited: some of them were sent as they were before an edit.
    :raises AssertionError: a damaged row is none of them.
    """
    good: set[Key] = set()
    damaged: list[tuple[Mapping[str, Any], Any]] = []
    contexts = {f"{batch}/{page['file']}": page.get("context", {}) for page in manifest_of(landing, batch)["pages"]}
    for file, body, _ in bodies(landing, batch):
        for row in rows_in(body, entity, reach):
            if is_damaged(row, entity):
                damaged.append((row, contexts[file]))
            else:
                good.add(key_of(row, contexts[file], entity))
    sent = [(wire, key_of(wire, context, entity)) for wire, context in wires] if damaged else []
    found: set[Key] = set()
    for row, context in damaged:
        own = _keys_of_damaged(row, context, entity, sent)
        assert own or is_edited, f"a damaged row was made of none that was sent: {row}"
        found |= own
    return found - good


def _keys_of_damaged(
    row: Mapping[str, Any] | None,
    context: Mapping[str, Any],
    entity: str,
    sent: Iterable[tuple[Mapping[str, Any], Key]],
) -> set[Key]:
    """The key that a damaged row still has, or those of the rows that say what is left of it."""
    if row is not None and row.get(_KEYS.get(entity, "id")) not in (None, MARK):
        return {key_of(row, context, entity)}
    return {key for wire, key in sent if key[0] == _place(context) and _may_have_been(row, wire)}


def key_of(row: Mapping[str, Any], context: Mapping[str, Any], entity: str) -> Key:
    """The key of a row that is not damaged."""
    return _place(context), row[_KEYS.get(entity, "id")]


def _place(context: Mapping[str, Any]) -> str | None:
    return context.get("name") or context.get("symbol")


def _may_have_been(row: Mapping[str, Any] | None, wire: Mapping[str, Any]) -> bool:
    """Whether what is left of a damaged row says what this one says."""
    if row is None:
        return False
    return all(row.get(name) is None or row[name] == MARK or row[name] == value for name, value in wire.items())


def bodies(landing: Landing, batch: str) -> Iterator[tuple[str, bytes, int]]:
    """Landed files of a batch with what came over the wire, read without the help of landing.

    And how many of its first rows stand, byte for byte, in the file before: they are judged there.
    """
    before: list[bytes] = []
    for page in manifest_of(landing, batch)["pages"]:
        name = f"{batch}/{page['file']}"
        body = decompressed((landing.root / name).read_bytes())
        repeated = page.get("repeated_rows", 0)
        if repeated:
            rows = cut_out(body)
            assert set(rows[:repeated]) <= set(before), f"{name} does not begin with what stood on the page before it"
        before = cut_out(body) if body.startswith(b"[") else []
        yield name, body, repeated


def manifest_of(landing: Landing, batch: str) -> Any:
    """What stands in the manifest of a batch."""
    return json.loads((landing.root / batch / "manifest.json").read_text())


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
    """Rows of one answer; a line that the sandbox broke is what it was before, with one field more that is not right.

    None for a line that is no JSON otherwise.
    """
    if entity == "events":
        return [_parsed(line) for line in body.split(b"\n") if line.strip()]
    content = read_json(body)
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
    whole, broken, _ = line.partition(_BROKEN)
    try:
        return {**read_json(whole + b"}"), "broken": MARK} if broken else read_json(line)
    except ValueError:
        return None
