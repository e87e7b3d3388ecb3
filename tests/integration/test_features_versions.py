"""Versions: what makes one, what is refused, and that a model keeps the version that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from psycopg import Connection

from include.entities.events import Event
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.building.daily import build_versions, publish_checked
from include.features.definitions.check import DefinitionRefused, check_against_database
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.versions import (
    UnknownVersion,
    apply_view,
    current_version,
    retire_version,
    stored_version,
    versions_in_use,
)
from include.features.definitions.view import Feature, FeatureView
from include.features.online.push import push
from include.features.registry import FEATURE_VIEWS, Registry
from include.features.upkeep.retention import forget_touches
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import DAY, NOW, Order, day, load, newest_versions

START = day("2024-01-01")
WINDOW = Window(START, START + DAY * 3)
CHANGED = replace(CUSTOMER_RFM, query=CUSTOMER_RFM.query.replace("ntile(5)", "ntile(4)"))


@pytest.mark.parametrize("view", FEATURE_VIEWS.values(), ids=str)
def test_every_view_fits_the_database(warehouse, view):
    check_against_database(warehouse, view)


def test_a_changed_definition_gets_tables_of_its_own_and_the_old_ones_stay_as_they_are(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 21)])
    build_view(warehouse, CUSTOMER_RFM, WINDOW, now=NOW)
    before = warehouse.execute("SELECT * FROM features.customer_rfm_v1 ORDER BY 1, 2").fetchall()
    build_view(warehouse, CHANGED, WINDOW, now=NOW)
    assert current_version(warehouse, CHANGED).version == 2
    assert warehouse.execute("SELECT max(recency_score) FROM features.customer_rfm_v2").fetchone() == (4,)
    assert warehouse.execute("SELECT * FROM features.customer_rfm_v1 ORDER BY 1, 2").fetchall() == before
    assert warehouse.execute("SELECT max(recency_score) FROM features.customer_rfm").fetchone() == (4,)
    assert apply_view(warehouse, CUSTOMER_RFM, now=NOW).version == 1, "back to the old definition is no third version"
    assert warehouse.execute("SELECT max(recency_score) FROM features.customer_rfm").fetchone() == (5,)
    assert stored_version(warehouse, "customer_rfm", 1).view.digest == CUSTOMER_RFM.digest
    with pytest.raises(UnknownVersion, match=r"no version 3. It has: \[1, 2\]"):
        stored_version(warehouse, "customer_rfm", 3)


def test_a_version_that_a_model_was_trained_on_is_built_and_published_until_it_is_retired(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 21)])
    build_versions(warehouse, CUSTOMER_RFM, WINDOW, now=NOW)
    later = Window(WINDOW.end, WINDOW.end + DAY)
    receipts = build_versions(warehouse, CHANGED, later, now=NOW)
    assert [(each.details["version"], each.inserted) for each in receipts] == [(2, 20), (1, 20)]
    published = publish_checked(warehouse, [CHANGED], window=later, now=NOW)
    assert {name: each.inserted for name, each in published.items()} == {"customer_rfm": 20, "customer_rfm@1": 20}

    registry = Registry(views=(CHANGED,))
    retire_version(warehouse, stored_version(warehouse, "customer_rfm", 1), now=NOW, registry=registry)
    assert [each.version for each in versions_in_use(warehouse, "customer_rfm")] == [2]
    assert len(build_versions(warehouse, CHANGED, Window(later.end, later.end + DAY), now=NOW)) == 1
    with pytest.raises(ValueError, match="customer_rfm@2 is how the code defines the view now"):
        retire_version(warehouse, current_version(warehouse, CHANGED), now=NOW, registry=registry)


@pytest.mark.parametrize("view", [CUSTOMER_RFM, CUSTOMER_ACTIVITY], ids=str)
def test_a_retired_definition_that_comes_back_takes_in_what_came_while_it_was_retired(warehouse, view):
    other = replace(view, ttl=DAY * 9)
    before, after = Registry(views=(view,)), Registry(views=(other,))
    _use_only(warehouse, view)
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    for defined in (view, other):
        build_versions(warehouse, defined, WINDOW, now=NOW)
    warehouse.commit()
    push(warehouse, [_event(customer_id=3, at=WINDOW.end)], now=WINDOW.end + DAY / 2, registry=after)
    retire_version(warehouse, stored_version(warehouse, view.name, 1), now=NOW, registry=after)
    load(warehouse, [Order(99, 3, START + DAY)])
    build_versions(warehouse, other, WINDOW, now=NOW + DAY)
    as_it_is = newest_versions(warehouse, other)
    assert forget_touches(warehouse, CUSTOMER) > 0
    warehouse.commit()

    build_versions(warehouse, view, WINDOW, now=NOW + DAY)
    assert newest_versions(warehouse, view) == as_it_is
    assert [each.version for each in versions_in_use(warehouse, view.name)] == [1, 2]
    assert forget_touches(warehouse, CUSTOMER) == 1, "the one that says that all of it is stale"
    again = build_versions(warehouse, view, WINDOW, now=NOW + DAY)
    assert [(each.details["version"], each.received) for each in again] == [(1, 0), (2, 0)]
    retire_version(warehouse, stored_version(warehouse, view.name, 2), now=NOW, registry=before)
    assert [each.version for each in versions_in_use(warehouse, view.name)] == [1]


def _use_only(conn: Connection, view: FeatureView) -> None:
    conn.execute("UPDATE features.view_versions SET retired_at = created_at WHERE view_name <> %s", (view.name,))


def _event(*, customer_id: int, at: datetime) -> Event:
    return Event(
        event_id="pushed", event_name="Product Viewed", customer_id=customer_id, anonymous_id=None, product_id=1,
        order_id=None, properties={}, occurred_at=at, source_updated_at=at,
    )  # fmt: skip


def test_a_view_that_is_defined_no_more_keeps_touches_until_it_is_retired(warehouse, caplog):
    left = Registry(views=(CUSTOMER_ACTIVITY,))
    _use_only(warehouse, CUSTOMER_RFM)
    load(warehouse, [Order(1, 1, START)])
    build_view(warehouse, CUSTOMER_ACTIVITY, WINDOW, now=NOW)
    deleted = stored_version(warehouse, "customer_rfm", 1)
    forget_touches(warehouse, CUSTOMER, registry=left)
    assert warehouse.execute("SELECT source FROM features.customer_touches").fetchall() == [("shop.orders",)]
    assert "Retire it: python -m include.features retire customer_rfm@1" in caplog.text
    retire_version(warehouse, deleted, now=NOW, registry=left)
    caplog.clear()
    assert forget_touches(warehouse, CUSTOMER, registry=left) == 1
    assert "retire" not in caplog.text


def test_changes_that_a_first_build_did_not_see_are_not_forgotten_while_it_lasts(warehouse, warehouse_dsn):
    view = replace(CUSTOMER_ACTIVITY, ttl=DAY * 9)
    _use_only(warehouse, CUSTOMER_RFM)
    load(warehouse, [Order(1, 1, START)])
    with connect_warehouse(warehouse_dsn) as building:
        building.execute("SELECT 1")  # so that the build is not committed at its end
        build_view(building, view, WINDOW, now=NOW)
        load(warehouse, [Order(2, 1, START)])
        build_view(warehouse, CUSTOMER_RFM, WINDOW, now=NOW)
        forget_touches(warehouse, CUSTOMER)
        warehouse.commit()
        building.commit()
    assert build_view(warehouse, view, WINDOW, now=NOW + DAY).updated == 3
    place = 2 + view.feature_names.index("order_count_30d")
    assert [row[place] for row in newest_versions(warehouse, view)] == ["2"] * 3


def test_what_is_not_as_expected_is_built_and_not_published_until_it_is(warehouse):
    strict = replace(CUSTOMER_ACTIVITY, expectations=(FeatureExpectation(rows_at_least=21),))
    load(warehouse, [Order(number, number, START) for number in range(1, 21)])
    for view in (CUSTOMER_RFM, strict):
        build_view(warehouse, view, WINDOW, now=NOW)
    published = publish_checked(warehouse, [CUSTOMER_RFM, strict], window=WINDOW, now=NOW)
    assert published["customer_rfm"].inserted == 20
    assert published["customer_activity"].received == 0
    assert published["customer_activity"].details["refused"] == ["the snapshot has 21 rows or more, and it has 20"]
    assert warehouse.execute("SELECT count(*) FROM features.customer_activity_v1_online").fetchone() == (0,)
    assert warehouse.execute("SELECT count(*) FROM features.customer_activity").fetchone() == (60,)
    load(warehouse, [Order(99, 99, WINDOW.end)])
    later = Window(WINDOW.end, WINDOW.end + DAY)
    build_view(warehouse, strict, later, now=NOW)
    assert publish_checked(warehouse, [strict], window=later, now=NOW)["customer_activity"].inserted == 21


PLAIN = "SELECT customer_id, snapshot_at, 1::bigint AS one FROM shop.orders, snapshots WHERE paid_at < snapshot_at"


@pytest.mark.parametrize(
    ("query", "reads", "says"),
    [
        (PLAIN, ("shop.orders",), None),
        (PLAIN.replace("shop.orders,", "shop.ordres,"), ("shop.orders",), "does not run: relation"),
        (PLAIN.replace("one", "two"), ("shop.orders",), "gives no column one; its query gives two, which is not"),
        (PLAIN.replace("1::bigint", "'1'::text"), ("shop.orders",), "gives one as text, which must be bigint or"),
        (PLAIN, ("shop.orders", "shop.events"), "`reads` names shop.events, which its query does not read"),
        (PLAIN.replace("shop.orders", "shop.customers, shop.orders AS o").replace("customer_id", "o.customer_id"),
         ("shop.orders",), "reads shop.customers, which `reads` does not name"),
        (PLAIN + " AND status = 'completed'", ("shop.orders",), "reads shop.orders.status, which says how a record is"),
        (PLAIN + " AND ingested_at < snapshot_at", ("shop.orders",), "reads shop.orders.ingested_at"),
        (PLAIN + " AND to_jsonb(orders) ->> 'status' = 'completed'", ("shop.orders",), "takes a row as one value"),
        (PLAIN + " AND orders.*::text LIKE '%completed%'", ("shop.orders",), "takes a row as one value"),
        (PLAIN.replace("shop.orders, snapshots", "(shop.orders CROSS JOIN snapshots) AS pairs")
         + " AND to_jsonb(pairs) ->> 'status' = 'completed'", ("shop.orders",), "takes a row as one value"),
        (PLAIN + " AND paid_at < now()", ("shop.orders",), r"asks a clock or chance \('now\('\)"),
        (PLAIN + " -- not now()", ("shop.orders",), None),
        (PLAIN.replace("shop.orders", "shop.customers").replace("paid_at", "registered_at"), ("shop.customers",),
         "changes of shop.customers are noted for no customer"),
    ],
)  # fmt: skip
def test_a_definition_that_does_not_fit_is_refused_in_words(warehouse, query, reads, says):
    view = replace(
        CUSTOMER_RFM, name="probe", query=query, reads=reads, expectations=(),
        features=(Feature(name="one", type="integer", unit="ones", description="always one"),),
    )  # fmt: skip
    if says is None:
        assert apply_view(warehouse, view, now=NOW).version == 1
        return
    with pytest.raises(DefinitionRefused, match=says):
        apply_view(warehouse, view, now=NOW)
    assert warehouse.execute("SELECT count(*) FROM features.view_versions WHERE view_name = 'probe'").fetchone() == (0,)
