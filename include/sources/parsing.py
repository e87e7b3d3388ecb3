"""From raw rows to records: whole pages at native speed, row by row only where one does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from include.sources.source import Parsed, Rejection

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
DEEPEST = 100
"""How many lists and objects may be nested in a row; encoders and Postgres have limits of their own far above."""
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MONEY_STEP = Decimal("0.0001")
_MONEY_LIMIT = Decimal(10) ** 14


class RowRejected(ValueError):
    """A row cannot become a record. `rule_id` names the rule, the text says why."""

    def __init__(self, rule_id: str, reason: str) -> None:
        super().__init__(reason)
        self.rule_id = rule_id


def decode(raw: bytes, decoder: msgspec.json.Decoder) -> Any:
    """What the JSON text says.

    :raises ValueError: it is not JSON, not of the decoder's type, or nested too deeply.
    """
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def required_in(decoder: msgspec.json.Decoder, *, within: str = "") -> frozenset[str]:
    """Names of the fields that a decoder of structs insists on.

    :param within: goes before each name.
    """
    return frozenset(f"{within}{each.encode_name}" for each in msgspec.structs.fields(decoder.type) if each.required)


def money(text: str | Decimal) -> Decimal:
    """An amount as the warehouse keeps it: finite, at most 14 digits before and 4 behind the point.

    :raises RowRejected: it is none of that.
    """
    try:
        amount = Decimal(text)
        if amount.is_finite() and abs(amount) < _MONEY_LIMIT:
            rounded = amount.quantize(_MONEY_STEP)
            if rounded == amount:
                return rounded
    except InvalidOperation:
        pass
    raise RowRejected("money", f"{str(text)[:40]!r} is not an amount with at most 4 decimals and 14 digits before them")


def rounded_money(amount: Decimal) -> Decimal:
    """A derived amount, such as a price per unit, rounded to 4 decimals.

    :raises RowRejected: it is not finite, or has more than 14 digits before the point.
    """
    if amount.is_finite() and abs(amount) < _MONEY_LIMIT:
        rounded = amount.quantize(_MONEY_STEP)
        if abs(rounded) < _MONEY_LIMIT:
            return rounded
    raise RowRejected("money", f"{str(amount)[:40]!r} is not an amount with at most 14 digits before the point")


def currency_code(text: str) -> str:
    """An ISO 4217 code.

    :raises RowRejected: not three capital letters.
    """
    if len(text) != 3 or not text.isascii() or not text.isupper():
        raise RowRejected("currency", f"currency {text[:10]!r} is not an ISO 4217 code")
    return text


def id_of(value: Any, name: str) -> int | None:
    """An id that the source writes as text or number; none for null and the empty text.

    :raises RowRejected: it is no whole number from 0 to 2**63 - 1.
    """
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, str | int) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63):
        raise RowRejected("id", f"{name} {repr(value)[:40]} is not an id")
    return int(text)


def utc(value: datetime | None) -> datetime | None:
    """A wire time as an instant: WooCommerce's `*_gmt` fields are UTC without saying so.

    :raises RowRejected: in UTC it lies before the year 1 or after 9999.
    """
    if value is None:
        return None
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise RowRejected("time", f"{value.isoformat()} lies outside of the years 1 to 9999 in UTC") from None


def required_utc(value: datetime | None, name: str) -> datetime:
    """As `utc`, for a field that must be there."""
    instant = utc(value)
    if instant is None:
        raise RowRejected("required", f"{name} is missing")
    return instant


def has_nul(raw: bytes) -> bool:
    """Whether the JSON text holds a NUL character, which Postgres cannot store."""
    return b"\\u0000" in raw and _NUL.search(raw) is not None


def decode_row(raw: bytes, decoder: msgspec.json.Decoder) -> Any:
    """One typed row; a field that comes twice counts as it comes last, whatever the other one is.

    :raises RowRejected: broken JSON, a missing or retyped field, or in a field that is used a NUL character or nesting
        beyond `DEEPEST`.
    """
    try:
        row = _decode_last(raw, decoder)
        if has_nul(raw):
            _decode_last(raw.replace(b"\\u0000", b"\\u0001"), decoder)  # a time is read up to a NUL and no further
        if raw.count(b"[") + raw.count(b"{") > DEEPEST and depth(msgspec.to_builtins(row)) > DEEPEST:
            raise RowRejected("shape", f"lists and objects are nested more than {DEEPEST} deep")
    except RowRejected:
        raise
    except ValueError as error:
        raise RowRejected("shape", str(error)) from error
    except RecursionError:
        raise RowRejected("shape", f"lists and objects are nested more than {DEEPEST} deep") from None
    if has_nul(raw) and has_nul(msgspec.json.encode(row)):
        raise RowRejected("nul_character", "a text holds a NUL character, which cannot be stored")
    return row


def _decode_last(raw: bytes, decoder: msgspec.json.Decoder) -> Any:
    try:
        return decode(raw, decoder)
    except ValueError as error:
        try:
            return decode(msgspec.json.encode(decode(raw, _FIELDS)), decoder)
        except ValueError:
            raise error from None


def depth(value: Any) -> int:
    """How many lists and objects lie inside one another."""
    deepest, ahead = 0, [(value, 1)]
    while ahead:
        here, level = ahead.pop()
        deepest = max(deepest, level)
        inside = here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()
        ahead.extend((part, level + 1) for part in inside if isinstance(part, dict | list))
    return deepest


def parse_rows(
    entity: str,
    body: bytes,
    *,
    split: Callable[[bytes], Sequence[bytes]],
    page_decoder: msgspec.json.Decoder | None,
    row_decoder: msgspec.json.Decoder,
    to_record: Callable[[Any], Any],
) -> Parsed:
    """Records of one page.

    :param split: raw rows of the body, used for the rows that do not fit.
    :param page_decoder: reads the whole body at once; None where the format has no such reading.
    :param to_record: from a typed row to a record; raises `RowRejected`.
    """
    parsed = Parsed()
    typed = _decode_page(body, page_decoder)
    raw_rows: Sequence[bytes] | None = split(body) if typed is None else None
    count = len(typed) if typed is not None else len(raw_rows or ())
    for position in range(count):
        try:
            row = typed[position] if typed is not None else decode_row((raw_rows or ())[position], row_decoder)
            record = to_record(row)
        except RowRejected as error:
            raw_rows = split(body) if raw_rows is None else raw_rows
            parsed.rejections.append(rejection(entity, error, raw_rows[position], str(position)))
        else:
            parsed.records.append(record)
            parsed.positions.append(position)
    return parsed


def rejection(entity: str, error: RowRejected, payload: bytes, position: str) -> Rejection:
    """A refused row with its reason."""
    return Rejection(entity=entity, rule_id=error.rule_id, reason=str(error), payload=bytes(payload), position=position)


def _decode_page(body: bytes, decoder: msgspec.json.Decoder | None) -> Sequence[Any] | None:
    if decoder is None or has_nul(body):
        return None
    try:
        return decode(body, decoder)
    except ValueError:
        return None


def value_of(meta_data: Sequence[Mapping[str, Any]], key: str) -> Any:
    """The value that a WooCommerce `meta_data` list holds under `key`, or None."""
    return next((item.get("value") for item in meta_data if item.get("key") == key), None)
