"""Which fields raw rows have, and of what kind their values are: counted over the rows that are looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

MOST_FIELDS = 300
"""Names in one object that are told apart; an object with more is a table of its own, and its names are its keys."""
MOST_ELEMENTS = 100
ODD_NAME = "(odd name)"
_NAME = re.compile(r"[\w$ ./:#()\-]{1,80}")
_VALUES = msgspec.json.Decoder(dict[str, Any])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_KINDS = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}
_KIND_OF = {ord(first): kind for first, kind in _KINDS.items()}
_KIND_OF_TYPE = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}
_EXAMPLE_BYTES = 2000


@dataclass(slots=True)
class Seen:
    """One field of one kind of object.

    :param weight: of the objects that have it, also if it is null there.
    :param examples: per kind of value the first that was met, cut; its keys are the kinds that were met.
    :param weights: per kind of value, of the objects that have it.
    :param inside: what an object there has, or the objects of an array there.
    """

    weight: float = 0.0
    examples: dict[str, bytes] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    inside: Objects | None = None


@dataclass(slots=True)
class Objects:
    """Objects that stand in the same place: all rows, or what all of them have in one field.

    :param weight: how many they stand for.
    """

    weight: float = 0.0
    fields: dict[str, Seen] = field(default_factory=dict)

    def of(self, name: str) -> Seen | None:
        """The field of this name; None if there are too many of them."""
        seen = self.fields.get(name)
        if seen is None and len(self.fields) < MOST_FIELDS:
            seen = self.fields[name] = Seen()
        return seen


@dataclass(frozen=True, slots=True)
class Field:
    """A field as it was met.

    :param path: such as `total`, `billing.country`, `line_items[].total`.
    :param within: path of the field that it lies in, empty for a field of the row.
    :param present: of how many objects it is a field, `possible`: of all that could have it.
    """

    path: str
    within: str
    seen: Seen
    possible: float

    @property
    def present(self) -> float:
        """How many objects have it."""
        return self.seen.weight

    @property
    def kinds(self) -> set[str]:
        """Of its values, null apart: `string`, `number`, `boolean`, `object`, `array`."""
        return set(self.seen.weights) - {"null"}


class FieldTally:
    """Counts the fields of rows, of the objects in them, and of the objects in their arrays; no deeper."""

    def __init__(self) -> None:
        self.rows = Objects()

    def look(self, row: bytes, weight: float = 1.0) -> None:
        """Count the fields of one raw row; what is no JSON object is passed over.

        :param weight: how many rows it stands for.
        """
        try:
            if not self._has_known_fields_only(row, weight):
                _count(self.rows, row, weight, is_top=True)
        except (ValueError, RecursionError):
            return

    def _has_known_fields_only(self, row: bytes, weight: float) -> bool:
        """Whether the row shows nothing that is new; then it is counted, which takes no example of anything."""
        known: list[tuple[Seen, str]] = []
        objects: list[Objects] = []
        try:
            is_known = _gather(self.rows, _VALUES.decode(row), known, objects, is_top=True)
        except (ValueError, RecursionError):  # what only the way without values can pass over
            return False
        if is_known:
            for seen, kind in known:
                seen.weight += weight
                seen.weights[kind] += weight
            for each in objects:
                each.weight += weight
        return is_known

    def possible(self, within: str) -> float:
        """How many objects could have a field that lies in the field `within`, or in the row if that is empty."""
        if not within:
            return self.rows.weight
        seen = self.rows.fields.get(within)
        return seen.inside.weight if seen is not None and seen.inside is not None else 0.0

    def fields(self) -> Iterator[Field]:
        """All that were met, those of the row before those inside them."""
        yield from _fields_of(self.rows, "", "")
        for name, seen in self.rows.fields.items():
            if seen.inside is not None:
                prefix = f"{name}[]." if "array" in seen.weights else f"{name}."
                yield from _fields_of(seen.inside, prefix, name)


def _fields_of(objects: Objects, prefix: str, within: str) -> Iterator[Field]:
    for name, seen in objects.fields.items():
        yield Field(f"{prefix}{name}", within, seen, objects.weight)


def _gather(
    objects: Objects, found: dict[str, Any], known: list[tuple[Seen, str]], met: list[Objects], *, is_top: bool
) -> bool:
    """Gather what an object has, and what the objects in it have; False if some of it was never met."""
    met.append(objects)
    fields = objects.fields
    for name, value in found.items():
        seen = fields.get(name)
        kind = _KIND_OF_TYPE[type(value)]
        if seen is None or kind not in seen.weights:
            return False
        known.append((seen, kind))
        if not is_top or (kind != "object" and kind != "array"):
            continue
        if seen.inside is None and (value or kind == "object"):
            return False
        inside = [value] if kind == "object" else [each for each in value[:MOST_ELEMENTS] if type(each) is dict]
        for each in inside:
            assert seen.inside is not None
            if not _gather(seen.inside, each, known, met, is_top=False):
                return False
    return True


def _count(objects: Objects, raw: bytes | msgspec.Raw, weight: float, *, is_top: bool) -> None:
    found = _OBJECT.decode(raw)
    objects.weight += weight
    for name, value in found.items():
        seen = objects.fields.get(name)
        if seen is None:
            seen = objects.of(name if _NAME.fullmatch(name) else ODD_NAME)
            if seen is None:
                continue
        view = memoryview(value)
        kind = _KIND_OF.get(view[0], "number")
        seen.weight += weight
        if kind in seen.weights:
            seen.weights[kind] += weight
        else:
            seen.weights[kind] = weight
            seen.examples[kind] = bytes(view[:_EXAMPLE_BYTES])
        if is_top and (kind == "object" or (kind == "array" and len(view) > 2)):
            _count_inside(seen, value, kind, weight)


def _count_inside(seen: Seen, value: msgspec.Raw, kind: str, weight: float) -> None:
    if seen.inside is None:
        seen.inside = Objects()
    if kind == "object":
        _count(seen.inside, value, weight, is_top=False)
        return
    for element in _ARRAY.decode(value)[:MOST_ELEMENTS]:
        if memoryview(element)[0] == ord("{"):
            _count(seen.inside, element, weight, is_top=False)
