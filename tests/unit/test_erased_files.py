"""Pages of CSV and Parquet rows without a customer: the rest of the file as it was."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from include.ingestion.erased_files import files_without_person, is_page_of_files, rows_of_files
from include.ingestion.person import Person
from include.sources.files.pages import Part, page_of, parts_of, rows_in
from include.sources.files.rows import parquet_content

PERSON = Person(customer_id=7).with_more(emails=["ottilie@old.example"], names=["Ottilie", "Byron"], order_ids=[12])
AT = datetime(2024, 3, 1, tzinfo=UTC)
CUSTOMERS = b"""customer_id;email;first_name;last_name;country;note
7;ottilie@old.example;Ottilie;Byron;GB;"says; ottilie"\r
77;cleo@example.com;"Cle""o";Stone;DE;knows Ottilie
8;bob@example.com;Bob;Stone;DE;"wrote to OTTILIE@old.example
twice"
ottilie@old.example;too;few
"""
ERASED = b"""customer_id;email;first_name;last_name;country;note
7;;;;GB;says; (erased)\r
77;cleo@example.com;"Cle""o";Stone;DE;knows Ottilie
8;bob@example.com;Bob;Stone;DE;"wrote to (erased)
twice"
(erased);too;few
""".replace(b"says; (erased)", b'"says; (erased)"')
TABLE = pa.table(
    {
        "refund_id": pa.array([1, 2, 3], pa.int32()),
        "order_id": [12, 12, 13],
        "customer_id": pa.array([7, None, 8], pa.int64()),
        "reason": ["too small", "Ottilie did not like it", "Ottilie did not like it"],
        "email": pa.array(["ottilie@old.example", None, "bob@example.com"], pa.large_string()),
        "refunded_at": pa.array([AT] * 3, pa.timestamp("ms", tz="UTC")),
    }
)


def part(entity: str, content: bytes, *, kind: str, count: int) -> tuple[Part, bytes]:
    about = Part(entity=entity, file=f"a.{kind}", format=kind, modified_at=AT, runs=((2, count),), size=len(content))
    return about, content


def body() -> bytes:
    return page_of(
        [
            part("customers", CUSTOMERS, kind="csv", count=4),
            part("refunds", parquet_content(TABLE), kind="parquet", count=3),
        ]
    ).body


def test_a_csv_row_of_the_customer_loses_its_personal_cells_and_every_other_row_stays_byte_for_byte():
    index, [customers, _] = parts_of(files_without_person(body(), PERSON))
    assert customers == ERASED
    assert len(rows_in(index.parts[0], customers)) == 4


def test_a_parquet_row_of_the_customer_loses_its_personal_cells_and_keeps_every_type():
    _, [_, refunds] = parts_of(files_without_person(body(), PERSON))
    table = parquet.read_table(io.BytesIO(refunds))
    assert table.schema == TABLE.schema
    assert table.column("reason").to_pylist() == ["too small", "(erased) did not like it", "Ottilie did not like it"]
    assert table.column("email").to_pylist() == [None, None, "bob@example.com"]
    same = ["refund_id", "order_id", "customer_id", "refunded_at"]
    assert table.select(same) == TABLE.select(same)


def test_done_again_nothing_more_changes_and_a_page_without_the_customer_is_not_touched():
    once = files_without_person(body(), PERSON)
    assert files_without_person(once, PERSON) == once
    assert files_without_person(body(), Person(customer_id=4711).with_more(emails=["x@y.example"])) == body()


def test_rows_of_one_entity_are_read_from_such_a_page():
    assert is_page_of_files(body()) and not is_page_of_files(b'[{"id": 1}]')
    assert [row["customer_id"] for row in rows_of_files(body(), "customers")] == ["7", "77", "8"]
    with pytest.raises(ValueError):
        list(rows_of_files(body()[:-1], "customers"))
