"""Rows with a hostile value in every field, as raw JSON; made from good rows of every source, so none is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from tests.unit.hostile_pages import places_in
from tests.unit.source_pages import row, stocks, weather

CANARY = "c4n4ry"
"""In every piece of SQL, so that it can be looked for in what the server logs."""
SQL = (
    f"'; DROP TABLE shop.{CANARY}; --",
    f"x'); DELETE FROM shop.{CANARY}; COMMIT; --",
    f"$$; TRUNCATE shop.{CANARY}; $$",
    f'"; DROP TABLE shop.{CANARY}; --',
    f"{{0}} %s %({CANARY})s :{CANARY} $1 \\",
    f"\\N\t\\.\r\n{CANARY}",
)
_TEXTS = (*SQL, "a\x00b", "\ufeffbom", "\u202eright to left\u202c", "😀", "１２", " ", "-1", "NaN", "-Infinity",
          "1e999999", "0x10", "9" * 20, "99999999999999.99995", "0.00001")  # fmt: skip
_TIMES = ("0000-00-00T00:00:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59",
          "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00", "-0044-03-15T00:00:00", "2024-02-30T00:00:00",
          "2024-03-02T25:00:00", "2024-03-02T03:04:60", "infinity", "epoch")  # fmt: skip
_NUMBERS = ("-1", "0", "-0.0", "1.5", "12345678901234567890", "-9223372036854775809", "9223372036854775807",
            "9223372036854775808", "1e400", "-1e400", "1e999999", "1e-999999", "0.12345678901234567890123",
            "1" + "0" * 400)  # fmt: skip
_OTHERS = (
    "null",
    "true",
    "[]",
    "{}",
    '{"a":1,"a":2}',
    '[{"__proto__":null}]',
    "[" * 90 + "]" * 90,
    "[" * 400 + "]" * 400,
)
_SURROGATES = ('"\\ud800"', '"\\udc00x"', '"\\ud83d\\ud83d"')

VALUES = (*(json.dumps(text) for text in (*_TEXTS, *_TIMES)), *_NUMBERS, *_OTHERS)
"""Hostile values as JSON text."""
UNREADABLE = {
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "broken UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "lone surrogate": _SURROGATES[0].encode(),
    "lone low surrogate": _SURROGATES[1].encode(),
    "half a pair": _SURROGATES[2].encode(),
    "raw control character": b'"a\x01b"',
    "cut off": b'"abc',
    "nested beyond measure": b"[" * 100_000 + b"]" * 100_000,
}
"""What no JSON reader takes, by name: it breaks a list as a whole, but only one line of an export."""

_MARK = "@@@hostile@@@"


def with_value(good: Any, place: Sequence[Any], value: bytes) -> bytes:
    """The good row as JSON with raw bytes at one place."""
    changed = deepcopy(good)
    holder = changed
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = _MARK
    return json.dumps(changed).encode().replace(json.dumps(_MARK).encode(), value)


def hostile_rows(entity: str, values: Sequence[str] = VALUES) -> list[bytes]:
    """A row for every field, at any depth, and every value; each with an id of its own, unless that is hostile."""
    return [raw for _, raw in named_hostile_rows(entity, [value.encode() for value in values])]


def named_hostile_rows(entity: str, values: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """As `hostile_rows`, each with the path of the field."""
    number = 5_000
    for place in places_in(numbered(entity, 1))[1:]:
        for value in values:
            number += 1
            yield ".".join(map(str, place)), with_value(numbered(entity, number), place, value)


def numbered(entity: str, number: int) -> dict[str, Any]:
    """A good row with an id of its own, its lines, too."""
    if entity == "events":
        return row(entity, messageId=f"m-{number}")
    good = row(entity, id=number)
    if entity == "refunds":
        good["shipping_lines"] = [{"id": 1, "method_title": "Flat rate", "total": "0.00"}]
    for lines in ("line_items", "shipping_lines", "fee_lines"):
        for place, line in enumerate(good.get(lines, [])):
            line["id"] = number * 10 + {"line_items": 0, "shipping_lines": 5, "fee_lines": 7}[lines] + place
    return good


def with_doubled_keys(entity: str) -> list[bytes]:
    """Rows in which a field stands twice: first with a value of no use, then with its own, and the other way round."""
    rows = []
    for position, name in enumerate(row(entity)):
        good = numbered(entity, 900_000 + position)
        own, other = json.dumps({name: good[name]})[1:-1], json.dumps({name: {"other": 1}})[1:-1]
        rest = json.dumps({key: value for key, value in good.items() if key != name})[1:-1]
        rows.append(f"{{{other}, {rest}, {own}}}".encode())
        if name not in ("id", "messageId"):
            rows.append(f"{{{own}, {rest}, {other}}}".replace("9000", "9100").encode())
    return rows


def hostile_weather(first: date, values: Sequence[str]) -> tuple[bytes, int]:
    """An answer of the archive with a day for every array and value, and how many days that is."""
    answer = weather()
    names = list(answer["daily"])
    cells = [(name, value) for name in names for value in values]
    answer["daily"] = {name: [5.0] * len(cells) for name in names}
    answer["daily"]["time"] = [(first + timedelta(number)).isoformat() for number in range(len(cells))]
    for number, (name, _) in enumerate(cells):
        answer["daily"][name][number] = f"{_MARK}{number}@"
    return _with_marks_replaced(answer, [value for _, value in cells]), len(cells)


def hostile_prices(first: date, values: Sequence[str]) -> tuple[bytes, int]:
    """A daily series with a day for every number, for the day as a whole and for every value; and how many days."""
    good = stocks()["Time Series (Daily)"]["2024-03-04"]
    cells = [(name, value) for name in (*good, None) for value in values]
    series: dict[str, Any] = {}
    for number, (name, _) in enumerate(cells):
        mark = f"{_MARK}{number}@"
        series[(first + timedelta(number)).isoformat()] = mark if name is None else {**good, name: mark}
    answer = {"Meta Data": {"2. Symbol": "AMZN"}, "Time Series (Daily)": series}
    return _with_marks_replaced(answer, [value for _, value in cells]), len(cells)


def _with_marks_replaced(answer: Any, values: Sequence[str]) -> bytes:
    encoded = json.dumps(answer)
    for number, value in enumerate(values):
        encoded = encoded.replace(f'"{_MARK}{number}@"', value)
    return encoded.encode()
