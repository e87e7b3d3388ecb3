"""One export as a file source reads it: every row as raw bytes, and what the readable ones say.

The replay refuses a file with an unreadable line; here such a line stands apart, to be quarantined alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from include.sources.files.csv_records import CsvForm, Record
from include.sources.files.online_retail.dates import DateOrderUnclear, DateReader
from include.sources.files.online_retail.errors import ExportRefused
from include.sources.files.online_retail.lines import Column, Typed, typed_lines
from include.sources.files.online_retail.reading import COLUMNS, meanings_of
from include.sources.parsing import RowRejected


@dataclass(frozen=True, slots=True)
class Export:
    """The rows of one export.

    :param records: every row behind the header.
    :param typed: the readable ones; its places are those of `sound`.
    :param sound: the places among `records` of the rows that could be taken apart.
    :param broken: place among `records` and reason of each row that is not among the lines.
    """

    form: CsvForm
    records: Sequence[Record]
    typed: Typed
    sound: Sequence[int]
    broken: Sequence[tuple[int, RowRejected]]
    is_day_first: bool | None

    @property
    def places(self) -> list[int]:
        """Of each of the lines its place among `records`."""
        return [self.sound[place] for place in self.typed.places.tolist()]


def export_of(
    records: Sequence[Record], form: CsvForm, file: str, *, is_day_first: bool | None = None, is_whole: bool = True
) -> Export:
    """Take apart and parse the rows of one file.

    :param is_day_first: the order of day and month, if it is known.
    :param is_whole: the rows are all of the file, so that its dates show their order.
    :raises ExportRefused: the header is not Online Retail's, or the dates have both orders of day and month.
    """
    meanings = meanings_of(form.names, file)
    codes = [array("q") for _ in meanings]
    texts: list[dict[str, int]] = [{} for _ in meanings]
    sound: list[int] = []
    broken: list[tuple[int, RowRejected]] = []
    for place, record in enumerate(records):
        try:
            cells = form.cells(record.raw)
        except RowRejected as error:
            broken.append((place, error))
            continue
        sound.append(place)
        for cell, code, known in zip(cells, codes, texts, strict=True):
            code.append(known.setdefault(cell, len(known)))
    columns = {
        name: Column(np.array(code, dtype=np.int64), list(known))
        for name, code, known in zip(meanings, codes, texts, strict=True)
    }
    try:
        dates = DateReader(columns["invoiced_at"].values if is_whole else (), is_day_first=is_day_first)
    except DateOrderUnclear as error:
        raise ExportRefused(f"{file} mixes orders of day and month: {error}. Write all dates as YYYY-MM-DD.") from None
    typed = typed_lines({name: columns[name] for name in COLUMNS}, dates)
    broken += [(sound[cell.place], RowRejected("cell", str(cell))) for cell in typed.broken]
    return Export(form, records, typed, sound, sorted(broken, key=lambda each: each[0]), dates.is_day_first)
