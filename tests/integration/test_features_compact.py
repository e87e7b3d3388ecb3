"""A history put in the order in which it is searched."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from psycopg import sql

from include.features.upkeep.compact import HistoryInUse, compact_history
from include.warehouse.connection import connect_warehouse
from tests.integration.history_oracle import BY_BOTH, CODES, Row, write


def test_rows_lie_in_the_order_of_the_search_and_are_the_same(warehouse):
    rows = [Row((left, code), event, event) for left in (3, 1, 2) for code in CODES for event in range(9)]
    random.Random(1).shuffle(rows)
    version = write(warehouse, BY_BOTH, rows)
    every = sql.SQL("SELECT h::text FROM {} AS h ORDER BY 1").format(version.history)
    before = warehouse.execute(every).fetchall()
    warehouse.commit()
    assert compact_history(warehouse, version) > 0
    assert warehouse.execute(every).fetchall() == before
    lying = warehouse.execute(
        sql.SQL("SELECT left_id, code, event_time FROM {} ORDER BY ctid").format(version.history)
    ).fetchall()
    assert lying == sorted(lying, key=lambda row: (row[0], row[1].encode(), -row[2].timestamp()))


def test_a_history_that_is_read_is_left_alone_after_a_while(warehouse, warehouse_dsn):
    version = write(warehouse, BY_BOTH, [Row((1, "a"))])
    warehouse.commit()
    with connect_warehouse(warehouse_dsn) as reader:
        reader.execute(sql.SQL("SELECT * FROM {}").format(version.history))
        with pytest.raises(HistoryInUse, match=r"by_both@1 was in use for 0\.05 s"):
            compact_history(warehouse, version, lock_timeout=timedelta(milliseconds=50))
    assert compact_history(warehouse, version) > 0
