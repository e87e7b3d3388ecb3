"""CSV as raw records: whole rows of bytes, cut where the quotes say, so that a broken one harms no other.

Cells are parted by comma, semicolon or tab, whichever the header has most of. A cell that begins with a quote ends
with one; a quote inside of it is doubled; it may hold line breaks. Blank lines, and the header where it comes again,
are no rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from include.sources.parsing import RowRejected

LONGEST_LINE = 64 * 1024 * 1024
MOST_LINES = 1000
"""How many lines of text one row may hold: how far a quote that is never closed is followed."""
_MARK = b"\xef\xbb\xbf"


class NotCsv(ValueError):
    """The file has no header, or a line that no row can be."""


class Record(NamedTuple):
    """One raw row.

    :param line: the number of its first line in the file, the header being line 1.
    :param is_open: it has a quote without its partner, so it would swallow what is put behind it.
    """

    line: int
    raw: bytes
    is_open: bool


@dataclass(frozen=True, slots=True)
class CsvForm:
    """What the header of a file says.

    :param header: its raw line without the line's end and byte order mark.
    """

    header: bytes
    names: tuple[str, ...]
    delimiter: str
    encoding: str = "utf-8"

    @classmethod
    def of(cls, header: bytes, *, encoding: str = "utf-8") -> CsvForm:
        """:raises NotCsv: the header is empty, cannot be read, or names a column twice."""
        bare = _without_end(header.removeprefix(_MARK))
        delimiter = max(",;\t", key=lambda each: bare.count(each.encode()))
        try:
            names = tuple(name.strip() for name in _cells(bare.decode(encoding), delimiter))
        except (UnicodeDecodeError, RowRejected) as error:
            raise NotCsv(f"line 1, the header, cannot be read ({error})") from None
        doubled = sorted({name for name in names if names.count(name) > 1})
        if not bare.strip() or doubled:
            raise NotCsv(f"its header names {doubled} twice" if doubled else "it has no header line")
        return cls(bare, names, delimiter, encoding)

    def cells(self, raw: bytes) -> list[str]:
        """The cells of one record.

        :raises RowRejected: not as many as the header has, not of its encoding, or with a NUL or a stray quote.
        """
        if b"\x00" in raw:
            raise RowRejected("nul_character", "the row holds a NUL character, which cannot be stored")
        try:
            text = _without_end(raw).decode(self.encoding)
        except UnicodeDecodeError as error:
            raise RowRejected("encoding", f"byte {error.start + 1} of the row is no {self.encoding.upper()}") from None
        cells = text.split(self.delimiter) if '"' not in text else _cells(text, self.delimiter)
        if len(cells) != len(self.names):
            raise RowRejected("cells", f"the row has {len(cells)} cells where the header has {len(self.names)}")
        return cells


def read_form(stream: BinaryIO, *, encoding: str = "utf-8") -> CsvForm:
    """The form of a file, from its first line.

    :raises NotCsv: there is none.
    """
    return CsvForm.of(_line(stream, 1), encoding=encoding)


def records(stream: BinaryIO, form: CsvForm) -> Iterator[Record]:
    """The rows behind the header, one after the other.

    What a quote without partner would swallow is given back: the line that it stands on is a row alone.

    :raises NotCsv: a line is longer than `LONGEST_LINE`.
    """
    delimiter, width = form.delimiter.encode(), len(form.names)
    ahead: deque[bytes] = deque()
    number = 1
    while line := ahead.popleft() if ahead else _line(stream, number + 1):
        number += 1
        bare = _without_end(line)
        if not bare or bare.removeprefix(_MARK) == form.header:
            continue
        is_open, _, _ = _scan(line, delimiter, is_open=False)
        if not is_open:
            yield Record(number, line, False)
            continue
        following = _closing(line, ahead, stream, number, delimiter=delimiter, width=width)
        yield Record(number, line + b"".join(following), not following)
        number += len(following)


def _closing(
    line: bytes, ahead: deque[bytes], stream: BinaryIO, number: int, *, delimiter: bytes, width: int
) -> list[bytes]:
    """The lines that make a whole row of one whose quote is open; none, and all kept `ahead`, if nothing does."""
    _, count, is_clean = _scan(line, delimiter, is_open=False)
    taken: list[bytes] = []
    is_open, size = True, len(line)
    while is_open and is_clean and len(taken) < MOST_LINES and size <= LONGEST_LINE:
        following = ahead.popleft() if ahead else _line(stream, number + len(taken) + 1)
        if not following:
            break
        taken.append(following)
        is_open, more, is_clean = _scan(following, delimiter, is_open=True)
        count, size = count + more, size + len(following)
    if not is_open and is_clean and count + 1 == width:
        return taken
    ahead.extendleft(reversed(taken))
    return []


def _scan(line: bytes, delimiter: bytes, *, is_open: bool) -> tuple[bool, int, bool]:
    """Whether a quote is open at the end of the line, how many cells ended in it, and whether all quotes fit."""
    if not is_open and b'"' not in line:
        return False, line.count(delimiter), True
    count, place, is_clean = 0, 0, True
    while True:
        if is_open:
            end = line.find(b'"', place)
            if end < 0:
                return True, count, is_clean
            place = end + 1
            if line[place : place + 1] == b'"':
                place += 1
                continue
            is_open = False
            is_clean = is_clean and line[place : place + 1] in (delimiter, b"\r", b"\n", b"")
        elif line[place : place + 1] == b'"':
            is_open, place = True, place + 1
            continue
        end = line.find(delimiter, place)
        if end < 0:
            return False, count, is_clean
        count, place = count + 1, end + 1


def _cells(text: str, delimiter: str) -> list[str]:
    """The cells of a record with quotes in it."""
    cells: list[str] = []
    place = 0
    while True:
        if text.startswith('"', place):
            cell, place = _quoted(text, place)
            cells.append(cell)
            if place == len(text):
                return cells
            if text[place] != delimiter:
                raise RowRejected("quotes", "text stands behind a closing quote; a quote inside of a cell is doubled")
            place += 1
            continue
        end = text.find(delimiter, place)
        if end < 0:
            cells.append(text[place:])
            return cells
        cells.append(text[place:end])
        place = end + 1


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The cell that begins with the quote at `start`, and the place behind its closing quote."""
    place = start + 1
    while (end := text.find('"', place)) >= 0:
        if not text.startswith('""', end):
            return text[start + 1 : end].replace('""', '"'), end + 1
        place = end + 2
    raise RowRejected("quotes", "a quote is opened and never closed")


def _line(stream: BinaryIO, number: int) -> bytes:
    line = stream.readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise NotCsv(f"line {number} is longer than {LONGEST_LINE:,} bytes")
    return line


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
