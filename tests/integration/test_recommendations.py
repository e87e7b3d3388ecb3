"""Recommendations from purchases to published tables: what is never in them, repetition, looks ahead, odd shops."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from math import ceil

import psycopg
import pytest

from include.entities.window import Window
from include.features.history.training_sets import TrainingSetLost
from include.models.recommendations.evaluate import evaluate_candidates
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.publish import publish_recommendations
from include.models.recommendations.purchase_runs import RunMissing, build_candidates
from include.models.recommendations.reads import recommendations_for
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import DAY, NOW, Order, load
from tests.integration.recommendation_shop import (
    END,
    PRODUCTS,
    PROVENANCE,
    WINDOW,
    add_products,
    fill,
    orders_with_tastes,
    random_orders,
)
from tests.own_database import own_database

PARAMETERS = RecommendationParameters(factors=8, resamples=200)
TABLES = ("recommendations", "popular_products", "bought_together")
ORDERS = orders_with_tastes(11)


@pytest.fixture(scope="module")
def template(postgres_server):
    """A database with the shop, copied for each test."""
    with own_database(postgres_server, "recommendations_template") as dsn:
        with connect_warehouse(dsn) as conn:
            fill(conn, ORDERS)
        yield "recommendations_template"


@pytest.fixture
def shop_dsn(postgres_server, template):
    """Connection string of a warehouse with a shop whose customers have tastes."""
    with own_database(postgres_server, "recommendations_shop", template=template) as dsn:
        yield dsn


@pytest.fixture
def shop(shop_dsn):
    with connect_warehouse(shop_dsn) as conn:
        yield conn


def run_all(conn, storage, *, window: Window = WINDOW, parameters: RecommendationParameters = PARAMETERS, now=NOW):
    model_id = build_candidates(conn, window=window, storage=storage, now=now, parameters=parameters)
    evaluation = evaluate_candidates(conn, model_id=model_id, storage=storage, now=now)
    return evaluation, publish_recommendations(conn, model_id=model_id, storage=storage, now=now)


def published(conn, *, with_places: bool = False) -> dict[str, list[tuple]]:
    columns = "ctid::text, xmin::text, t::text" if with_places else "t::text"
    return {name: conn.execute(f"SELECT {columns} FROM ml.{name} AS t ORDER BY t::text").fetchall() for name in TABLES}


def paid(orders=ORDERS) -> list[Order]:
    return [order for order in orders if order.paid_at is not None]


def test_tastes_are_learned_and_the_blend_beats_popularity_where_nothing_was_chosen(shop, tmp_path):
    evaluation, publication = run_all(shop, tmp_path)
    assert (evaluation.method, publication.method) == ("blend", "blend")
    for segment in ("all", "new_to_customer"):
        for metric in ("precision", "recall", "ndcg", "map", "hit_rate"):
            of = {m: evaluation.value("test", segment, m, metric) for m in ("blend", "popularity")}
            assert of["blend"] > of["popularity"], (segment, metric)
    bought = defaultdict(set)
    for order in paid():
        bought[order.customer_id] |= set(order.products)
    for customer in (4, 5, 6, 7):
        rows = recommendations_for(shop, customer, limit=5)
        assert {(row.product_id - 1) // 10 for row in rows} == {customer % 4}
        assert all((row.source == "repeat") <= (row.product_id in bought[customer]) for row in rows)


def test_every_list_is_ranked_without_gaps_or_twins_and_every_customer_has_one(shop, tmp_path):
    _, publication = run_all(shop, tmp_path)
    rows = shop.execute(
        "SELECT customer_id, array_agg(rank ORDER BY rank), array_agg(score ORDER BY rank) FROM ml.recommendations "
        "GROUP BY customer_id"
    ).fetchall()
    assert {row[0] for row in rows} == {order.customer_id for order in paid()} - {None}
    assert publication.customers == len(rows)
    for _, ranks, scores in rows:
        assert ranks == list(range(1, len(ranks) + 1)) and len(ranks) <= PARAMETERS.kept_per_customer
        assert scores == sorted(scores, reverse=True) and scores[-1] > 0


def test_what_is_sold_out_unpublished_a_fee_or_gone_is_in_no_published_table(warehouse, tmp_path):
    barred = {"sold out": [1, 11], "unpublished": [2, 12], "gone": [3, 13], "fee": [4], "shipping": [14]}
    never = {product for products in barred.values() for product in products}
    fill(warehouse, ORDERS, products=set(PRODUCTS) - set(barred["gone"]) - {1, 11, 2, 12})
    add_products(warehouse, barred["sold out"], stock_status="outofstock")
    add_products(warehouse, barred["unpublished"], is_published=False)
    for kind in ("fee", "shipping"):
        warehouse.execute(
            f"INSERT INTO shop.order_lines VALUES (1, %s, %s, %s, NULL, 'f', 1, 1, 1, {PROVENANCE})",
            (900 + barred[kind][0], kind, barred[kind][0]),
        )
    warehouse.commit()
    run_all(warehouse, tmp_path)
    sold = {product for order in paid() for product in order.products}
    assert never <= sold, "they were bought; or leaving them out would show nothing"
    for table, column in zip(TABLES, ("product_id", "product_id", "other_product_id"), strict=True):
        found = {row[0] for row in warehouse.execute(f"SELECT DISTINCT {column} FROM ml.{table}")}
        assert found and not found & never
    against_the_shop = warehouse.execute(
        """
        SELECT count(*) FROM ml.recommendations AS r LEFT JOIN shop.products AS p USING (product_id)
        WHERE p.product_id IS NULL OR NOT p.is_published OR p.stock_status = 'outofstock'
            OR EXISTS (SELECT FROM shop.order_lines AS l WHERE l.product_id = r.product_id AND l.kind <> 'product')
        """
    ).fetchone()
    assert against_the_shop == (0,)


def test_facts_from_the_cut_on_change_nothing(shop, tmp_path):
    first = run_all(shop, tmp_path)[0]
    before = published(shop)
    load(shop, [Order(50_000 + n, 1 + n % 90, END + DAY * (n % 5), products=(1 + n % 40,)) for n in range(300)])
    assert run_all(shop, tmp_path)[0] == first
    assert published(shop) == before


def test_what_is_chosen_does_not_depend_on_the_test_window(shop, tmp_path):
    """Other purchases in the last horizon: other test figures, the same choices and the same validation figures."""
    test_at = END - timedelta(days=PARAMETERS.horizon_days)
    earlier = [order for order in paid() if order.paid_at < test_at]
    late = [Order(90_000 + n, 1 + n % 110, test_at + DAY * (n % 29), products=(40 - n % 17,)) for n in range(400)]
    first = run_all(shop, tmp_path)[0]
    shop.execute("TRUNCATE shop.orders, shop.order_lines")
    load(shop, earlier + late)
    second = run_all(shop, tmp_path)[0]
    assert (second.choices, second.method, second.reason) == (first.choices, first.method, first.reason)
    of = [[m for m in each.metrics if m.split == "validation"] for each in (first, second)]
    assert of[0] == of[1] and of[0]
    assert first.value("test", "all", "blend", "ndcg") != second.value("test", "all", "blend", "ndcg")


def test_the_same_data_gives_the_same_tables_to_the_byte_and_a_second_run_writes_nothing(shop, tmp_path):
    first = run_all(shop, tmp_path)
    before = published(shop, with_places=True)
    metrics = shop.execute("SELECT xmin::text, t::text FROM ml.recommendation_metrics AS t").fetchall()
    runs = shop.execute("SELECT xmin::text, t::text FROM ml.recommendation_runs AS t").fetchall()
    again = run_all(shop, tmp_path, now=NOW + DAY)
    assert again[0] == first[0]
    assert again[1] == replace(first[1], changed=0)
    assert published(shop, with_places=True) == before
    assert shop.execute("SELECT xmin::text, t::text FROM ml.recommendation_metrics AS t").fetchall() == metrics
    assert shop.execute("SELECT xmin::text, t::text FROM ml.recommendation_runs AS t").fetchall() == runs


def test_the_order_in_which_the_shop_was_loaded_makes_no_difference(shop, tmp_path):
    run_all(shop, tmp_path)
    before = published(shop)
    for name in (*TABLES, "recommendation_metrics", "recommendation_runs"):
        shop.execute(f"DELETE FROM ml.{name}")
    shop.execute("TRUNCATE shop.orders, shop.order_lines")
    load(shop, ORDERS[::-1])
    run_all(shop, tmp_path / "elsewhere")
    assert published(shop) == before


def test_a_model_no_better_than_popularity_is_published_as_popularity_and_the_log_says_so(warehouse, tmp_path, caplog):
    fill(warehouse, random_orders(5))
    with caplog.at_level(logging.INFO):
        evaluation, publication = run_all(warehouse, tmp_path)
    assert (evaluation.method, publication.method) == ("popularity", "popularity")
    assert "does not beat popularity: ndcg" in evaluation.reason
    assert any("evaluate_candidates" in line and "does not beat popularity" in line for line in caplog.messages)
    popular = [row[0] for row in warehouse.execute("SELECT product_id FROM ml.popular_products ORDER BY rank")]
    for customer in (1, 2, 3):
        rows = recommendations_for(warehouse, customer, limit=10)
        assert [row.product_id for row in rows] == popular[:10]
        assert {(row.source, row.is_fallback) for row in rows} == {("popularity", True)}


def test_the_choice_and_its_metrics_are_on_record(shop, tmp_path):
    evaluation, _ = run_all(shop, tmp_path)
    row = shop.execute(
        "SELECT method, method_reason, choices, validation_at, test_at, status, as_of FROM ml.recommendation_runs"
    ).fetchone()
    horizon = timedelta(days=PARAMETERS.horizon_days)
    assert row == (
        evaluation.method, evaluation.reason, evaluation.choices.as_json(), [END - horizon * 2, END - horizon * 3],
        END - horizon, "published", END,
    )  # fmt: skip
    kept = shop.execute(
        "SELECT split, segment, method, metric, value, low, high, over_popularity FROM ml.recommendation_metrics"
    ).fetchall()
    assert len(kept) == 2 * 2 * 5 * 6, "splits, segments, methods, metrics"
    for *_, method, metric, value, low, high, over in kept:
        if metric == "coverage":
            assert (low, high, over) == (None, None, None) and 0 < value <= 1
        else:
            assert low <= value <= high
            assert method != "popularity" or over == 0


def test_test_figures_are_those_of_a_plain_look_at_lists_and_orders(shop, tmp_path):
    """Popularity beside its definition: one list for all, halved with time, hits counted customer by customer."""
    evaluation, _ = run_all(shop, tmp_path)
    cut = END - timedelta(days=PARAMETERS.horizon_days)
    weight, bought, later = Counter(), defaultdict(set), defaultdict(set)
    for order in (order for order in paid() if order.customer_id is not None and order.paid_at < END):
        for product in set(order.products):
            if order.paid_at < cut:
                age = (cut - order.paid_at) / DAY
                weight[product] += 0.5 ** (age / evaluation.choices.half_life_days)
                bought[order.customer_id].add(product)
            else:
                later[order.customer_id].add(product)
    ranked = sorted(weight, key=lambda product: (-weight[product], product))
    asked = [customer for customer in later if customer in bought]
    hits = [len(set(ranked[:10]) & later[customer]) for customer in asked]
    recalls = [hit / len(later[customer]) for hit, customer in zip(hits, asked, strict=True)]
    assert evaluation.value("test", "all", "popularity", "precision") == pytest.approx(sum(hits) / 10 / len(hits))
    assert evaluation.value("test", "all", "popularity", "recall") == pytest.approx(sum(recalls) / len(recalls))
    new = {customer: later[customer] - bought[customer] for customer in asked if later[customer] - bought[customer]}
    new_hits = [
        len(set([p for p in ranked if p not in bought[customer]][:10]) & new[customer]) / len(new[customer])
        for customer in new
    ]
    assert evaluation.value("test", "new_to_customer", "popularity", "recall") == pytest.approx(
        sum(new_hits) / len(new_hits)
    )


@pytest.mark.parametrize(("share", "largest"), [(0.0, 100), (0.01, 100), (0.05, 100), (0.01, 3)])
def test_what_is_bought_together_is_what_counting_every_pair_gives(shop, tmp_path, share, largest):
    parameters = replace(
        PARAMETERS, least_basket_share=share, largest_basket=largest, kept_together=1000, basket_days=120
    )
    run_all(shop, tmp_path, parameters=parameters)
    since = END - DAY * 120
    baskets = [set(order.products) for order in paid() if since <= order.paid_at < END]
    assert max(map(len, baskets)) > 3
    baskets = [basket for basket in baskets if 0 < len(basket) <= largest]
    singles = Counter(product for basket in baskets for product in basket)
    pairs = Counter(pair for basket in baskets for pair in combinations(sorted(basket), 2))
    least = max(ceil(share * len(baskets)), parameters.least_basket_orders)
    expected = {}
    for (a, b), both in pairs.items():
        lift = both * len(baskets) / (singles[a] * singles[b])
        if both >= least and lift > 1:
            expected[a, b] = (both, both / len(baskets), both / singles[a], both / singles[b], lift)
            expected[b, a] = (both, both / len(baskets), both / singles[b], both / singles[a], lift)
    found = {
        (a, b): tuple(figures)
        for a, b, *figures in shop.execute(
            "SELECT product_id, other_product_id, order_count, support, confidence, reverse_confidence, lift "
            "FROM ml.bought_together"
        )
    }
    assert found.keys() == expected.keys() and expected
    for pair, figures in expected.items():
        assert found[pair] == pytest.approx(figures)
    for (product,) in shop.execute("SELECT DISTINCT product_id FROM ml.bought_together").fetchall():
        others = shop.execute(
            "SELECT rank, other_product_id FROM ml.bought_together WHERE product_id = %s ORDER BY rank", (product,)
        ).fetchall()
        best_first = sorted(
            (other for own, other in expected if own == product),
            key=lambda other: (-expected[product, other][2], -expected[product, other][4], other),
        )
        assert others == list(enumerate(best_first, 1))


def test_a_reader_sees_one_publication_whole_whenever_it_reads(shop, shop_dsn, tmp_path):
    first, _ = run_all(shop, tmp_path, window=Window(END - DAY * 21, END - DAY * 20))
    old = published(shop)
    shop.commit()
    with psycopg.connect(shop_dsn, autocommit=True) as reader:
        model_id = build_candidates(shop, window=WINDOW, storage=tmp_path, now=NOW, parameters=PARAMETERS)
        evaluate_candidates(shop, model_id=model_id, storage=tmp_path, now=NOW)
        shop.commit()
        with shop.transaction():
            publish_recommendations(shop, model_id=model_id, storage=tmp_path, now=NOW)
            seen, new = published(reader), published(shop)
            listed = recommendations_for(reader, 1)
        assert seen == old != new
        assert {row.model_id for row in listed} == {first.model_id}
        assert published(reader) == new
        assert {row.model_id for row in recommendations_for(reader, 1)} == {model_id}


def test_while_one_publication_follows_another_every_read_is_of_one_model(shop, shop_dsn, tmp_path):
    ends = [END - DAY * days for days in (9, 6, 3, 0)]
    run_all(shop, tmp_path, window=Window(ends[0] - DAY, ends[0]))
    shop.commit()
    every_model = " UNION ".join(f"SELECT model_id FROM ml.{name}" for name in TABLES)
    seen, is_over = [], threading.Event()

    def read() -> None:
        with psycopg.connect(shop_dsn, autocommit=True) as reader:
            while not is_over.is_set():
                seen.append((reader.execute(every_model).fetchall(), recommendations_for(reader, 1)))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for end in ends[1:]:
            run_all(shop, tmp_path, window=Window(end - DAY, end))
            shop.commit()
    finally:
        is_over.set()
        thread.join()
    assert len(seen) > 10
    for models, listed in seen:
        assert len(models) == 1
        assert len(listed) == 10 and len({row.model_id for row in listed}) == 1


def test_a_publication_that_fails_leaves_the_earlier_one(shop, tmp_path):
    run_all(shop, tmp_path, window=Window(END - DAY * 21, END - DAY * 20))
    old = published(shop, with_places=True)
    model_id = build_candidates(shop, window=WINDOW, storage=tmp_path, now=NOW, parameters=PARAMETERS)
    evaluate_candidates(shop, model_id=model_id, storage=tmp_path, now=NOW)
    shop.execute("ALTER TABLE ml.bought_together ADD CONSTRAINT refused CHECK (order_count < 0) NOT VALID")
    shop.commit()
    with pytest.raises(psycopg.errors.CheckViolation):
        publish_recommendations(shop, model_id=model_id, storage=tmp_path, now=NOW)
    assert published(shop, with_places=True) == old


def test_a_run_over_an_older_window_does_not_take_the_place_of_a_newer_one(shop, tmp_path):
    run_all(shop, tmp_path)
    before = published(shop, with_places=True)
    _, publication = run_all(shop, tmp_path, window=Window(END - DAY * 31, END - DAY * 30))
    assert publication.outcome == "older"
    assert published(shop, with_places=True) == before


def test_the_files_of_earlier_runs_go_when_a_later_one_is_published(shop, tmp_path):
    run_all(shop, tmp_path, window=Window(END - DAY * 2, END - DAY))
    evaluation, _ = run_all(shop, tmp_path)
    assert [path.stem for path in tmp_path.rglob("*.parquet")] == [evaluation.model_id]


SHOPS = {
    "empty": [],
    "one customer": [Order(1, 7, END - DAY * 3, products=(1, 2)), Order(2, 7, END - DAY * 100, products=(1,))],
    "one customer and one product": [Order(1, 7, END - DAY * 3, products=(1,))],
    "guests only": [Order(n, None, END - DAY * n, products=(n % 5 + 1, n % 3 + 6)) for n in range(1, 60)],
    "no repeat purchases": [Order(n, n, END - DAY * (n / 2), products=(n % 40 + 1,)) for n in range(1, 200)],
    "orders without products": [Order(n, n % 9, END - DAY * n) for n in range(1, 60)],
}


@pytest.mark.parametrize("orders", SHOPS.values(), ids=SHOPS.keys())
def test_odd_shops_give_a_clear_result(warehouse, tmp_path, orders):
    fill(warehouse, orders)
    evaluation, publication = run_all(warehouse, tmp_path)
    assert publication.outcome == "published"
    assert publication.customers == len(
        {order.customer_id for order in orders if order.customer_id is not None and order.products}
    )
    assert evaluation.method == "popularity" and evaluation.reason
    assert publication.recommendations == warehouse.execute("SELECT count(*) FROM ml.recommendations").fetchone()[0]
    if publication.customers:
        assert recommendations_for(warehouse, 999_999)


def test_with_every_product_sold_out_nothing_is_recommended(shop, tmp_path):
    run_all(shop, tmp_path, window=Window(END - DAY * 2, END - DAY))
    shop.execute("UPDATE shop.products SET stock_status = 'outofstock'")
    shop.commit()
    _, publication = run_all(shop, tmp_path)
    assert (publication.recommendations, publication.popular, publication.bought_together) == (0, 0, 0)
    assert published(shop) == {name: [] for name in TABLES}
    assert recommendations_for(shop, 1) == []


def test_a_window_that_was_not_loaded_is_not_judged(shop, tmp_path):
    shop.execute("UPDATE ops.receipts SET window_start = %s", (END - timedelta(days=65),))
    shop.commit()
    run_all(shop, tmp_path)
    row = shop.execute("SELECT validation_at, test_at FROM ml.recommendation_runs").fetchone()
    assert row == ([END - timedelta(days=60)], END - timedelta(days=30))


def test_steps_out_of_order_or_without_their_file_say_what_to_do(shop, tmp_path):
    with pytest.raises(RunMissing, match="Run build_candidates first"):
        evaluate_candidates(shop, model_id="recommendations-none", storage=tmp_path, now=NOW)
    model_id = build_candidates(shop, window=WINDOW, storage=tmp_path, now=NOW, parameters=PARAMETERS)
    with pytest.raises(RunMissing, match="Run evaluate_candidates first"):
        publish_recommendations(shop, model_id=model_id, storage=tmp_path, now=NOW)
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    with pytest.raises(TrainingSetLost, match="Run build_candidates for its window again"):
        evaluate_candidates(shop, model_id=model_id, storage=tmp_path, now=NOW)
