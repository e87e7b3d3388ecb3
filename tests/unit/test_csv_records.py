"""CSV cut into raw rows: nothing lost, a broken row alone, and a page's rows the same as the file's."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.sources.files.csv_records import CsvForm, NotCsv, read_form, records
from include.sources.files.rows import csv_chunks, csv_rows
from include.sources.parsing import RowRejected
from tests.properties import examples

CELLS = st.text(alphabet='ab,;"\n\r\t é', max_size=6)
TABLES = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=8)
)
HEADER = b"first,second,third\n"
WILD = st.lists(
    st.sampled_from([b"a,b,c\n", b'"a,b,c\n', b'a","b,c\n', b"a,b\n", b'"x\n', b'y",b,c\n', b"\xff,b,c\r\n", HEADER,
                     b"\n", b'"q""q",b,c\n', b'a,"b\n', b'b",c\n', b'a,b,"c"d\n', b'"', b"a,\x00,c\n"]),
    max_size=14,
).map(b"".join)  # fmt: skip


def cut(content: bytes) -> list[tuple[int, bytes]]:
    stream = io.BytesIO(content)
    form = read_form(stream)
    return [(record.line, record.raw) for record in records(stream, form)]


@examples(300)
@given(table=TABLES, delimiter=st.sampled_from(",;\t"), ending=st.sampled_from(["\r\n", "\n"]))
def test_the_cells_are_those_that_were_written(table, delimiter, ending):
    names = [f"column_{number}" for number in range(len(table[0]))]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([names, *table])
    stream = io.BytesIO(out.getvalue().encode())
    form = read_form(stream)
    assert list(form.names) == names
    assert [form.cells(record.raw) for record in records(stream, form)] == table


@examples(300)
@given(content=WILD)
def test_every_line_of_text_stands_in_exactly_one_row(content):
    found = cut(HEADER + content)
    kept = b"".join(raw for _, raw in found)

    def texts(raw: bytes) -> list[bytes]:
        return [line for line in raw.split(b"\n") if line.strip(b"\r") and line != HEADER.strip()]

    assert texts(kept) == texts(content)
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))
    for number, raw in found:
        assert (HEADER + content).split(b"\n")[number - 1] == raw.split(b"\n")[0]


@examples(300)
@given(content=WILD, rows=st.integers(1, 5), data=st.data())
def test_any_rows_of_a_chunk_put_on_a_page_are_found_there_again(content, rows, data):
    for chunk in csv_chunks(io.BytesIO(HEADER + content), rows=rows):
        places = [place for place in range(len(chunk)) if data.draw(st.booleans())]
        again = csv_rows(chunk.content(places), [chunk.numbers[place] for place in places])
        assert list(again.numbers) == [chunk.numbers[place] for place in places]
        assert [again.text(place) for place in range(len(again))] == [chunk.text(place) for place in places]


@examples(200)
@given(content=WILD, rows=st.integers(1, 5))
def test_chunks_of_any_size_hold_the_same_rows(content, rows):
    chunks = list(csv_chunks(io.BytesIO(HEADER + content), rows=rows))
    whole = cut(HEADER + content)
    assert [number for chunk in chunks for number in chunk.numbers] == [number for number, _ in whole]
    assert [chunk.raw(place) for chunk in chunks for place in range(len(chunk))] == [raw for _, raw in whole]
    assert all(len(chunk) <= rows for chunk in chunks)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (b"1,2\n", "cells"),
        (b"1,2,3,4\n", "cells"),
        (b"1,\x00,3\n", "nul_character"),
        (b"1,\xc3\x28,3\n", "encoding"),
        (b'1,"2,3\n', "quotes"),
        (b'1,"2"x,3\n', "quotes"),
    ],
)
def test_a_broken_row_is_refused_alone(broken, rule):
    stream = io.BytesIO(HEADER + b"a,b,c\n" + broken + b'd,"e\ne",f\n')
    form = read_form(stream)
    outcome = []
    for record in records(stream, form):
        try:
            outcome.append(form.cells(record.raw))
        except RowRejected as error:
            outcome.append(error.rule_id)
    assert outcome == [["a", "b", "c"], rule, ["d", "e\ne", "f"]]


def test_a_quote_that_is_never_closed_swallows_no_more_than_its_line():
    rows = b"".join(b"%d,b,c\n" % number for number in range(3000))
    found = cut(HEADER + b'"open,b,c\n' + rows)
    assert len(found) == 3001
    assert found[0] == (2, b'"open,b,c\n')


@pytest.mark.parametrize("header", [b"", b"\n1,2\n", b"a,a\n", b'"a,b\n', b"\xff,b\n"])
def test_a_file_without_a_readable_header_is_none(header):
    with pytest.raises(NotCsv):
        read_form(io.BytesIO(header))


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert CsvForm.of(b"\xef\xbb\xbffirst;second\r\n").names == ("first", "second")


def test_a_line_beyond_all_bounds_is_refused(monkeypatch):
    monkeypatch.setattr("include.sources.files.csv_records.LONGEST_LINE", 100)
    with pytest.raises(NotCsv, match="line 3 is longer"):
        cut(HEADER + b"1,2,3\n" + b"x" * 200 + b"\n")
