"""Expiry of landing: what is older goes, what a run may still need stays, in every kind of store."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest

from include.entities.window import Window
from include.ingestion.expiry import expire
from include.ingestion.landing import BatchWriter, Landing
from include.sources.source import Page

NOW = datetime(2024, 3, 9, 4, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def begin(landing: Landing, *, now: datetime, entity: str = "orders") -> BatchWriter:
    batch = landing.open_batch(source="shop_api", entity=entity, window=Window(now - DAY, now), now=now)
    batch.write(Page(body=b"[]" * 1000, request="/orders", received_at=now), rows=0)
    return batch


def land(landing: Landing, *, age: timedelta, entity: str = "orders") -> str:
    return begin(landing, now=NOW - age, entity=entity).close()


def files_in(landing: Landing) -> dict[str, int]:
    root = landing.root
    found = root.fs.find(root.path, detail=True, refresh=True)
    return {path[len(root.path.rstrip("/")) + 1 :]: each["size"] for path, each in found.items()}


def test_batches_that_began_before_the_days_are_removed_whole_and_counted(any_landing):
    old = [land(any_landing, age=age) for age in (90 * DAY, 30 * DAY + MOMENT)]
    old.append(land(any_landing, age=31 * DAY, entity="events"))
    size = sum(files_in(any_landing).values())
    kept = [land(any_landing, age=age) for age in (30 * DAY, 2 * DAY, timedelta(0))]
    done = expire(any_landing, older_than_days=30, now=NOW)
    assert list(any_landing.batches()) == kept
    assert {name.rsplit("/", 1)[0] for name in files_in(any_landing)} == set(kept)
    assert (done.batches, done.leftovers, done.bytes) == (3, 0, size)
    assert str(done).startswith(f"expire_landing batches=3 leftovers=0 bytes={size} seconds=")
    again = expire(any_landing, older_than_days=30, now=NOW)
    assert (again.batches, again.leftovers, again.bytes) == (0, 0, 0)


def test_what_a_killed_process_left_is_swept_after_a_day(any_landing):
    begin(any_landing, now=NOW - DAY - MOMENT)
    begin(any_landing, now=NOW - DAY)
    before = files_in(any_landing)
    done = expire(any_landing, older_than_days=365, now=NOW)
    assert (done.batches, done.leftovers) == (0, 1)
    assert len(before) == 2 and len(files_in(any_landing)) == 1
    assert list(any_landing.batches()) == []


def test_an_expiry_that_was_killed_half_way_is_finished_by_the_next(any_landing):
    land(any_landing, age=31 * DAY)
    name = land(any_landing, age=31 * DAY)
    any_landing.remove(name, "manifest.json")
    done = expire(any_landing, older_than_days=30, now=NOW)
    assert (done.batches, done.leftovers) == (1, 1)
    assert files_in(any_landing) == {}


def test_a_folder_that_is_none_of_landings_is_not_touched(any_landing):
    for name in ("shop_api/orders/somebody/elses", "shop_api/orders/a-window/20240101T000000Z-copy"):
        (any_landing.root / name).mkdir(parents=True, exist_ok=True)
        (any_landing.root / name / "file").write_bytes(b"x")
    before = files_in(any_landing)
    done = expire(any_landing, older_than_days=1, now=NOW)
    assert (done.batches, done.leftovers) == (0, 0)
    assert files_in(any_landing) == before


@pytest.mark.parametrize("days", [0, -1])
def test_less_than_a_day_is_refused_because_runs_still_need_their_batches(any_landing, days):
    name = land(any_landing, age=timedelta(hours=1))
    with pytest.raises(ValueError, match="1 day at least"):
        expire(any_landing, older_than_days=days, now=NOW)
    assert list(any_landing.batches()) == [name]


def test_files_that_were_never_finished_are_swept_out_of_a_batch_that_stays(tmp_path):
    landing = Landing(tmp_path)
    name = land(landing, age=DAY * 2)
    for file, age in ((".partial-0a-orders.parquet", 2 * DAY), (".partial-0b-orders.parquet", DAY / 2)):
        (tmp_path / name / file).write_bytes(b"12345")
        at = (NOW - age).timestamp()
        os.utime(tmp_path / name / file, (at, at))
    done = expire(landing, older_than_days=30, now=NOW)
    assert (done.batches, done.leftovers, done.bytes) == (0, 1, 5)
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
        ".partial-0b-orders.parquet", "manifest.json", "page-00001.zst",
    ]  # fmt: skip


def test_no_empty_folders_of_past_windows_are_left_in_a_folder(tmp_path):
    landing = Landing(tmp_path)
    land(landing, age=90 * DAY)
    kept = land(landing, age=DAY)
    expire(landing, older_than_days=30, now=NOW)
    assert [path.name for path in (tmp_path / "shop_api" / "orders").iterdir()] == [kept.split("/")[2]]
