"""What each kind of fault does to an answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import msgspec

_NDJSON = "application/x-ndjson"
_CRITICAL_ERROR = {
    "code": "internal_server_error",
    "message": "<p>There has been a critical error on this website.</p>",
    "data": {"status": 500},
    "additional_errors": [],
}
_RATE_LIMIT_NOTICE = (
    "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please subscribe "
    "to any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
)

# Every kind with its own fields and what they are when not given.
#   rate_limit          429 with Retry-After: `retry_after` seconds, or that instant as an HTTP date if `as_date`
#   server_error        `status` 500, 502, 503, ...; with Retry-After if `retry_after` is given
#   timeout             the answer is held for `seconds`, or until the client gives up
#   cut_off             Content-Length as announced, `share` of the body, then the connection is closed
#   slow_body           the body arrives in pieces over `seconds`
#   malformed_rows      `rows` rows of a page: `damage` is wrong_type, missing_field, broken_json; `field`
#   unknown_fields      every row has a field that no documentation names
#   duplicate_page      the rows of the page before, once more, in front of this page's own
#   stale_page          the rows of the page before instead of this page's own: a cache gone wrong
#   wrong_content_type  200 with an HTML page, as a login wall or maintenance page sends it
#   stock_limit         200 with Alpha Vantage's notice in the field `notice`: Information or Note
KINDS: dict[str, dict[str, Any]] = {
    "rate_limit": {"retry_after": 1, "as_date": False},
    "server_error": {"status": 500, "retry_after": None},
    "timeout": {"seconds": 300.0},
    "cut_off": {"share": 0.5},
    "slow_body": {"seconds": 2.0},
    "malformed_rows": {"rows": 1, "damage": "wrong_type", "field": None},
    "unknown_fields": {},
    "duplicate_page": {},
    "stale_page": {},
    "wrong_content_type": {},
    "stock_limit": {"notice": "Information"},
}


@dataclass
class Answer:
    """An HTTP answer before it is sent.

    :param hold_seconds: wait this long before the first byte.
    :param body_seconds: spread the body over this long.
    :param sent_share: share of the body that is sent before the connection is closed.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    hold_seconds: float = 0.0
    body_seconds: float = 0.0
    sent_share: float = 1.0


def damage(answer: Answer, *, kind: str, options: dict[str, Any], random: Random, previous: bytes | None) -> Answer:
    """The answer as the fault leaves it.

    :param previous: body of the answer before this one on the same path, if there was one.
    """
    if kind == "rate_limit":
        return _rate_limit(retry_after=options["retry_after"], as_date=options["as_date"])
    if kind == "server_error":
        return _server_error(status=options["status"], retry_after=options["retry_after"])
    if kind == "timeout":
        return replace(answer, hold_seconds=options["seconds"])
    if kind == "cut_off":
        return replace(answer, sent_share=options["share"])
    if kind == "slow_body":
        return replace(answer, body_seconds=options["seconds"])
    if kind == "wrong_content_type":
        return Answer(200, {"content-type": "text/html; charset=UTF-8"}, b"<!DOCTYPE html><title>Maintenance</title>")
    if kind == "stock_limit":
        notice = {options["notice"]: _RATE_LIMIT_NOTICE.format(key="********")}
        return Answer(200, {"content-type": "application/json"}, msgspec.json.encode(notice))
    return _with_rows(answer, kind=kind, options=options, random=random, previous=previous)


def _rate_limit(*, retry_after: float, as_date: bool) -> Answer:
    instant = datetime.now(UTC) + timedelta(seconds=retry_after)
    value = format_datetime(instant, usegmt=True) if as_date else str(retry_after)
    body = {"code": "too_many_requests", "message": "Too many requests.", "data": {"status": 429}}
    return Answer(429, {"content-type": "application/json", "retry-after": value}, msgspec.json.encode(body))


def _server_error(*, status: int, retry_after: float | None) -> Answer:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    if status == 500:
        return Answer(status, {"content-type": "application/json", **headers}, msgspec.json.encode(_CRITICAL_ERROR))
    html = f"<html><head><title>{status}</title></head><body><center>nginx</center></body></html>"
    return Answer(status, {"content-type": "text/html", **headers}, html.encode())


def _with_rows(answer: Answer, *, kind: str, options: dict[str, Any], random: Random, previous: bytes | None) -> Answer:
    """Faults that reach into a page's rows; an answer that is not a page of rows stays whole."""
    is_lines = answer.headers.get("content-type", "").startswith(_NDJSON)
    rows = _split(answer.body, is_lines=is_lines)
    before = _split(previous or b"", is_lines=is_lines)
    if answer.status != 200 or rows is None:
        return answer
    if kind == "duplicate_page":
        rows = [*(before or []), *rows]
    elif kind == "stale_page":
        rows = before or rows
    elif kind == "unknown_fields":
        rows = [_with_field(row, "x_unheard_of", {"since": "tomorrow", "values": [1, None]}) for row in rows]
    else:
        for position in random.sample(range(len(rows)), min(options["rows"], len(rows))):
            rows[position] = _malformed(rows[position], damage=options["damage"], field=options["field"])
    return replace(answer, body=_join(rows, is_lines=is_lines))


def _split(body: bytes, *, is_lines: bool) -> list[bytes] | None:
    """The rows of a page as encoded JSON, or None if the body is no page of rows."""
    if is_lines:
        return body.splitlines()
    try:
        return [bytes(row) for row in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
        return None


def _join(rows: list[bytes], *, is_lines: bool) -> bytes:
    return b"".join(row + b"\n" for row in rows) if is_lines else b"[" + b",".join(rows) + b"]"


def _with_field(row: bytes, name: str, value: Any) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(row), name: value})


def _malformed(row: bytes, *, damage: str, field: str | None) -> bytes:
    record = msgspec.json.decode(row)
    name = field or ("messageId" if "messageId" in record else "id")
    if damage == "missing_field":
        record.pop(name, None)
        return msgspec.json.encode(record)
    if damage == "broken_json":
        return row[:-1] + b',"broken":'
    return msgspec.json.encode({**record, name: {"not": "what", "it": ["should", "be"]}})
