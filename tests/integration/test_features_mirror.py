"""The mirror of a history in files: what an update writes, what readers see, and what is removed when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet
import pytest
from psycopg import sql
from upath import UPath

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.versions import UnknownVersion, current_version
from include.features.history.historical import get_historical_features
from include.features.history.mirror import Mirror
from include.features.history.mirror_store import Manifest, MirrorStore
from include.features.online.push import push
from include.features.registry import Registry
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from tests.integration.feature_shop import DAY, Order, day, load
from tests.integration.history_oracle import BY_BOTH, BY_NUMBER, BY_TEXT, REGISTRY, VIEWS, Row, at, write
from tests.integration.test_features_push import order


def rows_of(seq: int, count: int, *, keys: int = 7) -> list[Row]:
    return [
        Row((number % keys,), number // keys, number // keys, 0, seq, values=(number + 1000 * seq, None, None, None))
        for number in range(count)
    ]


def layers_of(manifest: Manifest) -> list[tuple[int, int, int]]:
    return [(layer.after_seq, layer.through_seq, layer.rows) for layer in manifest.layers]


@pytest.fixture(params=["folder", "memory", "s3"])
def mirror(request, tmp_path: Path) -> Iterator[Mirror]:
    if request.param == "s3":
        yield Mirror(request.getfixturevalue("s3_server").bucket() / "features")
    else:
        yield Mirror(UPath(tmp_path / "mirror") if request.param == "folder" else UPath(f"memory://{uuid4()}/mirror"))


def names_in(mirror: Mirror, view: str = "by_number_v1") -> set[str]:
    folder = UPath(mirror.folder) / view
    return {path.rsplit("/", 1)[-1] for path in folder.fs.ls(folder.path, detail=False, refresh=True)}


def wholes(mirror: Mirror, *keys: int, tick: int = 8) -> list[int | None]:
    spine = pa.table(
        {
            "left_id": pa.array(keys, pa.int64()),
            "event_timestamp": pa.array([at(tick)] * len(keys), pa.timestamp("us", "UTC")),
        }
    )
    return (
        mirror.get_historical_features(spine, ["by_number"], registry=REGISTRY)
        .to_arrow()["by_number_whole"]
        .to_pylist()
    )


def test_an_update_writes_what_is_new_and_leaves_the_large_layer_alone(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 50))
    first = mirror.update(warehouse, version)
    assert layers_of(first) == [(0, 1, 50)]
    write(warehouse, BY_NUMBER, rows_of(2, 2), add=True)
    second = mirror.update(warehouse, version)
    assert layers_of(second) == [(0, 1, 50), (1, 2, 2)]
    assert first.files < second.files
    assert wholes(mirror, 0, 1, 2, tick=0) == [2000, 2001, 1002]


def test_small_layers_are_taken_together_when_they_grow(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 50))
    mirror.update(warehouse, version)
    for seq in range(2, 6):
        write(warehouse, BY_NUMBER, rows_of(seq, 2), add=True)
        manifest = mirror.update(warehouse, version)
    assert layers_of(manifest) == [(0, 1, 50), (1, 5, 8)]
    write(warehouse, BY_NUMBER, rows_of(6, 5), add=True)
    assert layers_of(mirror.update(warehouse, version)) == [(0, 6, 63)]
    assert wholes(mirror, 0, 1, 2, 5, tick=0) == [6000, 6001, 6002, 1005]


def test_an_update_without_news_writes_nothing(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 20))
    mirror.update(warehouse, version)
    before = names_in(mirror)
    mirror.update(warehouse, version)
    assert names_in(mirror) == before


def test_what_was_taken_out_of_history_leaves_the_mirror(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 20))
    mirror.update(warehouse, version)
    warehouse.execute(sql.SQL("DELETE FROM {} WHERE left_id = 3").format(version.history))
    write(warehouse, BY_NUMBER, rows_of(2, 2), add=True)
    manifest = mirror.update(warehouse, version)
    assert manifest.rows == warehouse.execute(sql.SQL("SELECT count(*) FROM {}").format(version.history)).fetchone()[0]
    assert wholes(mirror, 2, 3, tick=2) == [1016, None]


def pushed_row(key: int, *, tick: int) -> Row:
    """As a push adds it: under the number of the last build."""
    return Row((key,), tick, tick, tick, 1, values=(5000 + key, None, None, None))


def test_pushed_rows_are_added_and_the_large_layer_is_left_alone(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 50))
    first = mirror.update(warehouse, version)
    for tick, key in ((7, 1), (8, 2)):
        write(warehouse, BY_NUMBER, [pushed_row(key, tick=tick)], add=True)
        manifest = mirror.update(warehouse, version)
    assert layers_of(manifest) == [(0, 1, 50), (1, 1, 2)]
    assert first.files < manifest.files
    assert wholes(mirror, 1, 2, tick=8) == [5001, 5002]
    write(warehouse, BY_NUMBER, rows_of(2, 2), add=True)
    assert mirror.update(warehouse, version).rows == 54


def test_as_many_rows_pushed_as_taken_out_are_noticed(warehouse, mirror):
    version = write(warehouse, BY_NUMBER, rows_of(1, 20))
    mirror.update(warehouse, version)
    warehouse.execute(sql.SQL("DELETE FROM {} WHERE left_id = 3 AND event_time = %s").format(version.history), (at(2),))
    write(warehouse, BY_NUMBER, [pushed_row(1, tick=8)], add=True)
    mirror.update(warehouse, version)
    assert wholes(mirror, 1, tick=8) == [5001]
    assert wholes(mirror, 3, tick=2) == [1010]


def test_rows_that_no_count_and_no_time_tell_apart_are_noticed(warehouse, mirror):
    """One row taken out and one committed late, of the same build and time; then a value changed where it is."""
    version = write(warehouse, BY_NUMBER, rows_of(1, 20))
    mirror.update(warehouse, version)
    warehouse.execute(sql.SQL("DELETE FROM {} WHERE left_id = 3").format(version.history))
    late = [replace(pushed_row(1, tick=tick), ingested=0) for tick in (6, 7, 8)]
    write(warehouse, BY_NUMBER, late, add=True)
    mirror.update(warehouse, version)
    assert wholes(mirror, 1, tick=8) == [5001]
    assert wholes(mirror, 2, 3, tick=2) == [1016, None]
    warehouse.execute(sql.SQL("UPDATE {} SET by_number_whole = NULL WHERE left_id = 1").format(version.history))
    mirror.update(warehouse, version)
    assert wholes(mirror, 1, tick=8) == [None]
    assert wholes(mirror, 2, tick=2) == [1016]


def test_a_pushed_row_is_mirrored_like_any_other(warehouse, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    load(warehouse, [Order(1, 1, day("2024-01-01"))])
    window = Window(day("2024-01-01"), day("2024-01-03"))
    build_view(warehouse, CUSTOMER_ACTIVITY, window, now=window.end)
    version = current_version(warehouse, CUSTOMER_ACTIVITY)
    before = mirror.update(warehouse, version)
    push(warehouse, [order(9001, 1, window.end - timedelta(hours=1))], now=window.end + timedelta(hours=1))
    after = mirror.update(warehouse, version)
    assert (after.rows, after.layers[-1].rows) == (before.rows + 1, before.rows + 1)
    asked = pa.table({"customer_id": [1], "event_timestamp": pa.array([window.end + DAY], pa.timestamp("us", "UTC"))})
    answers = [
        get_historical_features(warehouse, asked, ["customer_activity"], mirror=each).to_arrow()
        for each in (None, mirror)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["order_count_30d"].to_pylist() == [2]


def test_files_go_when_no_kept_manifest_names_them(warehouse, mirror):
    """A reader that began before an update finds its files until the update after the next."""
    version = write(warehouse, BY_NUMBER, rows_of(1, 3))
    kept: list[set[str]] = []
    for seq in range(2, 6):
        kept.append(mirror.update(warehouse, version).files)
        parts = {name for name in names_in(mirror) if name.endswith(".parquet")}
        assert parts == set().union(*kept[-2:])
        assert len(names_in(mirror)) - len(parts) == len(kept[-2:])
        write(warehouse, BY_NUMBER, rows_of(seq, 10 * seq), add=True)


def test_the_same_history_gives_the_same_files(warehouse, tmp_path):
    version = write(warehouse, BY_NUMBER, rows_of(1, 40))
    one = Mirror(tmp_path / "one").update(warehouse, version)
    write(warehouse, BY_NUMBER, list(reversed(rows_of(1, 40))))
    other = Mirror(tmp_path / "other").update(warehouse, version)
    assert one == other
    write(warehouse, BY_NUMBER, rows_of(1, 41))
    assert not one.files & Mirror(tmp_path / "third").update(warehouse, version).files


def test_an_update_that_fails_leaves_readers_what_they_had(warehouse, tmp_path, monkeypatch):
    mirror = Mirror(tmp_path / "mirror")
    version = write(warehouse, BY_NUMBER, rows_of(1, 10))
    mirror.update(warehouse, version)
    write(warehouse, BY_NUMBER, rows_of(2, 30), add=True)
    with monkeypatch.context() as patched:
        patched.setattr(MirrorStore, "publish", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
        with pytest.raises(OSError, match="disk is full"):
            mirror.update(warehouse, version)
    assert wholes(mirror, 0, tick=0) == [1000]
    mirror.update(warehouse, version)
    assert wholes(mirror, 0, tick=0) == [2000]
    assert not [name for name in names_in(mirror) if name.startswith(".partial")]


def test_a_reader_whose_files_have_gone_takes_the_newer_ones(warehouse, tmp_path, monkeypatch):
    mirror = Mirror(tmp_path / "mirror")
    version = write(warehouse, BY_NUMBER, rows_of(1, 10))
    old = mirror.update(warehouse, version)
    for seq in (2, 3):
        write(warehouse, BY_NUMBER, rows_of(seq, 40), add=True)
        mirror.update(warehouse, version)
    newest = MirrorStore.manifest
    answers = iter([old])
    monkeypatch.setattr(MirrorStore, "manifest", lambda store: next(answers, None) or newest(store))
    spine = pa.table({"left_id": [0], "event_timestamp": pa.array([at(0)], pa.timestamp("us", "UTC"))})
    joined = mirror.get_historical_features(spine, [version], registry=REGISTRY).to_arrow()
    assert joined["by_number_whole"].to_pylist() == [3000]


def test_the_files_hold_what_history_holds_exactly(warehouse, tmp_path):
    """Instants to the microsecond and money to the ten-thousandth, for any other reader of Parquet."""
    money = Decimal("-99999999999999.9999")
    version = write(warehouse, BY_TEXT, [Row(("Ω",), -1, 2, 3, 4, True, (2**63 - 1, -0.0, money, 'a"b'))])
    (file,) = Mirror(tmp_path).update(warehouse, version).files
    table = pyarrow.parquet.read_table(tmp_path / "by_text_v1" / file)
    assert table.schema.field("by_text_money").type == pa.decimal128(18, 4)
    (row,) = table.to_pylist()
    assert row == {
        "code": "Ω", "event_time": at(-1), "available_time": at(2), "ingested_at": at(3), "seq": 4,
        "is_tombstone": True, "by_text_whole": 2**63 - 1, "by_text_number": -0.0, "by_text_money": money,
        "by_text_text": 'a"b',
    }  # fmt: skip


def test_keys_are_never_cut_in_two_and_many_blocks_are_joined_like_one(warehouse, tmp_path, monkeypatch):
    """Blocks of four rows: keys with more rows than a block, two columns, and instants in every place."""
    monkeypatch.setattr("include.features.history.mirror_write._ROWS_PER_BLOCK", 4)
    monkeypatch.setattr("include.features.history.mirror_write._PAGES_PER_CHUNK", 1)
    keys = [(left, code) for left in (1, 1, 2, 3) for code in ("a", "b", "c", "é")]
    rows = {
        (key, event): Row(key, event, event, values=(event, None, Decimal(event), "x" * 1500))
        for key in keys
        for event in range(len(key[1]) + key[0] * 2)
    }
    version = write(warehouse, BY_BOTH, rows.values())
    mirror = Mirror(tmp_path)
    manifest = mirror.update(warehouse, version)
    assert sum(len(part.blocks) for layer in manifest.layers for part in layer.parts) > 3
    spine = [(key, tick) for tick in range(8) for key in [*keys, (2, "d"), (9, "a")]]
    table = pa.table(
        {
            "left_id": [key[0] for key, _ in spine],
            "code": [key[1] for key, _ in spine],
            "event_timestamp": pa.array([at(tick) for _, tick in spine], pa.timestamp("us", "UTC")),
        }
    )
    view = replace(BY_BOTH, ttl=None)
    joined = mirror.get_historical_features(table, [replace(version, view=view)], registry=REGISTRY).to_arrow()
    newest = [
        max((event for other, event in rows if other == key and event <= tick), default=None) for key, tick in spine
    ]
    assert joined["by_both_whole"].to_pylist() == newest


def test_only_versions_that_are_mirrored_are_read(warehouse, tmp_path):
    mirror = Mirror(tmp_path)
    mirror.update(warehouse, write(warehouse, BY_NUMBER, rows_of(1, 3)))
    spine = pa.table({"left_id": [0], "event_timestamp": pa.array([at(1)], pa.timestamp("us", "UTC"))})
    changed = Registry(views=(replace(BY_NUMBER, ttl=timedelta(days=1)), *VIEWS[1:]))
    for wanted, registry in (("by_number", changed), ("by_number@2", REGISTRY), ("by_text", REGISTRY)):
        with pytest.raises(UnknownVersion, match="not mirrored"):
            mirror.get_historical_features(spine, [wanted], registry=registry)
    joined = mirror.get_historical_features(spine, ["by_number@1"], registry=changed).to_arrow()
    assert joined["by_number_whole"].to_pylist() == [1000]
