"""An Online Retail file as columns of text: decompressed, decoded, with the eight columns it must have.

Compression is told by the first bytes (gzip, xz, zstandard), not by the name. Text is UTF-8 with or without a
byte order mark, else Latin-1. A header that comes again further down, as when two exports were joined with
`cat`, is no data line. Nothing else is dropped: what cannot be read is refused with its line.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from include.sources.files.online_retail.errors import ExportRefused

COLUMNS = ("invoice", "stock_code", "description", "quantity", "invoiced_at", "price", "customer_id", "country")
_HEADERS = {
    "invoiceno": "invoice",
    "invoice": "invoice",
    "stockcode": "stock_code",
    "description": "description",
    "quantity": "quantity",
    "invoicedate": "invoiced_at",
    "unitprice": "price",
    "price": "price",
    "customerid": "customer_id",
    "country": "country",
}
_EXPECTED = (
    "InvoiceNo (or Invoice), StockCode, Description, Quantity, InvoiceDate, UnitPrice (or Price), "
    "CustomerID (or Customer ID), Country"
)
LINE_NUMBER = "line_number"


def read_columns(path: Path) -> pa.Table:
    """The file's data lines, every cell as text, in the file's order.

    :returns: the columns of `COLUMNS` and `line_number`, the line's number in the file, the header being line 1.
    :raises ExportRefused: not readable, not an Online Retail export, or without data lines.
    """
    text = _decoded(_decompressed(path), path)
    header, _, _ = text.partition(b"\n")
    if not header.strip():
        raise ExportRefused(f"{path} is empty or its first line is. Give an Online Retail export with its header line.")
    delimiter = max(",;\t", key=header.decode().count)
    names = _header_names(header, path, delimiter=delimiter)
    table = _parsed(text, path, names=names, delimiter=delimiter)
    table = table.append_column(LINE_NUMBER, pa.array(np.arange(2, len(table) + 2)))
    table = table.filter(pc.invert(_is_header(table)))
    if not len(table):
        raise ExportRefused(f"{path} has a header but no data lines. Give an export with at least one invoice line.")
    return table


def _decompressed(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ExportRefused(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from None
    try:
        if raw.startswith(b"\x1f\x8b"):
            return gzip.decompress(raw)
        if raw.startswith(b"\xfd7zXZ\x00"):
            return lzma.decompress(raw)
        if raw.startswith(b"\x28\xb5\x2f\xfd"):
            return bytes(pa.CompressedInputStream(pa.BufferReader(raw), "zstd").read())
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise ExportRefused(
            f"{path} is a damaged or incomplete archive: {error}. Download or compress it again."
        ) from None
    return raw


def _decoded(raw: bytes, path: Path) -> bytes:
    """The text in UTF-8 without a byte order mark."""
    if raw.startswith(b"PK\x03\x04"):
        raise ExportRefused(f"{path} is a zip archive or an Excel workbook. Export it as CSV and give that file.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in raw:
        raise ExportRefused(f"{path} is not text in UTF-8 or Latin-1. Save it as CSV in UTF-8.")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1").encode("utf-8")
    return raw


def _header_names(header: bytes, path: Path, *, delimiter: str) -> list[str]:
    """The header's names as they stand in the file, once it is sure that they are the eight expected ones."""
    names = next(csv.reader([header.decode().rstrip("\r")], delimiter=delimiter))
    meanings_of(names, path)
    return names


def meanings_of(names: Sequence[str], file: object) -> list[str]:
    """The names of `COLUMNS` that a header stands for, in its order.

    :raises ExportRefused: it is not a header of Online Retail; the message names the file.
    """
    meanings = [_meaning(name) for name in names]
    unknown = [name for name, meaning in zip(names, meanings, strict=True) if meaning is None]
    missing = [column for column in COLUMNS if column not in meanings]
    doubled = sorted({str(meaning) for meaning in meanings if meaning and meanings.count(meaning) > 1})
    problems = [
        f"has unknown columns {unknown}" if unknown else "",
        f"lacks {missing}" if missing else "",
        f"has several columns for {doubled}" if doubled else "",
    ]
    if any(problems):
        raise ExportRefused(
            f"{file} is not an Online Retail export: its header {list(names)} "
            f"{' and '.join(filter(None, problems))}. "
            f"Expected exactly: {_EXPECTED}. Rename or remove columns so that these eight are left."
        )
    return [str(meaning) for meaning in meanings]


def _meaning(name: str) -> str | None:
    return _HEADERS.get(re.sub(r"[\s_\ufeff]", "", name).lower())


def _parsed(text: bytes, path: Path, *, names: list[str], delimiter: str) -> pa.Table:
    broken: list[pyarrow.csv.InvalidRow] = []

    def remember(row: pyarrow.csv.InvalidRow) -> str:
        broken.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise ExportRefused(
            f"{path} cannot be parsed as CSV: {error}. Check its quoting, or export it again."
        ) from None
    if broken:
        row = broken[0]
        raise ExportRefused(
            f"{path} line {row.number}: {row.actual_columns} cells where the header has {row.expected_columns}. "
            "Check the line's quoting, or export the file again."
        )
    return table.rename_columns(meanings_of(names, path)).select(list(COLUMNS))


def _is_header(table: pa.Table) -> pa.ChunkedArray:
    """Marks lines that hold the header again."""
    return pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(table["quantity"])), "quantity")
