"""Landing: a batch is there whole, byte for byte, or it is not there at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.window import Window
from include.ingestion.errors import LandingDamaged, LandingNotWritable
from include.ingestion.landing import BatchWriter, Landing, compressed
from include.sources.errors import SourceUnreachable
from include.sources.source import Page
from tests.properties import examples
from tests.unit.source_pages import good_body, source
from tests.warehouse_stores import StoresInMemory, service_over

NOW = datetime(2024, 3, 9, 4, 5, 6, tzinfo=UTC)
WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC))


def page(body: bytes, *, number: int = 1) -> Page:
    return Page(body=body, request=f"/orders?page={number}", received_at=NOW, context={"currency": "EUR"})


def begin(landing: Landing) -> BatchWriter:
    return landing.open_batch(source="shop_api", entity="orders", window=WINDOW, now=NOW)


def land(landing: Landing, *bodies: bytes) -> str:
    batch = begin(landing)
    for number, body in enumerate(bodies, start=1):
        batch.write(page(body, number=number), rows=number)
    return batch.close()


def everything_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@examples(30)
@given(bodies=st.lists(st.binary(max_size=200), max_size=4))
def test_pages_come_back_byte_for_byte_in_order_with_what_was_asked(tmp_path_factory, bodies):
    landing = Landing(tmp_path_factory.mktemp("landing"))
    name = land(landing, *bodies)
    assert [each for _, each in landing.pages(name)] == [
        page(body, number=number) for number, body in enumerate(bodies, start=1)
    ]
    assert landing.manifest(name).rows == sum(range(1, len(bodies) + 1))


def test_pages_that_are_written_side_by_side_keep_their_order(tmp_path):
    landing = Landing(tmp_path)
    batch = begin(landing)
    for number in (3, 1, 2):
        batch.write_at(number, page(b"%d" % number, number=number), rows=1)
    found = [(file, read.body) for file, read in landing.pages(batch.close())]
    assert found == [("page-00001.zst", b"1"), ("page-00002.zst", b"2"), ("page-00003.zst", b"3")]


def test_a_batch_is_nowhere_to_be_seen_until_it_is_complete(tmp_path):
    landing = Landing(tmp_path)
    batch = begin(landing)
    batch.write(page(b"[]"), rows=0)
    assert list(landing.batches()) == []
    name = batch.close()
    assert list(landing.batches()) == [name]


class _Stream:
    """A source that gives some pages and then breaks."""

    def __init__(self, bodies: list[bytes], error: Exception | None = None) -> None:
        orders = source("orders")
        self.entity, self.name, self.split = orders.entity, orders.name, orders.split
        self._bodies, self._error = bodies, error

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        for body in self._bodies:
            yield page(body)
        if self._error is not None:
            raise self._error


def test_a_source_that_breaks_half_way_leaves_nothing_behind(tmp_path):
    broken = _Stream([good_body("orders")] * 3, SourceUnreachable("the shop went away"))
    with pytest.raises(SourceUnreachable, match="went away"):
        asyncio.run(service_over(StoresInMemory(), broken, Landing(tmp_path), now=NOW).extract(WINDOW))
    assert everything_in(tmp_path) == []


def test_a_page_that_cannot_be_counted_leaves_nothing_behind(tmp_path):
    broken = _Stream([good_body("orders"), b"<html>"])
    with pytest.raises(ValueError, match="malformed"):
        asyncio.run(service_over(StoresInMemory(), broken, Landing(tmp_path), now=NOW).extract(WINDOW))
    assert everything_in(tmp_path) == []


def test_two_batches_of_one_window_at_one_instant_stand_side_by_side(tmp_path):
    landing = Landing(tmp_path)
    first, second = land(landing, b"one"), land(landing, b"two")
    assert first != second
    assert [each.body for name in (first, second) for _, each in landing.pages(name)] == [b"one", b"two"]


def test_a_changed_missing_or_cut_file_is_named_with_what_to_do(tmp_path):
    landing = Landing(tmp_path)
    name = land(landing, b"one", b"two")
    file = tmp_path / name / "page-00002.zst"
    whole = file.read_bytes()
    for damage, what in (
        (compressed(b"2wo"), "is not what was written"),
        (whole[: len(whole) // 2], "cannot be read"),
        (whole[:4] + b"\xff\xff\xff" + whole[7:], "cannot be read"),
        (b"no page at all", "cannot be read"),
        (None, "cannot be read"),
    ):
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        with pytest.raises(LandingDamaged, match=rf"page-00002\.zst {what}.*Clear the extract task"):
            list(landing.pages(name))
        file.write_bytes(whole)
    assert [each.body for _, each in landing.pages(name)] == [b"one", b"two"]


@pytest.mark.parametrize("manifest", [None, b"", b"{}", b"\xff", b'{"source": 1}'])
def test_a_batch_without_a_readable_manifest_is_named_with_what_to_do(tmp_path, manifest):
    landing = Landing(tmp_path)
    name = land(landing, b"one")
    (tmp_path / name / "manifest.json").unlink()
    if manifest is not None:
        (tmp_path / name / "manifest.json").write_bytes(manifest)
    with pytest.raises(LandingDamaged, match=rf"{name} has no readable manifest.*Clear the extract task"):
        list(landing.pages(name))


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LandingNotWritable, match=r"file cannot be written \(File exists\).*REGULARS_LANDING"):
        begin(Landing(tmp_path / "file"))


def test_a_folder_that_turns_read_only_while_pages_come_leaves_no_batch(tmp_path):
    batch = begin(Landing(tmp_path))
    batch.write(page(b"one"), rows=1)
    batch.discard()  # the folder is gone, as an unmounted disk would be
    with pytest.raises(LandingNotWritable, match="cannot be written"):
        batch.write(page(b"two"), rows=1)
    with pytest.raises(LandingNotWritable, match="cannot be written"):
        batch.close()
    assert everything_in(tmp_path) == []


def test_folders_sort_by_window_and_by_when_they_were_read(tmp_path):
    landing = Landing(tmp_path)
    later = landing.open_batch(source="s", entity="orders", window=WINDOW, now=NOW + timedelta(seconds=1)).close()
    earlier = landing.open_batch(source="s", entity="orders", window=WINDOW, now=NOW).close()
    assert sorted([later, earlier]) == [earlier, later]


def test_nobody_but_its_owner_can_look_into_landing(tmp_path):
    begin(Landing(tmp_path / "landing")).close()
    assert (tmp_path / "landing").stat().st_mode & 0o777 == 0o700
