"""Versions: what makes one, what is refused, and that a model keeps the version that it was trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.building.daily import build_versions, publish_checked
from include.features.definitions.check import DefinitionRefused, check_against_database
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.versions import (
    UnknownVersion,
    apply_view,
    current_version,
    retire_version,
    stored_version,
    versions_in_use,
)
from include.features.definitions.view import Feature
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import DAY, NOW, Order, day, load

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
    assert current_version(warehouse, CUSTOMER_RFM).version == 1, "back to the old definition is no third version"
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

    retire_version(warehouse, stored_version(warehouse, "customer_rfm", 1), now=NOW)
    assert [each.version for each in versions_in_use(warehouse, "customer_rfm")] == [2]
    assert len(build_versions(warehouse, CHANGED, Window(later.end, later.end + DAY), now=NOW)) == 1
    with pytest.raises(ValueError, match="newest version"):
        retire_version(warehouse, current_version(warehouse, CHANGED), now=NOW)


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
