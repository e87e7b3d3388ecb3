"""`make ingestion DO="…"`: the command line on the embedded stack, with the settings that its tasks have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include.ingestion.landing import Landing
from include.local.commands import dsn
from include.local.ingestion import ingestion
from include.local.models import models
from include.local.places import Places
from include.local.postgres import PostgresServer
from include.local.shop import last_shop
from tests.unit.source_pages import WINDOW, good_body, page


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    made = Places(home=tmp_path_factory.mktemp("home"))
    yield made
    PostgresServer(made.postgres).stop()


def test_a_batch_in_the_stacks_landing_is_loaded_into_its_warehouse_and_expires(places, capfd):
    landing = Landing(places.storage / last_shop(places.shop).database / "landing")
    began = datetime.now(UTC) - timedelta(days=40)
    batch = landing.open_batch(source="shop_api", entity="refunds", window=WINDOW, now=began)
    batch.write(page("refunds", good_body("refunds")), rows=1)
    name = batch.close()
    assert ingestion(["replay", "--batch", name], places=places) == 0
    assert f"replay batch={name}" in capfd.readouterr().out
    with psycopg.connect(dsn(places=places)) as conn:
        assert conn.execute("SELECT refund_id FROM shop.refunds").fetchall() == [(2001,)]
    assert ingestion(["expire"], places=places) == 0
    assert "expire_landing batches=1" in capfd.readouterr().out
    assert list(landing.batches()) == []


def test_without_a_command_the_help_lists_them_and_a_wrong_one_is_told(places, capfd):
    assert ingestion([], places=places) == 0
    told = capfd.readouterr().out
    assert all(command in told for command in ("replay", "expire", "erase"))
    assert ingestion(["replay"], places=places) == 2
    assert "--help shows an example" in capfd.readouterr().err


def test_models_are_looked_after_by_the_same_way(places, capfd):
    assert models([], places=places) == 0
    told = capfd.readouterr().out
    assert all(command in told for command in ("list", "show", "rollback"))
    assert models(["rollback", "churn", "--reason", "x"], places=places) == 1
    assert "nothing to roll back" in capfd.readouterr().err
    assert (places.storage / last_shop(places.shop).database / "models" / "mlflow.db").is_file()
