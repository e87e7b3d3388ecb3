"""Pages damaged byte by byte: what comes in is accepted or rejected, and what is accepted says what was sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.ingestion.judge import judge_page
from include.sources.errors import ContractBroken
from tests.hostile_values import numbered
from tests.properties import examples
from tests.unit.hostile_pages import damaged
from tests.unit.source_pages import (
    CONTEXT,
    ENTITY_NAMES,
    SHOP_ENTITIES,
    WINDOW,
    body_of,
    page,
    source,
    stocks,
    weather,
)
from tests.wire_rows import LINE_TABLES, OBSERVED, lines_in, read_json, row_of_line, row_without_lines

REFUSALS = (ValueError, ContractBroken)
"""What a source says to a page that is none, before it is landed."""
FUZZ = examples(60)


def good_rows(entity: str) -> list[Any]:
    return [numbered(entity, number) for number in (11, 12, 13)]


def good_page(entity: str) -> bytes:
    if entity == "weather_daily":
        return json.dumps(weather()).encode()
    if entity == "stock_prices_daily":
        return json.dumps(stocks()).encode()
    return body_of(entity, good_rows(entity))


@st.composite
def flipped(draw, body: bytes) -> bytes:
    """Some bytes are others."""
    changed = bytearray(body)
    for place in draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        changed[place] ^= draw(st.integers(1, 255))
    return bytes(changed)


@st.composite
def cut(draw, body: bytes) -> bytes:
    """A piece is missing, at the end or anywhere."""
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.sampled_from([b"", body[draw(st.integers(start, len(body))) :]]))


@st.composite
def stuffed(draw, body: bytes) -> bytes:
    """Something stands in it that does not belong there: bytes, or a piece of the page itself."""
    place, first = draw(st.integers(0, len(body))), draw(st.integers(0, len(body)))
    piece = body[first : first + draw(st.integers(0, 40))]
    odd = draw(st.one_of(st.binary(max_size=8), st.just(piece), st.sampled_from(_ODD)))
    return body[:place] + odd + body[place + draw(st.sampled_from([0, len(odd)])) :]


_ODD = (b"\x00", b"\\u0000", b"\xff", b"\xef\xbb\xbf", b"NaN", b"1e999999", b"[[[[", b"}{", b'""', b"\\ud800", b"null",
        b"9" * 30, b"\xe2\x80\xa8", b"\r", b"-")  # fmt: skip


@st.composite
def retyped(draw, entity: str) -> bytes:
    """Values of other types, at any depth, in rows that are JSON still."""
    if entity == "weather_daily":
        return json.dumps(draw(damaged(weather()))).encode()
    if entity == "stock_prices_daily":
        return json.dumps(draw(damaged(stocks()))).encode()
    return body_of(entity, [draw(damaged(each)) for each in good_rows(entity)])


def fuzzed(entity: str) -> st.SearchStrategy[bytes]:
    body = good_page(entity)
    return st.one_of(
        st.binary(max_size=80), flipped(body), cut(body), stuffed(body), retyped(entity),
        retyped(entity).flatmap(stuffed),
    )  # fmt: skip


@pytest.mark.parametrize("entity", ENTITY_NAMES)
@FUZZ
@given(data=st.data())
def test_a_page_is_refused_as_a_page_or_every_row_of_it_is_accounted_for(entity, data):
    body = data.draw(fuzzed(entity))
    feed = source(entity)
    try:
        raw = feed.split(body, WINDOW)
    except REFUSALS:
        with pytest.raises(REFUSALS):
            judge_page(feed, page(entity, body), WINDOW)
        return
    judged = judge_page(feed, page(entity, body), WINDOW)
    rejected = {int(each.position) for each in judged.rejections if each.entity == entity}
    assert judged.rows.num_rows + len(rejected) == len(raw)
    assert all(each.reason and each.rule_id for each in judged.rejections)
    accepted = [place for place in range(len(raw)) if place not in rejected]
    for place, row in zip(accepted, judged.rows.to_pylist(), strict=True):
        assert plain(entity, row) == row_without_lines(entity, told_by(raw[place]), CONTEXT.get(entity, {}))
    if entity in LINE_TABLES:
        assert_lines(entity, raw, accepted, judged)


def assert_lines(entity: str, raw: list[bytes], accepted: list[int], judged: Any) -> None:
    """Lines of accepted rows are accepted, and say what was sent, or rejected."""
    rejected = {each.position for each in judged.rejections}
    sent = []
    for place in accepted:
        wire = told_by(raw[place])
        for number, (kind, line) in enumerate(lines_in(wire)):
            if f"{place}.{number}" not in rejected:
                sent.append(row_of_line(entity, kind, line, wire))
    without = {"source_updated_at", "content_digest", "parent_digest"}
    kept = [{name: value for name, value in row.items() if name not in without} for row in judged.lines.to_pylist()]
    assert kept == sent


def told_by(raw: bytes) -> Any:
    """What a row says; letters that are none can only stand where nobody looks."""
    return read_json(bytes(raw).decode(errors="replace"))


def plain(entity: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of a batch as the oracle tells it."""
    told = {name: value for name, value in row.items() if name != "content_digest"}
    if entity in OBSERVED:
        del told["source_updated_at"]
    for name in ("properties", "attributes", "categories"):
        if name in told:
            told[name] = json.loads(told[name], parse_float=Decimal)
    return told


@pytest.mark.parametrize("entity", SHOP_ENTITIES)
@FUZZ
@given(body=st.binary(max_size=200))
@example(body=b"[" * 100_000)
@example(body=b"[" + b"[" * 100_000 + b"]" * 100_000 + b"]")
@example(body=b"\xef\xbb\xbf[]")
def test_bytes_that_are_no_list_are_refused_and_a_list_of_anything_is_judged(entity, body):
    feed = source(entity)
    try:
        raw = feed.split(body, WINDOW)
    except REFUSALS:
        return
    judged = judge_page(feed, page(entity, body), WINDOW)
    assert judged.rows.num_rows + sum(each.entity == entity for each in judged.rejections) == len(raw)


@pytest.mark.parametrize("entity", ENTITY_NAMES)
def test_an_undamaged_page_is_taken_whole(entity):
    """The fuzzing starts from pages that are good, so that damage is what is judged."""
    feed = source(entity)
    judged = judge_page(feed, page(entity, good_page(entity)), WINDOW)
    assert judged.rejections == []
    assert judged.rows.num_rows == len(feed.split(good_page(entity), WINDOW)) > 1
