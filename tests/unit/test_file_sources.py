"""Files as a source: what is written is what is read, whatever the entity, the format and the size of the pages."""

from __future__ import annotations

import asyncio
import gzip
import lzma
import os
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.personal_data import masked
from include.sources.errors import ContractBroken, SourceUnreachable
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from tests.file_folders import ALWAYS, DAY, WRITERS, example, pages_of, parsed, source_of, write_csv, write_parquet
from tests.properties import examples

EVERY_ENTITY = pytest.mark.parametrize("entity", list(ENTITIES))
EVERY_FORMAT = pytest.mark.parametrize("format", list(WRITERS))
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
NAMES = TEXT.filter(bool)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
MOMENTS = st.builds(
    lambda units, zone: (datetime(1900, 1, 2, tzinfo=UTC) + timedelta(microseconds=units)).astimezone(zone),
    st.integers(0, int(timedelta(days=109_000).total_seconds()) * 10**6),
    ZONES,
)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "str": TEXT,
    "str | None": st.none() | NAMES,
    "bool": st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "Decimal": st.integers(-(10**18) + 1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-4)),
    "datetime": MOMENTS,
    "date": st.dates(date(1900, 1, 1), date(2199, 1, 1)),
    "LineKind": st.sampled_from(["product", "shipping", "fee"]),
    "tuple[str, ...]": st.lists(TEXT, max_size=3).map(tuple),
    # No key is that of a personal field, which is left behind.
    "dict[str, Any]": st.dictionaries(
        TEXT.map("_{}".format), st.none() | st.booleans() | st.integers(-9, 9) | TEXT | st.lists(TEXT)
    ),
}


def values_of(entity: Entity) -> st.SearchStrategy[dict[str, Any]]:
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in entity.record.__annotations__.items():
        if name == entity.child_field:
            continue
        bare = hint.removesuffix(" | None")
        own = st.integers(0, 2**63 - 1) if name.endswith("_id") and bare == "int" else BY_TYPE.get(hint, BY_TYPE[bare])
        own = st.from_regex("[A-Z]{3}", fullmatch=True) if name == "currency" else own
        strategies[name] = st.none() | own if hint.endswith("None") else own
    return st.fixed_dictionaries(strategies)


def records_of(entity: Entity) -> st.SearchStrategy[list[Any]]:
    """Records of different keys, with lines of different keys."""

    def assemble(drawn: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> list[Any]:
        records: dict[Any, Any] = {}
        for values, lines in drawn:
            if entity.child is not None and entity.child_field is not None:
                key = {name: values[name] for name in entity.key}
                own = {line["line_id"]: entity.child.record(**{**line, **key}) for line in lines}
                values = {**values, entity.child_field: tuple(own.values())}
            records[tuple(values[name] for name in entity.key)] = entity.record(**values)
        return list(records.values())

    lines = st.lists(values_of(entity.child), max_size=3) if entity.child is not None else st.just([])
    return st.lists(st.tuples(values_of(entity), lines), max_size=6).map(assemble)


def in_order(records: list[Any]) -> list[str]:
    """Records for comparing; money of the same value may have been written in several ways."""
    return sorted(repr(record) for record in records)


@EVERY_ENTITY
@EVERY_FORMAT
@examples(12)
@given(data=st.data())
def test_records_that_were_written_are_read_on_pages_of_any_size(entity, format, data):
    records = data.draw(records_of(ENTITIES[entity]))
    rows = data.draw(st.integers(1, len(records) + 1))
    with tempfile.TemporaryDirectory() as folder:
        WRITERS[format](Path(folder), ENTITIES[entity], records)
        found = parsed(source_of(folder, entity, rows=rows))
    assert found.rejections == []
    in_utc = [
        replace(record, **{n: v.astimezone(UTC) for n, v in vars_of(record).items() if isinstance(v, datetime)})
        for record in records
    ]
    assert in_order(found.records) == in_order(in_utc)


def vars_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in type(record).__annotations__}


@EVERY_FORMAT
@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_every_page_size_gives_the_same_rows(tmp_path, format, rows):
    records = [example("orders", number) for number in range(1, 8)]
    WRITERS[format](tmp_path, ENTITIES["orders"], records)
    pages = pages_of(source_of(tmp_path, "orders", rows=rows))
    assert len(pages) == -(-len(records) // rows)
    assert in_order(parsed(source_of(tmp_path, "orders", rows=rows)).records) == in_order(records)


def test_parquet_of_many_row_groups_is_read_whole(tmp_path):
    records = [example("customers", number) for number in range(1, 50)]
    write_parquet(tmp_path, ENTITIES["customers"], records, row_group_size=7)
    pages = pages_of(source_of(tmp_path, "customers", rows=10))
    assert in_order(parsed(source_of(tmp_path, "customers", rows=10)).records) == in_order(records)
    assert sum(page.request.count("rows") for page in pages) == len(pages)


@EVERY_FORMAT
def test_a_row_belongs_to_a_window_by_its_version_half_open_with_the_look_back(tmp_path, format):
    WRITERS[format](tmp_path, ENTITIES["orders"], [example("orders", updated_at=DAY)])
    hour, step = timedelta(hours=1), timedelta(microseconds=1)
    for start, end, is_inside in (
        (DAY + hour, DAY + 2 * hour, True),
        (DAY + hour + step, DAY + 2 * hour, False),
        (DAY - hour, DAY, False),
        (DAY - hour, DAY + step, True),
    ):
        assert len(parsed(source_of(tmp_path, "orders"), Window(start, end)).records) == is_inside, (start, end)


def test_without_a_version_the_files_time_of_writing_stands_for_it(tmp_path):
    record = example("customers", updated_at=DAY)
    path = write_csv(tmp_path, ENTITIES["customers"], [record], without="source_updated_at")
    written_at = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    os.utime(path, (written_at.timestamp(), written_at.timestamp()))
    second = timedelta(seconds=1)
    source = source_of(tmp_path, "customers")
    expected = [replace(record, source_updated_at=written_at)]
    assert parsed(source, Window(written_at, written_at + second)).records == expected
    assert parsed(source, Window(DAY, DAY + second)).records == expected, "the window of the row's own event time"
    assert parsed(source, Window(written_at + second, written_at + 2 * second)).records == []


def test_a_column_without_zone_is_refused_until_it_is_declared_to_be_utc(tmp_path):
    path = write_csv(tmp_path, ENTITIES["customers"], [example("customers")])
    path.write_text(path.read_text().replace("+00:00", ""))
    found = parsed(source_of(tmp_path, "customers"))
    assert [each.rule_id for each in found.rejections] == ["time"]
    assert "utc_columns" in found.rejections[0].reason
    declared = {"utc_columns": ["registered_at", "source_updated_at"]}
    assert parsed(source_of(tmp_path, "customers", extra=declared)).records == [example("customers")]


BROKEN_CELLS = {
    "order_id": ["-1", "1.0", "9" * 20, "x", ""],
    "customer_id": ["-1", "nobody"],
    "currency": ["euro", "€", ""],
    "total_amount": ["1,5", "NaN", "1.00001", "1e30", ""],
    "placed_at": ["yesterday", "2024-03-02T03:04:05", "2024-13-01T00:00:00Z", ""],
    "source_updated_at": ["0001-01-01T00:00:00+14:00", "soon", ""],
}


@pytest.mark.parametrize(("column", "text"), [(name, text) for name, texts in BROKEN_CELLS.items() for text in texts])
def test_a_cell_that_does_not_fit_rejects_its_row_alone_with_file_and_line(tmp_path, column, text):
    records = [example("orders", number) for number in (1, 2, 3)]
    path = write_csv(tmp_path, ENTITIES["orders"], records)
    lines = path.read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = f'"{text}"'
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
    found = parsed(source_of(tmp_path, "orders"))
    assert [each.order_id for each in found.records] == [1, 3]
    told = [each for each in found.rejections if each.entity == "orders"]
    assert len(told) == 1
    assert column in told[0].reason and "orders/a.csv line 3" in told[0].reason


BROKEN_LINES = {
    "quantity": ["many", "1.5", str(2**63)],
    "kind": ["gift", ""],
    "unit_price": ["free", ""],
    "line_id": ["", "-4"],
}


@pytest.mark.parametrize(("column", "text"), [(name, text) for name, texts in BROKEN_LINES.items() for text in texts])
def test_a_line_that_does_not_fit_is_rejected_alone_and_its_order_kept(tmp_path, column, text):
    write_csv(tmp_path, ENTITIES["orders"], [example("orders", 1), example("orders", 2)])
    path = tmp_path / "order_lines" / "a.csv"
    lines = path.read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = text
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
    found = parsed(source_of(tmp_path, "orders"))
    assert [(each.order_id, len(each.lines)) for each in found.records] == [(1, 1), (2, 2)]
    assert [(each.entity, each.position) for each in found.rejections] == [("order_lines", "0.1")]
    assert "order_lines/a.csv line 3" in found.rejections[0].reason


@pytest.mark.parametrize("broken", [b"1,2\n", b'1,"open,2\n', b"\xff\xfe,1\n", b"x,1,product,1,s,n,1,1,1\n", b"\x00\n"])
def test_a_line_of_which_nobody_can_tell_the_order_is_quarantined_and_every_order_kept(tmp_path, broken):
    records = [example("orders", number) for number in (1, 2, 3)]
    write_csv(tmp_path, ENTITIES["orders"], records)
    path = tmp_path / "order_lines" / "a.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], broken, *lines[3:]]))
    found = parsed(source_of(tmp_path, "orders", rows=2))
    assert in_order(found.records) == in_order(records)
    assert [(each.entity, each.rule_id) for each in found.rejections] == [("orders", "line_without_row")]
    assert "order_lines/a.csv line 4" in found.rejections[0].reason


def test_an_unreadable_row_is_met_in_every_window_and_never_passed_over(tmp_path):
    path = write_csv(tmp_path, ENTITIES["orders"], [example("orders")])
    path.write_text(path.read_text() + "1,2,3\n")
    early = Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(1990, 1, 2, tzinfo=UTC))
    found = parsed(source_of(tmp_path, "orders"), early)
    assert (found.records, [each.rule_id for each in found.rejections]) == ([], ["cells"])


def test_lines_with_a_version_go_with_that_version_of_their_order(tmp_path):
    first, second = example("orders", updated_at=DAY), example("orders", updated_at=DAY + timedelta(days=1))
    second = replace(second, lines=second.lines[:1])
    for number, record in enumerate((first, second)):
        write_csv(tmp_path, ENTITIES["orders"], [record], file=f"{number}.csv")
        path = tmp_path / "order_lines" / f"{number}.csv"
        lines = path.read_text().splitlines()
        at = record.source_updated_at.isoformat()
        path.write_text("\n".join([f"{lines[0]},source_updated_at", *(f"{line},{at}" for line in lines[1:])]))
    found = parsed(source_of(tmp_path, "orders")).records
    assert {order.source_updated_at: len(order.lines) for order in found} == {
        first.source_updated_at: 2,
        second.source_updated_at: 1,
    }


def test_files_of_other_formats_columns_and_delimiters_come_together(tmp_path):
    records = [example("orders", number) for number in range(1, 5)]
    write_csv(tmp_path, ENTITIES["orders"], records[:2], file="a.csv")
    write_parquet(tmp_path, ENTITIES["orders"], records[2:], file="b.parquet")
    path = tmp_path / "order_lines" / "a.csv"
    (tmp_path / "order_lines" / "c.csv").write_text(path.read_text().replace(",", ";"))
    path.unlink()
    assert in_order(parsed(source_of(tmp_path, "orders")).records) == in_order(records)


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        ("csv", bytes),
        ("csv.gz", gzip.compress),
        ("csv.xz", lzma.compress),
        ("csv.zst", lambda raw: pa.compress(raw, codec="zstd", asbytes=True)),
        ("CSV", lambda raw: b"\xef\xbb\xbf" + raw),
    ],
)
def test_every_compression_is_read_and_a_cut_one_refused(tmp_path, ending, pack):
    records = [example("customers", number) for number in range(1, 40)]
    path = write_csv(tmp_path, ENTITIES["customers"], records)
    packed = pack(path.read_bytes())
    path.unlink()
    whole = path.with_name(f"a.{ending}")
    whole.write_bytes(packed)
    assert in_order(parsed(source_of(tmp_path, "customers")).records) == in_order(records)
    if ending.startswith("csv."):
        whole.write_bytes(packed[:-20])
        with pytest.raises(ContractBroken, match=f"customers/a.{ending}.*damaged or incomplete"):
            pages_of(source_of(tmp_path, "customers"))


def test_what_is_no_such_folder_file_or_column_is_refused_with_its_name_and_the_mend(tmp_path):
    with pytest.raises(ContractBroken, match=r"no folder 'orders'.*Put the files there"):
        pages_of(source_of(tmp_path, "orders"))
    with pytest.raises(ContractBroken, match="neither an absolute path nor a URL"):
        pages_of(source_of("somewhere", "orders"))
    path = write_csv(tmp_path, ENTITIES["orders"], [example("orders")], without="total_amount")
    with pytest.raises(ContractBroken, match=r"orders/a.csv .* lacks total_amount"):
        pages_of(source_of(tmp_path, "orders"))
    path.write_bytes(b"")
    with pytest.raises(ContractBroken, match=r"orders/a.csv .* no header"):
        pages_of(source_of(tmp_path, "orders"))
    path.unlink()
    (tmp_path / "orders" / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(ContractBroken, match=r"orders/b.parquet .* no Parquet file"):
        pages_of(source_of(tmp_path, "orders"))
    (tmp_path / "orders" / "b.parquet").rename(tmp_path / "orders" / "b.xlsx")
    with pytest.raises(ContractBroken, match=r"orders/b.xlsx .* none of .csv"):
        pages_of(source_of(tmp_path, "orders"))
    (tmp_path / "orders" / "b.xlsx").rename(tmp_path / "orders" / "_b.xlsx")
    assert pages_of(source_of(tmp_path, "orders")) == []


def test_a_missing_folder_of_lines_is_refused_and_an_empty_one_means_none(tmp_path):
    record = replace(example("orders"), lines=())
    write_csv(tmp_path, ENTITIES["orders"], [record])
    assert parsed(source_of(tmp_path, "orders")).records == [record]
    (tmp_path / "order_lines" / "a.csv").unlink()
    assert parsed(source_of(tmp_path, "orders")).records == [record]
    (tmp_path / "order_lines").rmdir()
    with pytest.raises(ContractBroken, match="no folder 'order_lines'"):
        pages_of(source_of(tmp_path, "orders"))


def test_a_file_that_is_written_while_it_is_read_is_asked_for_again(tmp_path):
    path = write_csv(tmp_path, ENTITIES["customers"], [example("customers", number) for number in range(1, 9)])
    source = source_of(tmp_path, "customers", rows=2)

    async def read() -> None:
        async for _ in source.pages(ALWAYS):
            path.write_bytes(path.read_bytes() + b"x")

    with pytest.raises(SourceUnreachable, match="written while it was read"):
        asyncio.run(read())


def test_an_export_in_folders_of_folders_is_read_whole(tmp_path):
    write_csv(tmp_path, ENTITIES["customers"], [example("customers", 1)], file="a.csv")
    (tmp_path / "customers" / "year=2024").mkdir()
    write_csv(tmp_path, ENTITIES["customers"], [example("customers", 2)], file="year=2024/a.csv")
    assert [each.customer_id for each in parsed(source_of(tmp_path, "customers")).records] == [1, 2]


def test_columns_that_may_be_null_may_be_missing_and_others_are_left(tmp_path):
    path = write_csv(tmp_path, ENTITIES["customers"], [example("customers")], without="country")
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([f"{first},shoe_size", *(f"{line},43" for line in rest)]))
    assert parsed(source_of(tmp_path, "customers")).records == [example("customers", country=None)]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("customer_id", pa.array([1.0, None])),
        ("registered_at", pa.array([0, 1], pa.timestamp("us"))),
        ("registered_at", pa.array([2**62, 0], pa.timestamp("us", tz="UTC"))),
        ("country", pa.array([b"\xff\xfe", b"GB"]).view(pa.string())),
        ("country", pa.array([1, 2])),
        ("is_paying", pa.array(["maybe", None])),
    ],
)
def test_a_value_of_another_type_in_parquet_rejects_its_row(tmp_path, name, values):
    path = write_parquet(tmp_path, ENTITIES["customers"], [example("customers", 1), example("customers", 2)])
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(table.column_names.index(name), name, values), path)
    found = parsed(source_of(tmp_path, "customers"))
    assert found.rejections
    assert all(name in each.reason and "customers/a.parquet row" in each.reason for each in found.rejections)


def test_a_dictionary_column_of_parquet_is_read_like_any_other(tmp_path):
    records = [example("orders", number) for number in (1, 2, 3)]
    write_parquet(tmp_path, ENTITIES["orders"], records)
    path = tmp_path / "order_lines" / "a.parquet"
    table = parquet.read_table(path)
    place = table.column_names.index("name")
    parquet.write_table(table.set_column(place, "name", table["name"].dictionary_encode()), path)
    assert in_order(parsed(source_of(tmp_path, "orders", rows=1)).records) == in_order(records)


def test_an_event_leaves_personal_data_behind(tmp_path):
    told = {"email": "ann@example.com", "price": 2, "context": {"ip": "10.0.0.1", "page": "/"}}
    write_csv(tmp_path, ENTITIES["events"], [example("events", properties=told)])
    (found,) = parsed(source_of(tmp_path, "events")).records
    assert found.properties == {"price": 2, "context": {"page": "/"}}


def test_a_row_of_a_customer_that_cannot_be_taken_apart_shows_nobody_in_quarantine(tmp_path):
    path = write_csv(tmp_path, ENTITIES["customers"], [example("customers")])
    path.write_text(path.read_text() + "2,ann@example.com,Ann\n")
    (rejection,) = parsed(source_of(tmp_path, "customers")).rejections
    assert b"ann@example.com" in rejection.payload
    assert "ann" not in masked(rejection.payload.decode()).lower()
    assert "ann" not in rejection.reason.lower()


@pytest.mark.parametrize("entity", list(ENTITIES))
@pytest.mark.parametrize("kind", ["file", "fs", "aws"])
def test_every_entity_comes_from_files_when_its_connection_says_so(entity, kind, tmp_path):
    settings = SourceSettings(name="any", base_url=str(tmp_path), kind=kind)
    assert type(source_for(entity, settings_of=lambda name: settings)).__name__ == "EntityFiles"


def test_an_unknown_kind_or_layout_is_refused_with_the_ones_that_are_known(tmp_path):
    def asked(entity: str = "orders", **changes: Any) -> None:
        settings = SourceSettings(**{"name": "any", "base_url": str(tmp_path), "kind": "file", **changes})
        source_for(entity, settings_of=lambda name: settings)

    with pytest.raises(ContractBroken, match=r"type 'ftp'.*http, https .*file, fs, aws"):
        asked(kind="ftp")
    with pytest.raises(ContractBroken, match=r"layout 'xml'.*entities, online_retail"):
        asked(extra={"layout": "xml"})
    with pytest.raises(ContractBroken, match=r"give events.*customers, products, orders, refunds"):
        asked("events", extra={"layout": "online_retail"})
