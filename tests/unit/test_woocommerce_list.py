"""A list that changes while it is read, in memory: whatever the order of events, what kept its place is seen."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from include.sources.http import Answer
from include.sources.woocommerce_list import PER_PAGE, SETBACKS, ListReader, read_page

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
Row = dict[str, int | str]


def row(key: int, second: int) -> Row:
    return {"id": key, "date_modified_gmt": f"{EPOCH + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}"}


def answer_of(rows: list[Row], total: int) -> Answer:
    body = msgspec.json.encode(rows)
    return Answer("/orders", 200, body, {"X-WP-Total": str(total)}, EPOCH, read_page(body))


class ChangingList:
    """Answers as WooCommerce does: sorted, by position, and a total of 0 past the last row.

    :param change: called before every answer; may do to `rows` what it likes.
    """

    def __init__(self, rows: list[Row], *, change: Callable[[ChangingList], None] = lambda _: None) -> None:
        self.rows = rows
        self.asked: list[int] = []
        self.under_way = self.most_under_way = 0
        self._change = change
        self._random = random.Random(len(rows))

    async def ask(self, offset: int) -> Answer:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)
        self._change(self)
        self.asked.append(offset)
        chosen = self.rows[offset : offset + PER_PAGE]
        total = len(self.rows) if chosen or not offset else 0
        self.under_way -= 1
        return answer_of(chosen, total)


def read(changing: ChangingList, *, is_sorted_by_modification: bool = True, ahead: int = 6):
    """The rows that came, page by page, and the reader."""
    reader = ListReader(
        changing.ask, is_sorted_by_modification=is_sorted_by_modification, ahead=ahead, name="resource=orders"
    )

    async def all_pages() -> list[list[Row]]:
        return [msgspec.json.decode(answer.body) async for answer in reader.answers()]

    return asyncio.run(all_pages()), reader


def names(rows: list[Row]) -> set[tuple]:
    return {tuple(each.values()) for each in rows}


def told(pages: list[list[Row]]) -> set[tuple]:
    return names([each for page in pages for each in page])


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 198, 199, 200, 299, 1000])
def test_a_list_that_holds_still_is_read_in_order_with_one_row_shared_by_pages_that_meet(count):
    rows = [row(key, key) for key in range(count)]
    still = ChangingList(rows)
    pages, reader = read(still)
    joined = pages[0] + [each for before, page in pairwise(pages) for each in page[1:] if before]
    assert joined == rows and reader.is_whole
    assert all(before[-1] == page[0] for before, page in pairwise(pages))
    pages_needed = max(1, -(-(count - 1) // 99))
    assert len(still.asked) == (2 if pages_needed == 1 else pages_needed), "a list of one page is asked for twice"


@pytest.mark.parametrize("seed", range(60))
def test_orders_that_leave_the_window_while_it_is_read_hide_none_of_those_that_stay(seed):
    print(f"seed={seed}")
    chance = random.Random(seed)
    rows = [row(key, chance.randrange(400)) for key in chance.sample(range(5000), chance.randrange(150, 900))]
    rows.sort(key=lambda each: (each["date_modified_gmt"], each["id"]))
    left: set[tuple] = set()

    def edit(changing: ChangingList) -> None:
        for _ in range(chance.choice([0, 0, 1, 1, 2, 6])):
            if changing.rows:
                left.update(names([changing.rows.pop(chance.randrange(len(changing.rows)))]))

    pages, reader = read(ChangingList(list(rows), change=edit), ahead=chance.choice([1, 2, 8]))
    assert names(rows) - left <= told(pages) <= names(rows)
    assert reader.is_whole


class LastPageFirst(ChangingList):
    async def ask(self, offset: int) -> Answer:
        if offset == 99:
            while 198 not in self.asked:
                await asyncio.sleep(0)
            del self.rows[120]
        return await super().ask(offset)


def test_a_row_that_left_after_the_last_page_was_answered_need_not_have_come():
    rows = [row(key, key) for key in range(250)]
    pages, reader = read(LastPageFirst(list(rows)))
    assert told(pages) == names(rows) - names([rows[120]]) and reader.is_whole


@pytest.mark.parametrize("seed", range(60))
def test_customers_removed_and_added_while_they_are_read_hide_none_of_the_others(seed):
    """The total may stay the same throughout."""
    print(f"seed={seed}")
    chance = random.Random(seed)
    rows = [row(key, 0) for key in range(chance.randrange(150, 900))]
    removed: set[tuple] = set()

    def churn(changing: ChangingList) -> None:
        for _ in range(chance.choice([0, 1, 1, 3])):
            removed.update(names([changing.rows.pop(chance.randrange(len(changing.rows)))]))
            changing.rows.append(row(10_000 + len(removed), 0))
            edited = chance.randrange(len(changing.rows))
            changing.rows[edited] = row(int(changing.rows[edited]["id"]), 5)

    churning = ChangingList(list(rows), change=churn)
    pages, reader = read(churning, is_sorted_by_modification=False, ahead=chance.choice([1, 2, 8]))
    seen = {key for key, _ in told(pages)}
    stayed = {key for key, _ in names(rows)} - {key for key, _ in removed}
    assert stayed <= seen and "reached_end=True" in str(reader)


def test_a_shift_between_two_pages_is_seen_though_the_total_stays_the_same(caplog):
    def once(changing: ChangingList) -> None:
        if len(changing.asked) == 1:
            del changing.rows[10]
            changing.rows.append(row(9999, 9999))

    rows = [row(key, key) for key in range(300)]
    with caplog.at_level("INFO", logger="include.sources"):
        pages, reader = read(ChangingList(list(rows), change=once), ahead=1)
    assert names(rows) <= told(pages) and reader.is_whole
    assert caplog.messages == ["list_moved resource=orders at=99 again_from=90"]


def test_half_of_a_long_list_gone_at_once_is_found_again():
    def once(changing: ChangingList) -> None:
        if len(changing.asked) == 20:
            del changing.rows[50:1550]

    rows = [row(key, key) for key in range(3000)]
    pages, reader = read(ChangingList(list(rows), change=once), ahead=2)
    assert names(rows[:50] + rows[1550:]) <= told(pages) and reader.is_whole


def test_rows_that_our_key_may_not_see_end_the_reading_and_make_the_list_unwhole():
    class Guarded(ChangingList):
        async def ask(self, offset: int) -> Answer:
            answer = await super().ask(offset)
            seen = [each for each in msgspec.json.decode(answer.body) if each["id"] % 100 < 90]
            return answer_of(seen, int(answer.headers["X-WP-Total"]))

    guarded = Guarded([row(key, key) for key in range(1000)])
    _, reader = read(guarded)
    assert not reader.is_whole and "total=1000" in str(reader)
    assert len(guarded.asked) < 10 * SETBACKS


def test_a_cache_that_always_gives_the_first_page_makes_the_list_unwhole():
    class Cached(ChangingList):
        async def ask(self, offset: int) -> Answer:
            return await super().ask(0)

    _, reader = read(Cached([row(key, key) for key in range(500)]))
    assert not reader.is_whole and "different_rows=100" in str(reader)


def test_rows_without_a_readable_id_count_by_their_bytes_and_their_number_among_equals():
    class Mangled(ChangingList):
        async def ask(self, offset: int) -> Answer:
            answer = await super().ask(offset)
            rows = [{**each, "id": None} for each in msgspec.json.decode(answer.body)]
            return answer_of(rows, int(answer.headers["X-WP-Total"]))

    for key in (7, 2**63, -(2**70)):
        same = ChangingList([row(key, 1), row(key, 1), row(8, 1)])
        assert read(same)[1].is_whole is (not -(2**63) <= key < 2**63)
    mangled = Mangled([row(1, key // 2) for key in range(250)])
    assert read(mangled)[1].is_whole


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'[{"id": 1}', msgspec.json.encode([{}] * (PER_PAGE + 1))])
def test_what_is_no_page_of_rows_or_too_long_a_one_is_refused(body):
    with pytest.raises(ValueError, match=r".+"):
        read_page(body)


def test_an_old_answer_of_another_window_is_refused_to_the_second():
    after, before = "2024-01-01T00:00:09", "2024-01-01T00:00:20"
    inside = [row(1, 10), row(2, 19), {"id": 3}]
    assert len(read_page(msgspec.json.encode(inside), after=after, before=before)) == 3
    for second in (9, 20):
        with pytest.raises(ValueError, match="outside of what was asked for"):
            read_page(msgspec.json.encode([*inside, row(4, second)]), after=after, before=before)


def peak_bytes(count: int) -> int:
    class Endless(ChangingList):
        async def ask(self, offset: int) -> Answer:
            self.rows = []
            chosen = [row(key, key) for key in range(offset, min(offset + PER_PAGE, count))]
            return answer_of(chosen, count)

    reader = ListReader(Endless([]).ask, is_sorted_by_modification=True, ahead=16, name="resource=orders")

    async def drain() -> int:
        return sum([1 async for _ in reader.answers()])

    tracemalloc.start()
    assert asyncio.run(drain()) > 1 and reader.is_whole
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_by_little_more_than_the_ids_however_long_the_list():
    short, long = 5_000, 100_000
    assert peak_bytes(long) < peak_bytes(short) + 4 * 8 * long  # ids, and their sorted copies at the end


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_pages_are_under_way_than_allowed(ahead):
    still = ChangingList([row(key, key) for key in range(2000)])
    read(still, ahead=ahead)
    assert still.most_under_way == ahead


def test_a_page_says_how_many_of_its_rows_the_page_before_it_ended_with_unchanged():
    async def repeated(shop: ChangingList) -> list[int]:
        reader = ListReader(shop.ask, is_sorted_by_modification=False, ahead=1, name="resource=customers")
        return [answer.repeated_rows async for answer in reader.answers()]

    def edit_the_last_of_the_first_page(shop: ChangingList) -> None:
        if len(shop.asked) == 1:
            shop.rows[PER_PAGE - 1] = {**shop.rows[PER_PAGE - 1], "date_modified_gmt": "2024-02-02T00:00:00"}

    rows = [{"id": number, "date_modified_gmt": "2024-01-01T00:00:00"} for number in range(250)]
    assert asyncio.run(repeated(ChangingList(list(rows)))) == [0, 1, 1]
    assert asyncio.run(repeated(ChangingList(list(rows), change=edit_the_last_of_the_first_page))) == [0, 0, 1]
