"""Raw rows and pages without a customer's personal data; ids, amounts, times and everybody else's bytes stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from include.ingestion.json_text import with_values_changed
from include.ingestion.person import PERSONAL, Person, may_hide

Pairs = list[tuple[bytes, bytes]]
"""Raw rows that changed, before and after."""

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_ANYTHING = msgspec.json.Decoder()


def rows_in(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each raw row of an API's answer begins, and its bytes: the elements of a JSON array, else the lines.

    :raises ValueError: it begins as an array and is none.
    """
    if body.lstrip()[:1] == b"[":
        at = 0
        for raw in map(bytes, _decoded(body, _ROWS)):
            at = body.index(raw, at)
            yield at, raw
            at += len(raw)
        return
    at = 0
    for line in body.split(b"\n"):
        if line.strip():
            yield at, line
        at += len(line) + 1


def readable_row(raw: bytes) -> dict[str, Any] | None:
    """A raw row as an object; None if it is none."""
    try:
        row = _decoded(raw, _ANYTHING)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def without_person(body: bytes, entity: str, person: Person) -> tuple[bytes, Pairs]:
    """An API's answer without the personal data of a customer, and the rows that changed.

    Doing it again changes nothing more.
    """
    if not person.may_be_on(entity, body):
        return body, []
    try:
        rows = list(rows_in(body))
    except ValueError:
        changed = _in_text(body, person)
        return changed, []
    pieces, pairs, done = [], [], 0
    for at, raw in rows:
        changed = erased_row(raw, entity, person)
        if changed != raw:
            pieces += [body[done:at], changed]
            pairs.append((raw, changed))
            done = at + len(raw)
    return (b"".join([*pieces, body[done:]]), pairs) if pairs else (body, [])


def erased_row(raw: bytes, entity: str, person: Person, *, is_theirs: bool = False) -> bytes:
    """One raw row without what is personal: all of it in a row of the customer, else their e-mail address alone.

    :param is_theirs: it is, whatever it says.
    """
    text = _text(raw)
    row = readable_row(raw)
    if is_theirs or (row is not None and person.owns(entity, row)):
        erased = _without_personal_values(text, person)
    elif row is None and person.seems_to_own(entity, text):
        erased = person.without_names(_without_personal_values(text, person))
    elif may_hide(text) or person.is_named_in(text):
        erased = _without_emails(text, person)
    else:
        return raw
    return raw if erased == text else _bytes(erased)


def _without_personal_values(text: str, person: Person) -> str:
    def change(key: str | None, is_inside: bool, value: str | None) -> str | None:
        if is_inside or key in PERSONAL:
            return "null"
        return None if value is None else _rewritten(value, person.without_traces(key, value))

    return with_values_changed(text, change, enters=PERSONAL)


def _without_emails(text: str, person: Person) -> str:
    def change(key: str | None, is_inside: bool, value: str | None) -> str | None:
        return None if value is None else _rewritten(value, person.without_emails(value))

    return with_values_changed(text, change, enters=frozenset())


def _in_text(body: bytes, person: Person) -> bytes:
    """A page of which nobody can tell where a row ends: only values that are the customer's own words go."""

    def change(key: str | None, is_inside: bool, value: str | None) -> str | None:
        if value is None:
            return None
        is_name = (is_inside or key in PERSONAL) and value.strip().lower() in person.names
        return "null" if is_name else _rewritten(value, person.without_emails(value))

    text = _text(body)
    erased = person.without_emails(with_values_changed(text, change, enters=PERSONAL))
    return body if erased == text else _bytes(erased)


def _rewritten(before: str, after: str) -> str | None:
    return None if before == after else json.dumps(after)


def _decoded(raw: bytes, decoder: msgspec.json.Decoder) -> Any:
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _text(raw: bytes) -> str:
    """Broken bytes survive the way there and back."""
    return raw.decode("utf-8", errors="surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
