"""Files and pages of files damaged byte by byte: refused as a whole, or every raw row is a record or a rejection."""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.judge import judge_page
from include.sources.errors import ContractBroken
from include.sources.source import Page, Source
from tests.file_folders import WRITERS, example, pages_of, source_of
from tests.unit.test_parsers_fuzz import FUZZ, cut, flipped, stuffed

EVERY_ENTITY = pytest.mark.parametrize("entity", list(ENTITIES))
RETAIL = ("customers", "products", "orders", "refunds")
EXPORT = b'''InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
536365,POST,"POSTAGE, ""fast""",3,2010-12-01 08:26:00,18.00,17850,United Kingdom
536366,22197,,56,2010-12-01 09:00:00,0.0,,France
C536379,D,Discount,-1,2010-12-01 09:41:00,27.50,14527,United Kingdom
C536383,35004C,SET OF 3,-1,2010-12-02 09:49:00,4.65,17850,Norway
536369,22752,NEST BOXES,1,2010-12-02 09:06:00,4.99,13047,France
'''


def always(source: Source) -> Window:
    """Every time that there is, with room for looking back."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return Window(first + source.entity.look_back, last)


def folder_of(folder: str, entity: str, format: str) -> Path:
    """Three good records, those of a child beside them; gives the file of the entity."""
    records = [example(entity, number) for number in (11, 12, 13)]
    return WRITERS[format](Path(folder), ENTITIES[entity], records)


def retail(folder: str, entity: str) -> Source:
    return source_of(folder, entity, extra={"layout": "online_retail"})


def damaged(body: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(flipped(body), cut(body), stuffed(body), stuffed(body).flatmap(stuffed))


def assert_every_row_is_accounted_for(source: Source, page: Page, window: Window) -> int:
    """The rows of a page that the source can take apart are records or rejections; gives how many."""
    raw = source.split(page.body, window)
    judged = judge_page(source, page, window)
    own = [each for each in judged.rejections if each.entity == source.entity.name]
    assert judged.rows.num_rows + len({each.position for each in own}) == len(raw)
    assert len(own) == len({each.position for each in own})
    for each in judged.rejections:
        assert each.reason and each.rule_id
        row, _, line = each.position.partition(".")
        place = raw[int(row)]
        assert each.payload == (source.split_lines(place)[int(line)] if line else place)
        json.loads(each.payload)
    return len(raw)


def check_page(source: Source, body: bytes) -> None:
    """Refused as a page, by every reader of it, or accounted for."""
    window = always(source)
    page = Page(body=body, request="a file", received_at=datetime.now(UTC))
    try:
        source.split(body, window)
    except ValueError:
        with pytest.raises(ValueError):
            judge_page(source, page, window)
        return
    assert_every_row_is_accounted_for(source, page, window)


def parts_of(page: Page, entity: str) -> list[bytes]:
    """The parts of a page that hold rows of an entity, as the page's first line says."""
    index, _, rest = page.body.partition(b"\n")
    parts, start = [], 0
    for part in json.loads(index)["parts"]:
        if part["entity"] == entity:
            parts.append(rest[start : start + part["size"]])
        start += part["size"]
    return parts


def lines_of(content: bytes) -> Counter[bytes]:
    """The lines of text behind a header, apart from blank ones and the header where it comes again."""
    header, *lines = content.split(b"\n")
    bare = [line.removesuffix(b"\r") for line in lines]
    head = header.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf")
    return Counter(line for line in bare if line and line.removeprefix(b"\xef\xbb\xbf") != head)


@EVERY_ENTITY
@pytest.mark.parametrize("format", list(WRITERS))
@FUZZ
@given(data=st.data())
def test_a_damaged_page_of_a_file_is_refused_or_every_row_of_it_is_accounted_for(entity, format, data):
    with tempfile.TemporaryDirectory() as folder:
        folder_of(folder, entity, format)
        source = source_of(folder, entity)
        (page,) = pages_of(source)
    check_page(source, data.draw(damaged(page.body)))


@pytest.mark.parametrize("entity", RETAIL)
@FUZZ
@given(data=st.data())
def test_a_damaged_page_of_an_export_is_refused_or_every_row_of_it_is_accounted_for(entity, data):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.csv").write_bytes(EXPORT)
        source = retail(folder, entity)
        (page,) = pages_of(source)
    check_page(source, data.draw(damaged(page.body)))


def read_damaged(data, entity, kind, *, rows):
    """The source of a folder with a damaged file, the file's bytes, and its pages; None if it was refused in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = folder_of(folder, entity, kind)
        content = data.draw(damaged(path.read_bytes()))
        path.write_bytes(content)
        source = source_of(folder, entity, rows=rows)
        try:
            return source, content, pages_of(source, always(source))
        except ContractBroken as error:
            assert "Nothing was loaded" in str(error)
            return source, content, None


@EVERY_ENTITY
@FUZZ
@given(data=st.data(), rows=st.integers(1, 4))
def test_every_line_of_a_damaged_csv_file_is_on_a_page_and_a_record_or_a_rejection(entity, data, rows):
    source, content, pages = read_damaged(data, entity, "csv", rows=rows)
    if pages is None:
        return
    for page in pages:
        assert_every_row_is_accounted_for(source, page, always(source))
    landed = sum((lines_of(part) for page in pages for part in parts_of(page, entity)), Counter[bytes]())
    assert landed == lines_of(content)


@EVERY_ENTITY
@FUZZ
@given(data=st.data(), rows=st.integers(1, 4))
def test_every_row_of_a_damaged_parquet_file_is_on_a_page_and_a_record_or_a_rejection(entity, data, rows):
    source, content, pages = read_damaged(data, entity, "parquet", rows=rows)
    if pages is None:
        return
    held = sum(assert_every_row_is_accounted_for(source, page, always(source)) for page in pages)
    assert held == parquet.read_metadata(io.BytesIO(content)).num_rows


@FUZZ
@given(data=st.data(), lines=st.integers(1, 4))
def test_every_line_of_a_damaged_export_is_in_an_order_or_a_refund_or_rejected(data, lines):
    with tempfile.TemporaryDirectory() as folder:
        content = data.draw(damaged(EXPORT))
        (Path(folder) / "a.csv").write_bytes(content)
        landed: Counter[bytes] = Counter()
        for entity in RETAIL:
            source: Any = retail(folder, entity)
            source._page_lines = lines
            try:
                pages = pages_of(source, always(source))
            except ContractBroken as error:
                assert "Nothing was loaded" in str(error)
                return
            for page in pages:
                assert_every_row_is_accounted_for(source, page, always(source))
                if entity in ("orders", "refunds"):
                    landed += sum(map(lines_of, parts_of(page, entity)), Counter[bytes]())
    assert landed == lines_of(content)


@EVERY_ENTITY
@pytest.mark.parametrize("format", list(WRITERS))
def test_an_undamaged_file_is_taken_whole(tmp_path, entity, format):
    """The fuzzing starts from files that are good, so that damage is what is judged."""
    folder_of(str(tmp_path), entity, format)
    source = source_of(tmp_path, entity)
    (page,) = pages_of(source)
    judged = judge_page(source, page, always(source))
    assert (judged.rows.num_rows, judged.rejections) == (3, [])
