"""From the cells of a row to a record of an entity, by the types of its fields, as strictly as from an API.

The empty cell is null where the field may be null. A time carries its zone, or its column is declared to be in UTC.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from include.entities.entity import Entity
from include.sources.files.rows import WHOLE_PERSONAL_ROW, WHOLE_ROW
from include.sources.free_numbers import exact_float
from include.sources.parsing import RowRejected, currency_code, decode_row, id_of, money, required_utc
from include.sources.personal_data import without_personal_data

VERSION = "source_updated_at"
Reading = Callable[[Any, str], Any]
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_PERSONAL_COLUMNS = frozenset({"email", "first_name", "last_name"})


@dataclasses.dataclass(frozen=True)
class Field:
    """How one field of a record is read."""

    name: str
    is_optional: bool
    read: Reading

    def of(self, values: Mapping[str, Any]) -> Any:
        """The field's value.

        :raises RowRejected: the cell is missing, or does not fit; the reason names the column.
        """
        value = values.get(self.name)
        if value is None or (value == "" and (self.is_optional or self.read is not _text)):
            if self.is_optional:
                return None
            raise RowRejected("required", f"{self.name} is missing")
        try:
            return self.read(value, self.name)
        except RowRejected as error:
            if self.name in str(error):
                raise
            raise RowRejected(error.rule_id, f"{self.name}: {error}") from None


class Records:
    """Makes records of one entity from cells.

    :param utc_columns: columns whose times are in UTC without saying so.
    """

    def __init__(self, entity: Entity, *, utc_columns: Collection[str]) -> None:
        self.entity = entity
        hints = typing.get_type_hints(entity.record)
        self._fields = [_field(name, hints[name], utc_columns) for name in entity.columns]
        self._key = [field for field in self._fields if field.name in entity.key]
        self._version = Field(VERSION, False, _instant(VERSION in utc_columns))
        is_personal = bool(_PERSONAL_COLUMNS & set(entity.columns))
        self.whole_row_name = WHOLE_PERSONAL_ROW if is_personal else WHOLE_ROW
        if entity.event_time is not None:
            self._event_time = next(field for field in self._fields if field.name == entity.event_time)

    @property
    def required(self) -> list[str]:
        """The columns that a file must have."""
        return [field.name for field in self._fields if not field.is_optional]

    def record(self, values: Mapping[str, Any], *, written_at: datetime, children: Sequence[Any] = ()) -> Any:
        """The record of a row.

        :param written_at: its version if the file has no column for it.
        :raises RowRejected: a cell does not fit.
        """
        content = {field.name: field.of(values) for field in self._fields}
        if self.entity.child_field is not None:
            content[self.entity.child_field] = tuple(children)
        if self.entity.name == "events":
            content["properties"] = without_personal_data(content["properties"])
        return self.entity.record(**content, source_updated_at=self.version(values, written_at=written_at))

    def line(self, values: Mapping[str, Any]) -> Any:
        """The record of a row of a child, which has no version of its own.

        :raises RowRejected: a cell does not fit.
        """
        return self.entity.record(**{field.name: field.of(values) for field in self._fields})

    def key(self, values: Mapping[str, Any], names: Sequence[str] | None = None) -> tuple[Any, ...]:
        """What identifies a row, or the columns named.

        :raises RowRejected: a cell does not fit.
        """
        return tuple(field.of(values) for field in self._key if names is None or field.name in names)

    def version(self, values: Mapping[str, Any], *, written_at: datetime) -> datetime:
        """When the source last changed a row, UTC.

        :raises RowRejected: the cell is missing or no time.
        """
        version: datetime = self._version.of(values) if VERSION in values else written_at
        return version

    def event_time(self, values: Mapping[str, Any]) -> datetime | None:
        """When it happened first, UTC; None where nobody says.

        :raises RowRejected: the cell is no time.
        """
        if self.entity.event_time is None:
            return None
        value = self._event_time.of(values)
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        found: datetime | None = value
        return found


def _field(name: str, hint: Any, utc_columns: Collection[str]) -> Field:
    arguments = typing.get_args(hint)
    is_optional = type(None) in arguments
    bare = next(each for each in arguments if each is not type(None)) if is_optional else hint
    return Field(name, is_optional, _reading(name, bare, is_utc=name in utc_columns))


def _reading(name: str, kind: Any, *, is_utc: bool) -> Reading:
    if typing.get_origin(kind) is Literal:
        return _choice(typing.get_args(kind))
    if typing.get_origin(kind) in (dict, list, tuple):
        return _json(kind)
    if kind is int:
        return id_of if name.endswith("_id") else _whole
    if kind is datetime:
        return _instant(is_utc)
    if name == "currency":
        return _currency
    readings: dict[Any, Reading] = {str: _text, bool: _truth, float: _number, Decimal: _amount, date: _day}
    return readings[kind]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise RowRejected("shape", f"{name} {str(value)[:40]!r} is no text")
    if "\x00" in value:
        raise RowRejected("nul_character", f"{name} holds a NUL character, which cannot be stored")
    return value


def _currency(value: Any, name: str) -> str:
    return currency_code(_text(value, name))


def _whole(value: Any, name: str) -> int:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _WHOLE.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise RowRejected("whole_number", f"{name} {str(value)[:40]!r} is not a whole number of 64 bits")
    return int(text)


def _amount(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise RowRejected("money", f"{name} {str(value)[:40]!r} is not an amount")
    return money(value if isinstance(value, str | Decimal) else str(value))


def _number(value: Any, name: str) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise RowRejected("number", f"{name} {str(value)[:40]!r} is not a finite number")
    return float(value)


def _truth(value: Any, name: str) -> bool:
    found = value if isinstance(value, bool) else _TRUTH.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise RowRejected("truth", f"{name} {str(value)[:40]!r} is neither true nor false")
    return found


def _day(value: Any, name: str) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise RowRejected("day", f"{name} {str(value)[:40]!r} is not a day such as 2024-01-31")


def _instant(is_utc: bool) -> Reading:
    def read(value: Any, name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            moment = None
        if not isinstance(moment, datetime):
            raise RowRejected("time", f"{name} {str(value)[:40]!r} is not a time such as 2024-01-31T08:00:00Z")
        if moment.tzinfo is None and not is_utc:
            raise RowRejected(
                "time",
                f"{name} {str(value)[:40]!r} has no time zone; if it is in UTC, add the column to `utc_columns` in the "
                "extra of the connection",
            )
        return required_utc(moment, name)

    return read


def _choice(allowed: Sequence[Any]) -> Reading:
    def read(value: Any, name: str) -> Any:
        if value not in allowed:
            raise RowRejected("choice", f"{name} {str(value)[:40]!r} is none of {', '.join(map(str, allowed))}")
        return value

    return read


def _json(kind: Any) -> Reading:
    decoder = msgspec.json.Decoder(kind, float_hook=exact_float)

    def read(value: Any, name: str) -> Any:
        try:
            raw = value.encode() if isinstance(value, str) else _ENCODER.encode(_with_form(value))
        except (TypeError, ValueError, RecursionError) as error:
            raise RowRejected("shape", f"{name} has no form in JSON ({error})") from None
        return decode_row(raw, decoder)

    return read


def _with_form(value: Any) -> Any:
    """A list, struct or map of Parquet, as it is.

    :raises TypeError: something in it would be written as something else.
    """
    if isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"it holds {str(value)[:40]}")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _with_form(part)
    return value
