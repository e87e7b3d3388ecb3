"""What Parquet holds inside of one value, where the warehouse keeps JSON: as it is, or rejected and shown as it was."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from include.entities.registry import ENTITIES
from include.sources.errors import ContractBroken
from include.sources.source import Parsed
from tests.file_folders import example, pages_of, parsed, source_of, write_parquet

MAP = pa.map_(pa.string(), pa.float64())


def events_with(folder: Any, properties: pa.Array) -> Parsed:
    """What is read of events with such properties."""
    records = [example("events", number) for number in range(1, len(properties) + 1)]
    path = write_parquet(folder, ENTITIES["events"], records)
    table = parquet.read_table(path)
    place = table.column_names.index("properties")
    parquet.write_table(table.set_column(place, "properties", properties), path)
    return parsed(source_of(folder, "events"))


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        (pa.array([{"a": {"b": [1.5, None]}}]), {"a": {"b": [1.5, None]}}),
        (pa.array([{"price": Decimal("1.50")}]), {"price": 1.5}),
        (pa.array([[("a", 1.5), ("b", None)]], MAP), {"a": 1.5, "b": None}),
        (pa.array([[]], MAP), {}),
        (pa.array([{"inner": [("a", 1.0)]}], pa.struct([("inner", MAP)])), {"inner": {"a": 1.0}}),
    ],
)
def test_structs_maps_and_numbers_are_kept_as_they_are(tmp_path, properties, told):
    (found,) = events_with(tmp_path, properties).records
    assert found.properties == told


@pytest.mark.parametrize(
    ("properties", "shown"),
    [
        (pa.array([{"a": {"b": [float("nan")]}}]), {"a": {"b": ["nan"]}}),
        (pa.array([{"a": float("-inf")}]), {"a": "-inf"}),
        (pa.array([[("a", float("inf"))]], MAP), {"a": "inf"}),
        (pa.array([{"a": b"\xff"}]), {"a": "/w=="}),
        (pa.array([{"a": Decimal("0.12345678901234567890123")}]), {"a": "0.12345678901234567890123"}),
        (pa.array([["x1", "y2"]]), ["x1", "y2"]),
        (pa.array([["x1", "y2"][:0]], pa.list_(pa.string())), []),
    ],
)
def test_what_json_cannot_say_is_rejected_and_shown_as_it_was(tmp_path, properties, shown):
    found = events_with(tmp_path, properties)
    (rejection,) = found.rejections
    assert found.records == []
    assert rejection.rule_id == "shape" and rejection.reason
    assert json.loads(rejection.payload)["properties"] == shown


def test_a_map_in_which_a_key_stands_twice_is_rejected_because_one_of_its_values_would_be_lost(tmp_path):
    found = events_with(tmp_path, pa.array([[("a", 1.0), ("a", 2.0)], [("a", 1.0)]], MAP))
    assert [each.properties for each in found.records] == [{"a": 1.0}]
    (rejection,) = found.rejections
    assert rejection.rule_id == "value" and "properties" in rejection.reason


@pytest.mark.parametrize(
    ("written", "found", "told"),
    [
        (b",\x15\x06\x15\x10", b",\x15\x00\x15\x10", "it has 0 of the 3 rows that it should have"),
        (b"first_name", b"\xffirst_name", "can't decode byte 0xff"),
    ],
    ids=["a column that says that it has no rows", "a column whose name is no text"],
)
def test_a_damaged_file_is_refused_and_never_taken_for_one_with_fewer_rows(tmp_path, written, found, told):
    path = write_parquet(tmp_path, ENTITIES["customers"], [example("customers", number) for number in (1, 2, 3)])
    content = path.read_bytes()
    assert written in content
    path.write_bytes(content.replace(written, found, 1 if b"name" not in written else -1))
    with pytest.raises(ContractBroken, match=f"customers/a.parquet .*damaged one .*{told}.*Nothing was loaded"):
        pages_of(source_of(tmp_path, "customers"))
