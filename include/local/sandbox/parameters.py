"""Request parameters checked as WordPress checks them, with its own error bodies.

Follows `rest_validate_value_from_schema` and `WP_REST_Request::has_valid_params`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.local.sandbox.instants import parse_instant

_REST_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?")


class WordPressError(Exception):
    """An error that WordPress answers with `{"code", "message", "data"}`."""

    def __init__(self, *, status: int, code: str, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, "data": {"status": status, **(data or {})}}


@dataclass
class _Invalid(Exception):
    code: str
    message: str
    data: Any = None


@dataclass(frozen=True)
class ListQuery:
    """A request for one page of a collection. Instants are strict bounds on both sides, None is no bound."""

    page: int
    per_page: int
    offset: int | None
    order: str
    orderby: str
    after: int | None
    before: int | None
    modified_after: int | None
    modified_before: int | None
    statuses: tuple[str, ...]
    include: tuple[int, ...]
    exclude: tuple[int, ...]
    parents: tuple[int, ...]


def parse_list_query(
    query: Mapping[str, str],
    *,
    orderby: Sequence[str],
    default_orderby: str,
    default_order: str,
    statuses: Sequence[str],
    has_dates: bool,
    utc_offset: int = 0,
) -> ListQuery:
    """Read the parameters of a list request.

    :param orderby: the values that `orderby` may take.
    :param statuses: the values that `status` may take; empty when the collection has no such filter.
    :param has_dates: whether the collection knows the four date filters; where it does not they are ignored.
    :param utc_offset: seconds by which the shop's time zone is ahead of UTC. WordPress turns a bound that names a zone
        into the shop's wall clock, takes one without a zone for wall clock as it stands, and compares it to the dates
        in UTC if `dates_are_gmt`, else to the local ones. So with `dates_are_gmt` only a bound without a zone is right.
    :raises WordPressError: 400 `rest_invalid_param`, naming every parameter that is wrong.
    """
    invalid: dict[str, _Invalid] = {}

    def read(name: str, reader: Any, default: Any) -> Any:
        if name not in query:
            return default
        try:
            return reader(name, query[name])
        except _Invalid as error:
            invalid[name] = error
            return default

    are_gmt = read("dates_are_gmt", _boolean, False) if has_dates else False
    dates = {
        name: read(name, _bound(utc_offset, are_gmt=are_gmt), None) if has_dates else None
        for name in ("after", "before", "modified_after", "modified_before")
    }
    parsed = ListQuery(
        page=read("page", _integer(minimum=1), 1),
        per_page=read("per_page", _integer(minimum=1, maximum=100), 10),
        offset=read("offset", _integer(), None),
        order=read("order", _one_of(("asc", "desc")), default_order),
        orderby=read("orderby", _one_of(orderby), default_orderby),
        statuses=read("status", _list_of(statuses), ()) if statuses else (),
        include=read("include", _ids, ()),
        exclude=read("exclude", _ids, ()),
        parents=read("parent", _ids, ()),
        **dates,
    )
    if invalid:
        raise _invalid_parameters(invalid)
    return parsed


def _invalid_parameters(invalid: Mapping[str, _Invalid]) -> WordPressError:
    return WordPressError(
        status=400,
        code="rest_invalid_param",
        message=f"Invalid parameter(s): {', '.join(invalid)}",
        data={
            "params": {name: error.message for name, error in invalid.items()},
            "details": {
                name: {"code": error.code, "message": error.message, "data": error.data}
                for name, error in invalid.items()
            },
        },
    )


def _integer(*, minimum: int | None = None, maximum: int | None = None) -> Any:
    def read(name: str, text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text.strip()):
            raise _Invalid("rest_invalid_type", f"{name} is not of type integer.", {"param": name})
        value = int(text)
        below = minimum is not None and value < minimum
        above = maximum is not None and value > maximum
        if (below or above) and minimum is not None and maximum is not None:
            message = f"{name} must be between {minimum} (inclusive) and {maximum} (inclusive)"
            raise _Invalid("rest_out_of_bounds", message)
        if below:
            raise _Invalid("rest_out_of_bounds", f"{name} must be greater than or equal to {minimum}")
        return abs(value)

    return read


def _one_of(values: Sequence[str]) -> Any:
    def read(name: str, text: str) -> str:
        if text not in values:
            listed = f"{', '.join(values[:-1])}{',' if len(values) > 2 else ''} and {values[-1]}"
            raise _Invalid("rest_not_in_enum", f"{name} is not one of {listed}.")
        return text

    return read


def _list_of(values: Sequence[str]) -> Any:
    check = _one_of(values)

    def read(name: str, text: str) -> tuple[str, ...]:
        return tuple(
            check(f"{name}[{position}]", part.strip()) for position, part in enumerate(text.split(",")) if part.strip()
        )

    return read


def _ids(name: str, text: str) -> tuple[int, ...]:
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    for position, part in enumerate(parts):
        if not re.fullmatch(r"\d+", part):
            item = f"{name}[{position}]"
            raise _Invalid("rest_invalid_type", f"{item} is not of type integer.", {"param": item})
    return tuple(int(part) for part in parts)


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false", "0", "1", ""}:
        raise _Invalid("rest_invalid_type", f"{name} is not of type boolean.", {"param": name})
    return text.lower() in {"true", "1"}


def _bound(utc_offset: int, *, are_gmt: bool) -> Any:
    def read(name: str, text: str) -> int:
        match = _REST_DATE.fullmatch(text)
        if match is None:
            raise _Invalid("rest_invalid_date", "Invalid date.")
        try:
            instant = parse_instant(text.upper())
        except ValueError:
            raise _Invalid("rest_invalid_date", "Invalid date.") from None
        wall_clock = instant + utc_offset if match["zone"] else instant
        return wall_clock if are_gmt else wall_clock - utc_offset

    return read
