"""What each kind of fault does to an answer."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from include.local.sandbox.answer import Answer
from include.local.sandbox.rows import with_rows_changed

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
#   empty_body          200 with the usual headers and not one byte
#   gzip_bomb           200 with a body that unpacks to `megabytes` of spaces
#   redirect            `status` 302 or another, to `location`
#   malformed_rows      `rows` rows of a page: `damage` is wrong_type, missing_field, broken_json; `field`
#   unknown_fields      every row has a field that no documentation names
#   duplicate_page      the rows of the page before, once more, in front of this page's own
#   stale_page          the rows of the page before, if it had any, instead of this page's own: a cache gone wrong.
#                       With `is_whole`, and where an answer is no list, all of the answer before, its headers too
#   edit_records        before it answers, somebody edits records of `collection`; `edits` is a list of changes, each
#                       with the record's `key` and what `edits.edit_record` takes
#   wrong_content_type  200 with an HTML page, as a login wall or maintenance page sends it
#   stock_limit         200 with Alpha Vantage's notice in the field `notice`: Information or Note
KINDS: dict[str, dict[str, Any]] = {
    "rate_limit": {"retry_after": 1, "as_date": False},
    "server_error": {"status": 500, "retry_after": None},
    "timeout": {"seconds": 300.0},
    "cut_off": {"share": 0.5},
    "slow_body": {"seconds": 2.0},
    "empty_body": {},
    "gzip_bomb": {"megabytes": 100},
    "redirect": {"status": 302, "location": "http://127.0.0.1:9/elsewhere"},
    "malformed_rows": {"rows": 1, "damage": "wrong_type", "field": None},
    "unknown_fields": {},
    "duplicate_page": {},
    "stale_page": {"is_whole": False},
    "edit_records": {"collection": "orders", "edits": ()},
    "wrong_content_type": {},
    "stock_limit": {"notice": "Information"},
}


def damage(answer: Answer, *, kind: str, options: dict[str, Any], random: Random, previous: Answer | None) -> Answer:
    """The answer as the fault leaves it.

    :param previous: the answer before this one on the same path, if there was one.
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
    if kind == "empty_body":
        return replace(answer, body=b"")
    if kind == "gzip_bomb":
        headers = {**answer.headers, "content-encoding": "gzip"}
        return replace(answer, headers=headers, body=_bomb(options["megabytes"]))
    if kind == "redirect":
        return Answer(options["status"], {"location": options["location"]}, b"")
    if kind == "edit_records":
        return answer
    if kind == "stale_page" and options["is_whole"]:
        return answer if previous is None or previous.body in (b"", b"[]") else previous
    return with_rows_changed(answer, kind=kind, options=options, random=random, previous=previous)


@lru_cache(maxsize=2)
def _bomb(megabytes: int) -> bytes:
    return gzip.compress(b" " * (megabytes << 20), mtime=0)


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
