"""The weekly lifetime value, run by a real Airflow."""

from __future__ import annotations

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from tests.integration.feature_shop import DAY, NOW, load
from tests.integration.test_lifetime_scores import ORDERS, SNAPSHOT

RUN = {"start": (SNAPSHOT - DAY * 7).isoformat(), "end": SNAPSHOT.isoformat()}


def states_of(run) -> dict[str, str]:
    return {each.task_id: each.state for each in run.get_task_instances()}


def test_a_run_fits_and_scores_everybody_and_again_writes_nothing(dag_bag, platform, warehouse):
    load(warehouse, ORDERS)
    build_view(warehouse, CUSTOMER_LIFETIME, Window(SNAPSHOT - DAY, SNAPSHOT), now=NOW)
    warehouse.commit()
    for _ in range(2):
        run = dag_bag.dags["lifetime_value"].test(run_conf=RUN)
        assert states_of(run) == {"fit_lifetime": "success", "score_lifetime": "success"}
    assert warehouse.execute("SELECT count(*) FROM ml.lifetime_models").fetchone() == (1,)
    receipts = warehouse.execute(
        "SELECT inserted, updated, unchanged FROM ops.receipts WHERE entity = 'lifetime_values' ORDER BY receipt_id"
    ).fetchall()
    written = receipts[0][0]
    assert receipts == [(written, 0, 0), (0, 0, written)]
    assert warehouse.execute("SELECT count(*) FROM ml.lifetime_values").fetchone() == (written,)
    assert written > 200


def test_with_too_few_customers_the_run_is_skipped(dag_bag, platform, warehouse):
    build_view(warehouse, CUSTOMER_LIFETIME, Window(SNAPSHOT - DAY, SNAPSHOT), now=NOW)
    warehouse.commit()
    run = dag_bag.dags["lifetime_value"].test(run_conf=RUN)
    assert states_of(run) == {"fit_lifetime": "skipped", "score_lifetime": "skipped"}
