"""Reading ahead changes nothing but the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from include.ingestion.ahead import read_ahead


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("length", [0, 1, 2, 10])
def test_the_same_items_come_in_the_same_order(length, count):
    assert list(read_ahead(iter(range(length)), count=count)) == list(range(length))


def test_what_reading_raises_comes_in_its_place():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    taken = []
    with pytest.raises(OSError, match="gone"):
        for item in read_ahead(items(), count=4):
            taken.append(item)
    assert taken == [1, 2]


def test_no_more_than_so_many_items_are_ahead_and_none_is_read_once_the_reader_has_left():
    read = []

    def items() -> Iterator[int]:
        for number in range(1_000):
            read.append(number)
            yield number

    ahead = read_ahead(items(), count=3)
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]  # a generator
    assert len(read) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read_ahead")]
