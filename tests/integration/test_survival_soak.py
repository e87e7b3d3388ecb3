"""Some randomised runs of extraction, validation and load under every kind of fault; `make soak` makes a thousand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from include.local.sandbox.damage import KINDS
from include.sources import woocommerce_customers
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import ingest
from tests.integration.sandbox_process import sandbox
from tests.own_database import own_database
from tests.soak.harness import Harness, Outcome, Violated
from tests.soak.scenario import Scenario, draw
from tests.soak.stage import CUSTOMERS, SHOP_SEED, small_pages
from tests.soak.summary import never_struck
from tests.soak.world import World

FIRST_SEED, RUNS = 4_000, 20


@pytest.fixture(scope="module")
def harness(postgres_server, tmp_path_factory):
    with (
        own_database(postgres_server, "soak") as dsn,
        connect_warehouse(dsn) as conn,
        sandbox(customers=CUSTOMERS, seed=SHOP_SEED) as box,
        small_pages(),
    ):
        world = World(box, customers=CUSTOMERS, seed=SHOP_SEED)
        yield Harness(box, world, conn, tmp_path_factory.mktemp("soak") / "landing")


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + RUNS))
def test_the_tables_are_the_truth_or_the_run_fails_clearly_and_the_next_is_the_truth(harness, seed):
    harness.run(seed)


def test_a_seed_gives_one_and_the_same_run(harness):
    assert draw(7, harness.world) == draw(7, harness.world) != draw(8, harness.world)


def test_a_thousand_runs_draw_every_kind_of_fault_alone_and_every_kind_mixed_with_others(harness):
    drawn = [draw(seed, harness.world) for seed in range(1_000)]
    assert {kind for scenario in drawn for kind in scenario.kinds if len(scenario.kinds) == 1} == set(KINDS)
    assert {kind for scenario in drawn for kind in scenario.kinds if len(scenario.kinds) > 1} == set(KINDS)
    assert {len(scenario.kinds) for scenario in drawn} >= {0, 1, 2, 3, 5}
    assert min(Counter(scenario.entity for scenario in drawn).values()) > 50


@pytest.mark.parametrize(
    ("struck", "untried"),
    [
        ([*([kind] for kind in KINDS), [*KINDS]], []),
        ([[*KINDS]], [f"{kind} alone" for kind in KINDS]),
        ([[kind] for kind in KINDS], [f"{kind} among others" for kind in KINDS]),
        ([*([kind] for kind in KINDS if kind != "timeout"), [*KINDS]], ["timeout alone"]),
    ],
)
def test_a_kind_of_fault_that_never_struck_is_named(harness, struck, untried):
    scenario = draw(7, harness.world)
    outcomes = [
        Outcome(replace(scenario, faults=tuple({"kind": kind} for kind in kinds)), "truth", Counter(kinds), 0.0)
        for kinds in struck
    ]
    assert never_struck(outcomes) == sorted(untried)


def seed_where(harness: Harness, wanted) -> int:
    return next(seed for seed in range(10_000) if wanted(draw(seed, harness.world)))


def test_a_run_that_loses_a_row_is_told_with_its_seed(harness, monkeypatch):
    """The check itself: a platform that drops the last row of every page does not pass."""
    seed = seed_where(harness, lambda scenario: scenario.entity == "customers" and not scenario.faults)
    customers = woocommerce_customers.WooCommerceCustomers
    split, parse = customers.split, customers.parse

    def parse_less(self, page, window):
        parsed = parse(self, page, window)
        parsed.records.pop()
        parsed.positions.pop()
        return parsed

    monkeypatch.setattr(customers, "parse", parse_less)
    monkeypatch.setattr(customers, "split", lambda self, body, window: split(self, body, window)[:-1])
    with pytest.raises(Violated, match=rf"rows lost(.|\n)*make soak SEED={seed} RUNS=1"):
        harness.run(seed)


def test_a_run_that_changes_a_value_is_told(harness, monkeypatch):
    seed = seed_where(harness, lambda scenario: scenario.entity == "customers" and not scenario.faults)
    to_customer = woocommerce_customers.to_customer
    monkeypatch.setattr(
        woocommerce_customers, "to_customer", lambda wire: replace(to_customer(wire), country="Nowhere")
    )
    with pytest.raises(Violated, match=r"expected and stored differ in .*Nowhere"):
        harness.run(seed)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("DELETE FROM shop.customers WHERE customer_id = (SELECT max(customer_id) FROM shop.customers)", "1 rows lost"),
        ("UPDATE shop.customers SET country = 'Nowhere'", "expected and stored differ in .*Nowhere"),
    ],
)
def test_a_good_row_that_is_lost_or_changed_beside_malformed_ones_is_told(harness, monkeypatch, harm, told):
    def is_wanted(scenario: Scenario) -> bool:
        rows = [(fault["kind"], fault.get("rows"), fault.get("skip", 1)) for fault in scenario.faults]
        return scenario.entity == "customers" and not scenario.before and rows == [("malformed_rows", 1, 0)]

    def harmful(conn, *arguments, **options):
        run = ingest(conn, *arguments, **options)
        conn.execute(harm)
        conn.commit()
        return run

    seed = seed_where(harness, is_wanted)
    monkeypatch.setattr("tests.soak.harness.ingest", harmful)
    with pytest.raises(Violated, match=f"after the run under faults the tables are not the truth: .*{told}"):
        harness.run(seed)


def test_an_error_that_nobody_thought_of_is_told(harness, monkeypatch):
    seed = seed_where(harness, lambda scenario: scenario.entity == "orders" and len(scenario.before) == 0)

    def fail(*arguments, **options):
        raise KeyError("surprise")

    monkeypatch.setattr("tests.soak.harness.ingest", fail)
    with pytest.raises(Violated, match=r"an error that nobody thought of.*surprise"):
        harness.run(seed)
