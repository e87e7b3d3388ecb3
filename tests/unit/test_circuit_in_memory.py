"""The breaker over circuits in memory, and what it costs while all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from include.sources.breaker import Breaker, Permit
from include.sources.circuit import CircuitStore, MemoryCircuits
from include.sources.limits import HttpLimits
from tests.circuit_contract import CircuitContract, clock  # noqa: F401  # the fixture


class TestCircuitInMemory(CircuitContract):
    @pytest.fixture
    def new_store(self) -> Callable[[], CircuitStore]:
        store = MemoryCircuits()
        return lambda: store


def test_while_all_is_well_no_request_touches_the_store():
    class Untouchable(MemoryCircuits):
        async def read(self, host: str):
            raise AssertionError("the store was read")

        async def change(self, host: str, step, *, now):
            raise AssertionError("the store was written")

    async def many_answers():
        breaker = Breaker("shop.example", Untouchable(), limits=HttpLimits())
        for _ in range(100):
            permit = await breaker.admit()
            assert permit == Permit()
            await breaker.answered(permit)

    asyncio.run(many_answers())
