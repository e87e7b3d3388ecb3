"""The whole way in with landing in a folder, in a bucket of a real S3 server and in memory: the tables are the same."""

from __future__ import annotations

import json

import pytest

from include.ingestion.landing import Landing
from include.sources.errors import SourceUnreachable
from include.sources.http import HttpLimits
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import PATHS, contents, ingest, source_of
from tests.integration.sandbox_process import sandbox
from tests.integration.test_ingestion_faults import WINDOW, faults
from tests.own_database import own_database

ENTITIES = ("orders", "events", "weather_daily")


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=25, seed=8) as running:
        yield running


@pytest.fixture(scope="module")
def truth(box, postgres_server, tmp_path_factory):
    """The tables as a run over a local folder leaves them."""
    with own_database(postgres_server, "truth_of_stores") as dsn, connect_warehouse(dsn) as conn:
        landing = Landing(tmp_path_factory.mktemp("truth"))
        for entity in ENTITIES:
            ingest(conn, source_of(box, entity), WINDOW, landing=landing)
        return {entity: contents(conn, entity) for entity in ENTITIES}


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_run_over_any_store_ends_with_the_tables_of_a_run_over_a_folder(box, warehouse, any_landing, truth, entity):
    run = ingest(warehouse, source_of(box, entity), WINDOW, landing=any_landing)
    assert contents(warehouse, entity) == truth[entity]
    assert list(any_landing.batches()) == [run.batch]
    again = ingest(warehouse, source_of(box, entity), WINDOW, landing=any_landing)
    assert again["upsert", entity].unchanged == again["upsert", entity].received > 0
    assert contents(warehouse, entity) == truth[entity]


def test_a_rejected_row_lies_in_any_store_where_quarantine_says(box, warehouse, any_landing):
    malformed = {"kind": "malformed_rows", "rows": 1, "seed": 3, "path": PATHS["orders"], "times": 1}
    with faults(box, malformed):
        run = ingest(warehouse, source_of(box, "orders"), WINDOW, landing=any_landing)
    assert run["upsert", "orders"].quarantined == 1
    query = "SELECT payload, landing_file, landing_position FROM quarantine.rejected_rows WHERE entity = 'orders'"
    ((payload, file, position),) = warehouse.execute(query).fetchall()
    batch, _, name = file.rpartition("/")
    assert batch == run.batch
    assert json.loads(any_landing.page(batch, name).body)[int(position)]["id"] == json.loads(payload)["id"]


def test_a_run_that_fails_half_way_leaves_nothing_in_any_store_and_the_next_ends_with_the_truth(
    box, warehouse, any_landing, truth
):
    limits = HttpLimits(attempts=2, first_wait_seconds=0.001)
    with (
        faults(box, {"kind": "server_error", "status": 500, "path": PATHS["orders"], "skip": 2}),
        pytest.raises(SourceUnreachable, match="Nothing was loaded"),
    ):
        ingest(warehouse, source_of(box, "orders", limits=limits), WINDOW, landing=any_landing)
    assert list(any_landing.batches()) == []
    assert any_landing.root.fs.find(any_landing.root.path, refresh=True) == []
    ingest(warehouse, source_of(box, "orders"), WINDOW, landing=any_landing)
    assert contents(warehouse, "orders") == truth["orders"]
