"""Telling an old answer with refunds from today's, although a refund does not say when it was modified.

It says when it was made, and that is not enough: a shop lists by modification, and one made long ago may have been
touched since, by its payment or a plugin. So for refunds made before the window the shop is asked which of them it
holds for modified before it, too. A true answer to our question has none of these; an old one has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from include.sources.other_answers import CREDIBLE_YEARS
from include.sources.parsing import Id, decode, utc
from include.sources.woocommerce_list import Rows, read_page


class _Refund(msgspec.Struct):
    id: Id
    date_created_gmt: datetime


_REFUND = msgspec.json.Decoder(_Refund)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


def read_refunds(body: bytes, *, before: str, old: Collection[int]) -> Rows:
    """The rows of a page.

    :param before: the end that was asked for, exclusive.
    :param old: refunds that were not modified since the window began.
    :raises ValueError: the body is no page, or the answer to another question.
    """
    rows = read_page(body)
    if known := {key for key, _ in rows}.intersection(old):
        raise ValueError(f"it holds the refund {min(known)}, last modified before the start of what was asked for")
    late = [key for key, made in _made(body) if made >= _instant(before)]
    if late:
        raise ValueError(f"it holds the refund {min(late)}, made after the end of what was asked for")
    return rows


def made_before(body: bytes, after: str) -> list[int]:
    """The refunds of a page that were made before the window.

    :param after: what was asked for begins a second later.
    """
    return [key for key, made in _made(body) if made <= _instant(after)]


def which_are_old(keys: Collection[int], *, after: str) -> Mapping[str, str]:
    """Parameters that ask which of these were not modified since the window began."""
    return {
        "per_page": str(len(keys)),
        "include": ",".join(map(str, keys)),
        "dates_are_gmt": "true",
        "modified_before": f"{_instant(after) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}",
    }


def read_those_of(body: bytes, *, keys: Collection[int]) -> Rows:
    """The rows of an answer that may hold these refunds alone.

    :raises ValueError: it holds others: it is the answer to another question.
    """
    rows = read_page(body)
    if others := {key for key, _ in rows}.difference(keys):
        raise ValueError(f"it holds the refund {min(others)}, which is not of what was asked for")
    return rows


def _made(body: bytes) -> list[tuple[int, datetime]]:
    """When each refund was made; one that cannot be read, or is of no credible year, says nothing."""
    made = []
    for raw in decode(body, _ROWS):
        try:
            refund = decode(raw, _REFUND)
            instant = utc(refund.date_created_gmt)
        except ValueError:
            continue
        if instant is not None and instant.year in CREDIBLE_YEARS:
            made.append((refund.id, instant))
    return made


def _instant(bound: str) -> datetime:
    return datetime.fromisoformat(bound).replace(tzinfo=UTC)
