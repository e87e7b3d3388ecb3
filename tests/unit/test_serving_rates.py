"""The token bucket of the API: no more than allowed over any span, and a wait that suffices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.serving.rates import TokenBucket


class Clock:
    """Seconds that go on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


PAUSES = st.lists(st.floats(0, 3), max_size=60)


@given(pauses=PAUSES, per_second=st.floats(0.5, 50), burst=st.integers(1, 20))
def test_over_every_span_at_most_the_burst_and_what_came_in_since_gets_through(pauses, per_second, burst):
    clock = Clock()
    bucket = TokenBucket(per_second=per_second, burst=burst, clock=clock)
    passed = []
    for pause in pauses:
        clock.now += pause
        if bucket.take() == 0:
            passed.append(clock.now)
    for first, start in enumerate(passed):
        for count, end in enumerate(passed[first:], 1):
            assert count <= burst + (end - start) * per_second + 1e-6


@given(pauses=PAUSES, per_second=st.floats(0.5, 50), burst=st.integers(1, 20))
def test_whoever_waits_as_long_as_told_gets_through_and_just_before_does_not(pauses, per_second, burst):
    clock = Clock()
    bucket = TokenBucket(per_second=per_second, burst=burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        if (wait := bucket.take()) > 0:
            clock.now += wait * 0.99
            assert bucket.take() > 0
            clock.now += wait * 0.01 + 1e-9
            assert bucket.take() == 0


def test_a_pause_brings_back_the_burst_and_no_more():
    clock = Clock()
    bucket = TokenBucket(per_second=10, burst=3, clock=clock)
    assert [bucket.take() == 0 for _ in range(4)] == [True, True, True, False]
    clock.now += 1000
    assert [bucket.take() == 0 for _ in range(4)] == [True, True, True, False]
    assert bucket.take() == pytest.approx(0.1)
