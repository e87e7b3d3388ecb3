"""How hard a source is asked and how long it is waited for, on a clock that moves only when somebody waits."""

from __future__ import annotations

import asyncio
import re
import selectors
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from include.entities.window import Window
from include.sources.errors import SettingRefused
from include.sources.http import HttpClient
from include.sources.limits import HttpLimits, limits_of
from include.sources.network import Network
from include.sources.rate import take_turn
from include.sources.retry import TryFailed, retry_after, retrying
from include.sources.settings import SourceSettings
from include.sources.side_by_side import in_order
from include.sources.transport import Reply, Transport

WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))


class InstantLoop(asyncio.SelectorEventLoop):
    """Time stands still, but for what is waited for, which passes at once. For code that waits on timers alone."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(selectors.SelectSelector())
        select = self._selector.select

        def pass_time(timeout: float | None):
            self.now += timeout or 0.0
            return select(0)

        self._selector.select = pass_time

    def time(self) -> float:
        return self.now


def in_no_time(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(coroutine)


def settings(**limits: Any) -> SourceSettings:
    return SourceSettings(name="shop_api", base_url="https://shop.example", extra={"limits": limits})


def test_limits_come_from_the_connection_and_the_rest_are_the_usual_ones():
    assert limits_of(SourceSettings(name="x", base_url="https://x.example")) == HttpLimits()
    given = settings(requests_per_second=2.5, concurrency=3, attempts=4, request_seconds=20, task_seconds=900)
    assert limits_of(given) == HttpLimits(
        requests_per_second=2.5, concurrency=3, attempts=4, request_seconds=20.0, task_seconds=900.0
    )


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"requests_per_minute": 3}, "names requests_per_minute; there are requests_per_second, concurrency"),
        ({"concurrency": 0}, r"cannot be read: Expected `int` >= 1 - at `\$\.concurrency`"),
        ({"concurrency": "8"}, r"Expected `int`, got `str` - at `\$\.concurrency`"),
        ({"attempts": 1.5}, r"\$\.attempts"),
        ({"attempts": True}, r"\$\.attempts"),
        ({"requests_per_second": 0}, r"\$\.requests_per_second"),
        ({"request_seconds": -1}, r"\$\.request_seconds"),
        ({"task_seconds": None}, r"\$\.task_seconds"),
    ],
)
def test_a_limit_that_cannot_be_followed_is_refused_by_name(limits, told):
    with pytest.raises(SettingRefused, match=told) as refused:
        limits_of(settings(**limits))
    assert "connection `shop_api`" in str(refused.value)


@pytest.mark.parametrize("limits", ["fast", [1], None, 5])
def test_limits_that_are_no_object_are_refused(limits):
    odd = SourceSettings(name="shop_api", base_url="https://shop.example", extra={"limits": limits})
    with pytest.raises(SettingRefused, match="cannot be read"):
        limits_of(odd)


def turns(*asks: tuple[str, float | None]) -> list[tuple[str, float]]:
    """When each of these, asking at the same time, got its turn."""

    async def all_at_once() -> list[tuple[str, float]]:
        loop, got = asyncio.get_running_loop(), []

        async def one(host: str, rate: float | None) -> None:
            await take_turn(host, requests_per_second=rate)
            got.append((host, round(loop.time(), 3)))

        await asyncio.gather(*(one(host, rate) for host, rate in asks))
        return sorted(got)

    return in_no_time(all_at_once())


def test_requests_to_one_host_are_spaced_evenly_whoever_sends_them():
    assert turns(*[("a", 2.0)] * 5) == [("a", 0.0), ("a", 0.5), ("a", 1.0), ("a", 1.5), ("a", 2.0)]
    assert turns(*[("a", 0.1)] * 3) == [("a", 0.0), ("a", 10.0), ("a", 20.0)]


def test_hosts_do_not_wait_for_one_another_and_no_limit_is_no_wait():
    assert turns(("a", 1.0), ("b", 1.0), ("a", 1.0)) == [("a", 0.0), ("a", 1.0), ("b", 0.0)]
    assert turns(*[("a", None)] * 3) == [("a", 0.0)] * 3


def test_of_several_rates_for_one_host_the_slowest_counts_from_then_on():
    assert turns(("a", 1.0), ("a", 0.5), ("a", 4.0), ("a", 1.0)) == [("a", 0.0), ("a", 0.0), ("a", 2.0), ("a", 4.0)]


def arrivals(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str], *, each: int, rate: float) -> list[float]:
    """When requests reached their hosts: so many of every client, all wanted at once."""
    reached: list[float] = []

    async def answer(self: Transport, url: URL, *, headers: Mapping[str, str]) -> Reply:
        reached.append(round(asyncio.get_running_loop().time(), 3))
        return Reply(200, {}, b"{}")

    async def one(address: str) -> None:
        shop = SourceSettings(name="shop_api", base_url=address)
        limits = HttpLimits(requests_per_second=rate)
        async with HttpClient(shop, window=WINDOW, network=Network(), limits=limits) as http:
            await asyncio.gather(*(http.get("/orders", params={"page": str(page)}) for page in range(each)))

    async def all_at_once() -> None:
        await asyncio.gather(*map(one, addresses))

    monkeypatch.setattr(Transport, "ask", answer)
    in_no_time(all_at_once())
    return reached


def test_requests_of_two_clients_reach_their_one_host_no_faster_than_its_rate(monkeypatch):
    same = ["http://127.0.0.1:9", "http://127.0.0.1:9/shop"]
    assert arrivals(monkeypatch, same, each=3, rate=2.0) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_requests_of_two_clients_reach_two_hosts_side_by_side(monkeypatch):
    two = ["http://127.0.0.1:9", "http://127.0.0.1:8"]
    assert arrivals(monkeypatch, two, each=3, rate=2.0) == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


def waits(limits: HttpLimits, failures: list[TryFailed]) -> tuple[list[float], TryFailed | None]:
    """The pauses between tries that fail like this one after the other, and the error that ends them."""
    left, passed = list(failures), []

    async def fail() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    async def run() -> TryFailed | None:
        loop = asyncio.get_running_loop()
        tries = retrying(limits, before_sleep=lambda state: passed.append((loop.time(), state.next_action.sleep)))
        try:
            assert await tries(fail) == "answer"
        except TryFailed as error:
            return error
        return None

    error = in_no_time(run())
    return [seconds for _, seconds in passed], error


def sick(after: float | None = None) -> TryFailed:
    return TryFailed("answered 503", status="503", health="sick", after=after)


def test_waits_double_with_jitter_up_to_half_a_minute():
    limits = HttpLimits(attempts=10, first_wait_seconds=0.5, patience_seconds=10_000)
    seen = [waits(limits, [sick()] * 9)[0] for _ in range(5)]
    for pauses in seen:
        assert len(pauses) == 9
        for number, pause in enumerate(pauses):
            assert min(0.5 * 2**number, 30) <= pause <= min(0.5 * 2**number + 0.5, 30)
    assert len({tuple(pauses) for pauses in seen}) > 1, "jitter differs from run to run"


def test_a_server_that_asks_for_more_gets_it_and_one_that_asks_for_too_much_fails_at_once():
    limits = HttpLimits(attempts=10, first_wait_seconds=0.5, patience_seconds=300)
    assert waits(limits, [sick(after=45.0)]) == ([45.0], None)
    error = sick(after=301.0)
    assert waits(limits, [error]) == ([], error)


def test_the_last_of_all_attempts_is_the_error_and_a_final_failure_ends_them():
    limits = HttpLimits(attempts=3, first_wait_seconds=0.1)
    errors = [sick() for _ in range(3)]
    pauses, error = waits(limits, errors)
    assert len(pauses) == 2 and error is errors[-1]
    final = TryFailed("answered 404", status="404", health="up", is_final=True)
    assert waits(limits, [final]) == ([], final)


def test_retry_after_is_understood_in_both_its_forms():
    assert retry_after("0") == 0.0 and retry_after(" 120 ") == 120.0
    soon = datetime.now(UTC) + timedelta(seconds=100)
    assert 90 < (retry_after(format_datetime(soon, usegmt=True)) or 0) <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "²", "٣", "Wed, 99 Oct 2015", "9999999 GMT"])
def test_a_retry_after_that_says_nothing_is_ignored(value):
    assert retry_after(value) is None


def test_reading_in_order_takes_no_more_ahead_than_allowed_and_ends_all_on_the_first_error():
    begun, ended = [], []

    async def ask(number: int) -> int:
        begun.append(number)
        try:
            await asyncio.sleep(1 if number % 2 else 3)
            if number == 5:
                raise ValueError("five")
            return number
        finally:
            ended.append(number)

    async def run() -> list[int]:
        got = []
        with pytest.raises(ValueError, match="five"):
            async for number in in_order((ask(number) for number in range(1000)), ahead=3):
                got.append(number)
                await asyncio.sleep(0)
                assert len(begun) <= number + 3
        return got

    assert in_no_time(run()) == [0, 1, 2, 3, 4]
    assert sorted(ended) == sorted(begun) and max(begun) < 9


def test_the_guide_has_every_limit_with_its_usual_value():
    guide = (Path(__file__).resolve().parents[2] / "docs" / "sources-and-limits.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (none|[\d.]+) \|", guide, re.MULTILINE))
    usual = asdict(HttpLimits())
    assert rows == {name: "none" if value is None else f"{value:.10g}" for name, value in usual.items()}
