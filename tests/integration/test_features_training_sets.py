"""Training sets that are frozen, and joined again to the byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from psycopg import sql

from include.entities.window import NaiveTime, Window
from include.features.building.build import build_view
from include.features.definitions.versions import current_version
from include.features.history.mirror import Mirror
from include.features.history.training_sets import (
    ROWS,
    HistoryChanged,
    TrainingSetLost,
    freeze_training_set,
    rebuild_training_set,
)
from include.features.history.writers import note_writer, writers
from include.features.online.push import push
from include.features.registry import Registry
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.warehouse.connection import connect_warehouse
from tests.integration.history_oracle import BY_NUMBER, BY_TEXT, EPOCH, REGISTRY, Row, at, write
from tests.integration.serving_host import until

LATER = EPOCH + timedelta(days=1)
WANTED = ["by_text:by_text_number", BY_NUMBER, "request_hour"]


@pytest.fixture
def shop(warehouse):
    write(warehouse, BY_NUMBER, [Row((key,), key, key, key, values=(key, None, None, "a,b\n")) for key in range(5)])
    write(warehouse, BY_TEXT, [Row(("a",), values=(12, 0.1, None, ""))])
    return warehouse


def entity_rows() -> pa.Table:
    instants = pa.array([at(tick) for tick in (4, 0, 3, 8, 4)], pa.timestamp("us", "UTC"))
    return pa.table(
        {"label": [True, False, None, True, True], "left_id": [1, 2, 3, 4, None], "code": ["a", "b", "a", None, "a"],
         "event_timestamp": instants}
    )  # fmt: skip


def frozen(conn, storage: Path, **how):
    choices = {"known_at": at(3), "now": LATER, "registry": REGISTRY} | how
    return freeze_training_set(conn, entity_rows(), WANTED, storage=storage, **choices)


def test_it_is_built_again_to_the_byte_after_history_and_definitions_went_on(shop, tmp_path):
    training_set = frozen(shop, tmp_path)
    file = training_set.folder / ROWS
    before, rows = file.read_bytes(), training_set.rows()
    write(
        shop, BY_NUMBER, [Row((key,), key, key, 4, seq=2, values=(99, 9.0, None, None)) for key in range(5)], add=True
    )
    changed = replace(BY_NUMBER, ttl=None)
    write(shop, changed, [Row((1,), values=(77, None, None, None))])
    file.unlink()
    again = rebuild_training_set(shop, training_set, registry=Registry(views=(changed, BY_TEXT)))
    assert again.digest == training_set.digest
    assert file.read_bytes() == before
    assert again.rows() == rows
    assert rows["by_number_whole"].to_pylist() == [1, None, 3, None, None]


def test_the_same_again_is_the_same_and_any_other_value_another(shop, tmp_path):
    first = frozen(shop, tmp_path)
    assert frozen(shop, tmp_path / "elsewhere").digest == first.digest
    assert frozen(shop, tmp_path, known_at=at(2)).digest != first.digest
    assert frozen(shop, tmp_path, mode="as_corrected").digest != first.digest


def test_rows_that_were_being_written_when_it_was_frozen_are_in_it(shop, warehouse_dsn, tmp_path):
    shop.commit()
    with connect_warehouse(warehouse_dsn) as writing, ThreadPoolExecutor(1) as thread:
        note_writer(writing)
        write(writing, BY_NUMBER, [Row((1,), 1, 1, 2, seq=2, values=(55, 5.0, None, None))], add=True)
        freezing = thread.submit(frozen, shop, tmp_path)
        with connect_warehouse(warehouse_dsn) as watching:
            watching.autocommit = True
            until(lambda: watching.execute(_WAITS).fetchone() == (1,))
        assert not freezing.done()
        writing.commit()
        training_set = freezing.result(timeout=60)
    assert training_set.rows()["by_number_whole"].to_pylist()[0] == 55
    assert rebuild_training_set(shop, training_set, registry=REGISTRY) == training_set


_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND position('FROM pg_locks' IN query) > 0
"""


@pytest.mark.parametrize("writes", ["a build", "a push"])
def test_builds_and_pushes_are_waited_for(warehouse, warehouse_dsn, writes):
    with connect_warehouse(warehouse_dsn) as freezing:
        warehouse.execute("SELECT 1")
        if writes == "a build":
            build_view(warehouse, CUSTOMER_ACTIVITY, Window(EPOCH, LATER), now=LATER)
        else:
            push(warehouse, [], now=LATER)
        assert writers(freezing)
        warehouse.commit()
        assert not writers(freezing)


def test_a_mirror_gives_the_same_bytes(shop, tmp_path):
    training_set = frozen(shop, tmp_path)
    mirror = Mirror(tmp_path / "mirror")
    for view in (BY_NUMBER, BY_TEXT):
        mirror.update(shop, current_version(shop, view))
    assert frozen(shop, tmp_path, mirror=mirror) == training_set
    assert rebuild_training_set(shop, training_set, registry=REGISTRY, mirror=mirror) == training_set


def test_what_does_not_come_out_again_is_said_and_the_file_is_kept(shop, tmp_path):
    training_set = frozen(shop, tmp_path)
    rows = training_set.rows()
    shop.execute(sql.SQL("DELETE FROM {} WHERE left_id = 1").format(current_version(shop, BY_NUMBER).history))
    with pytest.raises(HistoryChanged, match="thinned or changed"):
        rebuild_training_set(shop, training_set, registry=REGISTRY)
    assert training_set.rows() == rows


def test_a_file_that_was_changed_is_not_taken_for_the_training_set(shop, tmp_path):
    training_set = frozen(shop, tmp_path)
    other = frozen(shop, tmp_path, known_at=at(2))
    (training_set.folder / ROWS).write_bytes((other.folder / ROWS).read_bytes())
    with pytest.raises(TrainingSetLost, match="not what was written"):
        training_set.rows()
    (training_set.folder / ROWS).write_bytes(b"nothing")
    with pytest.raises(TrainingSetLost, match="cannot be read"):
        training_set.rows()


def test_an_instant_that_more_could_be_written_up_to_is_refused(shop, tmp_path):
    with pytest.raises(ValueError, match="more could be written"):
        frozen(shop, tmp_path, known_at=LATER + timedelta(microseconds=1))
    with pytest.raises(NaiveTime, match="known_at"):
        frozen(shop, tmp_path, known_at=datetime(2024, 1, 1))  # noqa: DTZ001
