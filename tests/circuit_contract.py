"""What the breaker must do over every store of circuits. Run against each store by a subclass."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from include.sources import circuit as steps
from include.sources.breaker import LEASE_MARGIN, Breaker, CircuitHeld, Permit
from include.sources.circuit import Circuit, CircuitStore
from include.sources.limits import HttpLimits

HOST = "shop.example:8443"
FAILURES = 3
REST = timedelta(seconds=40)
LIMITS = HttpLimits(circuit_failures=FAILURES, circuit_seconds=REST.total_seconds(), request_seconds=10)
LEASE = timedelta(seconds=LIMITS.request_seconds) + LEASE_MARGIN
BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class CircuitContract:
    """A subclass gives the fixture `new_store`: each call is what another process would have."""

    @pytest.fixture
    def process(self, new_store: Callable[[], CircuitStore], clock: Clock) -> Callable[..., Breaker]:
        return lambda host=HOST: Breaker(host, new_store(), limits=LIMITS, now=clock)

    def test_a_host_that_was_never_in_trouble_is_closed(self, new_store):
        assert asyncio.run(new_store().read(HOST)) == Circuit(host=HOST)

    def test_failures_in_a_row_open_it_for_every_process_and_the_refusal_says_why_since_and_until_when(
        self, process, clock
    ):
        async def scene():
            here, there = process(), process()
            for _ in range(FAILURES):
                await here.failed(await here.admit(), "answered 503")
            await there.refresh()
            for breaker in (here, there):
                with pytest.raises(CircuitHeld) as held:
                    await breaker.admit()
                assert str(held.value) == (
                    "shop.example:8443 is left alone since 2026-03-01T12:00:00Z, after 3 failed tries in a row (the "
                    "last one answered 503); one request may try it after 2026-03-01T12:00:40Z"
                )
            clock.now += REST - MOMENT
            with pytest.raises(CircuitHeld):
                await here.admit()

        asyncio.run(scene())

    def test_failures_of_several_processes_count_together(self, process):
        async def scene():
            breakers = [process() for _ in range(FAILURES)]
            for breaker in breakers:
                await breaker.failed(await breaker.admit(), "was not answered within 10 s")
            with pytest.raises(CircuitHeld):
                await breakers[-1].admit()

        asyncio.run(scene())

    def test_an_answer_between_failures_makes_them_count_anew_whoever_got_it(self, process):
        async def scene():
            here, there = process(), process()
            for _ in range(FAILURES - 1):
                await here.failed(Permit(), "answered 500")
            await there.refresh()
            await there.answered(await there.admit())
            for _ in range(FAILURES - 1):
                await here.failed(Permit(), "answered 500")
            await here.answered(await here.admit())
            assert await here.admit() == Permit()

        asyncio.run(scene())

    def test_one_host_in_trouble_leaves_another_alone(self, process):
        async def scene():
            sick, well = process(), process("archive.example")
            for _ in range(FAILURES):
                await sick.failed(Permit(), "answered 500")
            await well.refresh()
            assert await well.admit() == Permit()

        asyncio.run(scene())

    def test_after_the_rest_exactly_one_probe_is_granted_and_its_answer_closes_the_circuit(self, process, clock):
        async def scene():
            probing, waiting = process(), process()
            for _ in range(FAILURES):
                await probing.failed(Permit(), "answered 500")
            await waiting.refresh()
            clock.now += REST
            probe = await probing.admit()
            assert probe.probe is not None
            for breaker in (probing, waiting):
                with pytest.raises(CircuitHeld):
                    await breaker.admit()
            await probing.answered(probe)
            for breaker in (probing, waiting):
                assert await breaker.admit() == Permit()

        asyncio.run(scene())

    def test_a_probe_that_fails_opens_the_circuit_for_another_rest(self, process, clock):
        async def scene():
            breaker = process()
            for _ in range(FAILURES):
                await breaker.failed(Permit(), "answered 500")
            for _ in range(2):
                clock.now += REST
                await breaker.failed(await breaker.admit(), "answered 502")
                clock.now += REST - MOMENT
                with pytest.raises(CircuitHeld, match="answered 502"):
                    await breaker.admit()
                clock.now += MOMENT - REST
            clock.now += REST
            assert (await breaker.admit()).probe is not None

        asyncio.run(scene())

    def test_a_probe_that_was_given_up_passes_the_chance_on_at_once(self, process, clock):
        async def scene():
            first, second = process(), process()
            for _ in range(FAILURES):
                await first.failed(Permit(), "answered 500")
            await second.refresh()
            clock.now += REST
            await first.abandoned(await first.admit())
            assert (await second.admit()).probe is not None

        asyncio.run(scene())

    def test_a_killed_probe_blocks_the_host_no_longer_than_its_lease_and_has_no_say_afterwards(self, process, clock):
        async def scene():
            killed, next_one = process(), process()
            for _ in range(FAILURES):
                await killed.failed(Permit(), "answered 500")
            await next_one.refresh()
            clock.now += REST
            lost = await killed.admit()
            clock.now += LEASE - MOMENT
            with pytest.raises(CircuitHeld):
                await next_one.admit()
            clock.now += MOMENT
            probe = await next_one.admit()
            assert probe.probe is not None and probe != lost
            for ending in (killed.answered, killed.abandoned, partial(killed.failed, reason="answered 500")):
                await ending(lost)
                with pytest.raises(CircuitHeld):
                    await next_one.admit()
            await next_one.answered(probe)
            assert await next_one.admit() == Permit()

        asyncio.run(scene())

    def test_requests_sent_before_the_circuit_opened_change_nothing_when_they_end(self, process, new_store):
        async def scene():
            breaker = process()
            early = [await breaker.admit() for _ in range(FAILURES + 2)]
            for permit in early[:FAILURES]:
                await breaker.failed(permit, "answered 500")
            opened = await new_store().read(HOST)
            await breaker.failed(early[-1], "was not answered within 10 s")
            await breaker.answered(early[-2])
            assert await new_store().read(HOST) == opened

        asyncio.run(scene())

    def test_of_many_that_ask_for_the_probe_at_once_one_gets_it(self, new_store, clock):
        """Threads of their own, each with its own event loop and store, as processes would be."""

        async def fall_sick():
            breaker = Breaker(HOST, new_store(), limits=LIMITS, now=clock)
            for _ in range(FAILURES):
                await breaker.failed(Permit(), "answered 500")

        asyncio.run(fall_sick())
        clock.now += REST
        together, granted = threading.Barrier(8), []

        async def claim(store: CircuitStore) -> bool:
            together.wait(timeout=30)
            before, after = await store.change(HOST, partial(steps.probing, now=clock.now, lease=LEASE), now=clock.now)
            return before != after

        def one(store: CircuitStore) -> None:
            granted.append(asyncio.run(claim(store)))

        threads = [threading.Thread(target=one, args=(new_store(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert sorted(granted) == [False] * 7 + [True]

    def test_no_failure_is_lost_when_many_fail_at_once(self, new_store, clock):
        together = threading.Barrier(8)

        async def fail(store: CircuitStore) -> None:
            together.wait(timeout=30)
            step = partial(steps.failed, now=clock.now, reason="answered 500", failures=1000, rest=REST)
            for _ in range(5):
                await store.change(HOST, step, now=clock.now)

        threads = [
            threading.Thread(target=lambda store: asyncio.run(fail(store)), args=(new_store(),)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert asyncio.run(new_store().read(HOST)).failure_count == 40

    def test_every_change_is_told_once_in_a_line_that_can_be_searched_for(self, process, clock, caplog):
        async def scene():
            breaker = process()
            for _ in range(FAILURES):
                await breaker.failed(Permit(), "answered 500")
            await breaker.failed(Permit(), "answered 500")
            clock.now += REST
            await breaker.failed(await breaker.admit(), "answered 502")
            clock.now += REST
            await breaker.answered(await breaker.admit())

        with caplog.at_level(logging.INFO, logger="include.sources"):
            asyncio.run(scene())
        lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("circuit ")]
        host = f"circuit host={HOST} state="
        assert lines == [
            f"{host}open because='3 failed tries in a row, the last one answered 500'",
            f"{host}half_open because='one request tries the host, given up at 2026-03-01T12:01:20Z'",
            f"{host}open because='4 failed tries in a row, the last one answered 502'",
            f"{host}half_open because='one request tries the host, given up at 2026-03-01T12:02:00Z'",
            f"{host}closed because='the host answers again'",
        ]
