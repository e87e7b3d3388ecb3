"""Digests: equal content has equal ones wherever it stands, any difference another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from include.entities.digests import SIZE, digests, digests_with_lines
from include.entities.entity import DIGEST, INSTANT, MONEY, Entity
from include.entities.registry import ENTITIES
from tests.properties import examples

KINDS = {
    pa.int64(): st.integers(-2, 2),
    pa.string(): st.sampled_from(["", "a", "b", "ab", "ba", "a\x00", "\x00", "漢"]),
    pa.bool_(): st.booleans(),
    pa.float64(): st.sampled_from([0.0, 1.5, -1.5]),
    MONEY: st.sampled_from([Decimal("0.0000"), Decimal("1.0000"), Decimal("-1.0000")]),
    INSTANT: st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]),
    pa.date32(): st.sampled_from([date(1970, 1, 1), date(2024, 1, 1)]),
}
ALIKE = [b"\x00" * 16, b"\xff" * 16, b"\xff" * 15 + b"\x00", b"\xff" * 7 + b"\x00" * 9, b"\x7f" + b"\xff" * 15]
EVERY = [each for entity in ENTITIES.values() for each in (entity, entity.child) if each is not None]


@st.composite
def tables(draw) -> tuple[Entity, pa.Table]:
    """An entity and rows of it that often have values in common."""
    entity = draw(st.sampled_from(EVERY))
    row = st.fixed_dictionaries({name: st.none() | KINDS[kind] for name, kind in entity.columns.items()})
    rows = draw(st.lists(row, max_size=3))
    versions = [{"source_updated_at": draw(KINDS[INSTANT])} for _ in rows]
    both = [{**one, **other} for one, other in zip(rows, versions, strict=True)]
    changed = []
    for each in both:
        name = draw(st.sampled_from(sorted(entity.columns)))
        changed.append({**each, name: draw(st.none() | KINDS[entity.columns[name]])})
    return entity, pa.Table.from_pylist([*both, *changed], schema=entity.record_schema)


@examples(200)
@given(given_table=tables())
def test_two_rows_have_the_same_digest_exactly_if_they_are_equal_but_for_their_version(given_table):
    entity, table = given_table
    found = digests(entity, table).to_pylist()
    contents = [tuple(row[name] for name in entity.columns) for row in table.to_pylist()]
    for one, its_digest in zip(contents, found, strict=True):
        assert len(its_digest) == SIZE
        for other, other_digest in zip(contents, found, strict=True):
            assert (one == other) == (its_digest == other_digest)


@given(given_table=tables(), data=st.data())
def test_a_digest_does_not_depend_on_what_stands_beside_the_row(given_table, data):
    entity, table = given_table
    start = data.draw(st.integers(0, table.num_rows))
    length = data.draw(st.integers(0, table.num_rows))
    whole = digests(entity, table).to_pylist()
    assert digests(entity, table.slice(start, length)).to_pylist() == whole[start : start + length]
    twice = pa.concat_tables([table, table])
    assert digests(entity, twice).to_pylist() == whole * 2


def test_the_digest_of_a_row_is_the_same_on_every_machine():
    """Written out once; a change of the formula makes every stored row differ from what is read next."""
    orders = ENTITIES["orders"]
    values = {
        name: {pa.int64(): 5, pa.string(): "EUR", MONEY: Decimal("1.5"), INSTANT: datetime(2024, 3, 1, tzinfo=UTC)}[
            kind
        ]
        for name, kind in orders.columns.items()
    }
    row = {**values, "country": None, "source_updated_at": datetime(2024, 3, 2, tzinfo=UTC)}
    table = pa.Table.from_pylist([row], schema=orders.record_schema)
    assert digests(orders, table)[0].as_py().hex() == "1a8eea1ace38cac40b4dbbf4bc7e42b2"
    lines = pa.array([b"b" * 16, b"a" * 16], DIGEST)
    found = digests_with_lines(orders, table, lines, np.array([0, 0]))
    assert found[0].as_py().hex() == "eaf576c0f18a02144568f580a9405d31"


@examples(200)
@given(lines=st.lists(st.lists(st.binary(min_size=16, max_size=16) | st.sampled_from(ALIKE))))
def test_a_row_with_lines_is_hashed_with_their_digests_in_order_each_once(lines):
    """Written the obvious way: the row's own bytes are what its digest without lines is made of."""
    orders = ENTITIES["orders"]
    table = pa.Table.from_pylist([dict.fromkeys(orders.record_schema.names)] * len(lines), schema=orders.record_schema)
    width = {pa.string(): 4, pa.int64(): 8, INSTANT: 8, MONEY: 16}
    own = b"".join(b"\x00" + b"\x00" * width[kind] for kind in orders.columns.values())
    owners = np.array([row for row, each in enumerate(lines) for _ in each], dtype=np.int64)
    found = digests_with_lines(orders, table, pa.array([digest for each in lines for digest in each], DIGEST), owners)
    assert found.to_pylist() == [
        blake2b(own + b"".join(sorted(set(each))), digest_size=SIZE).digest() for each in lines
    ]


def test_the_lines_of_a_row_count_as_a_set_and_only_its_own():
    orders = ENTITIES["orders"]
    table = pa.Table.from_pylist([dict.fromkeys(orders.record_schema.names)] * 4, schema=orders.record_schema)
    one, two = b"1" * 16, b"2" * 16
    lines = pa.array([one, two, two, one, one, one], DIGEST)
    owners = np.array([0, 0, 1, 1, 1, 2])
    for given_lines in (lines, pa.concat_arrays([lines, lines]).slice(6)):
        first, second, third, none = digests_with_lines(orders, table, given_lines, owners).to_pylist()
        assert first == second
        assert len({first, third, none}) == 3
