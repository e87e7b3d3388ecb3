"""The nightly upkeep of the feature store, run by a real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.versions import current_version
from include.features.history.mirror import Mirror
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from tests.integration.feature_shop import DAY, NOW, Order, day, load

START = day("2024-01-01")
SUNDAY, MONDAY = datetime(2024, 6, 2, 4, 30, tzinfo=UTC), datetime(2024, 6, 3, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(("ends_at", "compacted"), [(SUNDAY, "success"), (MONDAY, "skipped")])
def test_upkeep_measures_thins_mirrors_and_on_sundays_compacts(
    dag_bag, platform, warehouse, tmp_path, monkeypatch, ends_at, compacted
):
    load(warehouse, [Order(number, number, START) for number in range(1, 6)])
    build_view(warehouse, CUSTOMER_ACTIVITY, Window(START, START + DAY * 40), now=NOW)
    for grain, days in (("DAILY", 1), ("WEEKLY", 2), ("MONTHLY", 99_999)):
        monkeypatch.setenv(f"REGULARS_FEATURE_{grain}_DAYS", str(days))
    run = dag_bag.dags["feature_store_upkeep"].test(logical_date=ends_at)
    states = {each.task_id: each.state for each in run.get_task_instances()}
    assert states == {
        "measure_features": "success", "thin_features": "success", "mirror_features": "success",
        "compact_features": compacted,
    }  # fmt: skip
    kept = {row[0] for row in warehouse.execute("SELECT DISTINCT event_time FROM features.customer_activity")}
    assert kept == {datetime(2024, 2, 1, tzinfo=UTC), START + timedelta(days=40)}
    measured = warehouse.execute("SELECT count(DISTINCT event_time) FROM features.statistics").fetchone()
    assert measured == (2,)
    version = current_version(warehouse, CUSTOMER_ACTIVITY)
    assert Mirror(str(tmp_path / "storage" / "features")).update(warehouse, version).rows == 10
    assert warehouse.execute("SELECT count(*) FROM features.customer_touches").fetchone()[0] > 0, "others want them"
