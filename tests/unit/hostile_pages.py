"""Pages as an enemy or a broken shop would send them: good rows with parts replaced or removed, or no page at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.unit.source_pages import body_of, row, stocks, weather

_leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "0", "-1", "1e400", "NaN", "²", "\x00", "2024-03-02T03:04:05", "9999-12-31T23:59:59-14:00"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
_anything = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


def places_in(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every part of a JSON value, at any depth."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inside for place in places_in(part, (*path, key)))]


@st.composite
def damaged(draw, value: Any) -> Any:
    """A good value of which up to three parts, at any depth, are replaced or removed."""
    for _ in range(draw(st.integers(0, 3))):
        *path, last = draw(st.sampled_from([(None,), *places_in(value)[1:]]))
        if last is None:
            continue
        holder = value
        for key in path:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(_anything)
        else:
            del holder[last]
    return value


@st.composite
def pages_of(draw, entity: str) -> bytes:
    """A page of good and damaged rows, or no page at all."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=60))
    if kind == 1:
        return json.dumps(draw(_anything)).encode()
    if entity == "weather_daily":
        body = json.dumps(draw(damaged(weather()))).encode()
    elif entity == "stock_prices_daily":
        body = json.dumps(draw(damaged(stocks()))).encode()
    else:
        body = body_of(entity, draw(st.lists(st.builds(row, st.just(entity)).flatmap(damaged), max_size=4)))
    if kind == 2:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 4)) :]
    return body
