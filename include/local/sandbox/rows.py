"""Faults that reach into the rows of an answer, whatever its form: a list, lines, parallel arrays, a dated series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec

from include.local.sandbox.answer import Answer

_NDJSON = "application/x-ndjson"
_ODD_FIELD = "x_unheard_of"
_ODD_VALUE = {"since": "tomorrow", "values": [1, None]}
_WRONG = {"not": "what", "it": ["should", "be"]}
_SERIES = "Time Series (Daily)"


def with_rows_changed(
    answer: Answer, *, kind: str, options: dict[str, Any], random: Random, previous: Answer | None
) -> Answer:
    """The answer with other rows; one that has no rows stays whole.

    :param previous: the answer before this one on the same path, if there was one.
    """
    if answer.status != 200:
        return answer
    page = _Page.of(answer)
    if page is None:
        return _with_columns_changed(answer, kind=kind, options=options, random=random, previous=previous)
    before = _Page.of(previous) if previous else None
    rows = page.rows
    if kind == "duplicate_page":
        rows = [*(before.rows if before else []), *rows]
    elif kind == "stale_page":
        rows = (before.rows if before else []) or rows
    elif kind == "unknown_fields":
        rows = [msgspec.json.encode({**msgspec.json.decode(row), _ODD_FIELD: _ODD_VALUE}) for row in rows]
    else:
        rows = list(rows)
        for position in random.sample(range(len(rows)), min(options["rows"], len(rows))):
            rows[position] = _malformed(rows[position], damage=options["damage"], field=options["field"])
    return replace(answer, body=replace(page, rows=rows).body)


@dataclass(frozen=True)
class _Page:
    """Rows as encoded JSON, in a list or one to a line."""

    rows: list[bytes]
    is_lines: bool

    @classmethod
    def of(cls, answer: Answer) -> _Page | None:
        if answer.headers.get("content-type", "").startswith(_NDJSON):
            return cls(answer.body.splitlines(), is_lines=True)
        try:
            return cls([bytes(row) for row in msgspec.json.decode(answer.body, type=list[msgspec.Raw])], is_lines=False)
        except msgspec.DecodeError:
            return None

    @property
    def body(self) -> bytes:
        return b"".join(row + b"\n" for row in self.rows) if self.is_lines else b"[" + b",".join(self.rows) + b"]"


def _malformed(row: bytes, *, damage: str, field: str | None) -> bytes:
    record = msgspec.json.decode(row)
    name = field or ("messageId" if "messageId" in record else "id")
    if damage == "missing_field":
        record.pop(name, None)
        return msgspec.json.encode(record)
    if damage == "broken_json":
        return row[:-1] + b',"broken":'
    return msgspec.json.encode({**record, name: _WRONG})


def _with_columns_changed(
    answer: Answer, *, kind: str, options: dict[str, Any], random: Random, previous: Answer | None
) -> Answer:
    """Weather and share prices: one object, whose days are found by their place in arrays or by their date."""
    if kind == "stale_page":
        return previous or answer
    if kind == "malformed_rows" and options["damage"] == "broken_json":
        return replace(answer, body=answer.body[:-1] + b',"broken":')
    try:
        content = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return answer
    if isinstance(content, dict) and kind in ("unknown_fields", "malformed_rows"):
        _change_days(content, kind=kind, options=options, random=random)
    return replace(answer, body=msgspec.json.encode(content))


def _change_days(content: dict[str, Any], *, kind: str, options: dict[str, Any], random: Random) -> None:
    arrays, series = content.get("daily"), content.get(_SERIES)
    if kind == "unknown_fields":
        content[_ODD_FIELD] = _ODD_VALUE
        if arrays:
            arrays[_ODD_FIELD] = [_ODD_VALUE] * len(arrays["time"])
        for numbers in (series or {}).values():
            numbers[_ODD_FIELD] = _ODD_VALUE
        return
    is_missing = options["damage"] == "missing_field"
    if arrays:
        name = options["field"] or ("time" if is_missing else "temperature_2m_max")
        for place in random.sample(range(len(arrays[name])), min(options["rows"], len(arrays[name]))):
            arrays[name][place] = None if is_missing else _WRONG
    if series:
        name = options["field"] or "1. open"
        for day in random.sample(sorted(series), min(options["rows"], len(series))):
            series[day].pop(name, None)
            if not is_missing:
                series[day][name] = _WRONG
