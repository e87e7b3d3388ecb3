"""What validation lets in, the warehouse can hold: no row of a page can keep the others out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ingestion.judge import judge_page
from include.sources.errors import ContractBroken
from include.warehouse.connection import connect_warehouse
from include.warehouse.upsert import upsert_rows
from tests.integration.ingestion_shop import NOW
from tests.own_database import own_database
from tests.properties import examples
from tests.unit.hostile_pages import pages_of
from tests.unit.source_pages import ENTITY_NAMES, WINDOW, page, source


@pytest.fixture(scope="module")
def conn(postgres_server):
    with own_database(postgres_server, "hostile_rows") as dsn, connect_warehouse(dsn) as connection:
        yield connection


@pytest.mark.parametrize("entity_name", ENTITY_NAMES)
@examples(30)
@given(data=st.data())
def test_every_row_that_passes_can_be_loaded_and_read_again_without_a_change(conn, entity_name, data):
    feed = source(entity_name)
    body = data.draw(pages_of(entity_name))
    try:
        feed.split(body, WINDOW)
    except (ValueError, ContractBroken):
        return
    judged = judge_page(feed, page(entity_name, body), WINDOW)
    with conn.transaction(force_rollback=True):
        first, *lines = upsert_rows(
            conn, feed.entity, judged.rows, window=WINDOW, source="s", now=NOW, child_rows=judged.lines
        )
        keys = {tuple(row[name] for name in feed.entity.key) for row in judged.rows.to_pylist()}
        assert (first.received, first.inserted) == (judged.rows.num_rows, len(keys))
        again = upsert_rows(conn, feed.entity, judged.rows, window=WINDOW, source="s", now=NOW, child_rows=judged.lines)
        assert again[0].unchanged == len(keys)
        for before, after in zip(lines, again[1:], strict=True):
            assert after.unchanged == before.inserted
            assert after.received == after.unchanged + after.duplicate
