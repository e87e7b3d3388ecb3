"""Building feature views and publishing them."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from orchestration.assets import FEATURES
from orchestration.window import run_window, window_extra


def build(view: str):
    """The task `build_<view>`: the view's rows for the snapshots of the window, and repairs before it."""

    @task(task_id=f"build_{view}")
    def build_one() -> None:
        from include.features.building.daily import build_versions
        from include.features.registry import FEATURE_VIEWS
        from orchestration.connections import warehouse

        window = run_window(get_current_context())
        with warehouse() as conn:
            build_versions(conn, FEATURE_VIEWS[view], window, now=datetime.now(UTC))

    return build_one()


@task(outlets=[FEATURES])
def publish_online() -> None:
    """Bring the online store up to date with all views that are as expected, then tell whoever waits for features.

    Where there is a connection `online_redis`, its Redis is brought up to date as well.
    """
    from include.features.building.daily import publish_checked
    from include.features.registry import FEATURE_VIEWS
    from orchestration.connections import online_redis, warehouse

    context = get_current_context()
    window = run_window(context)
    with warehouse() as conn:
        publish_checked(conn, FEATURE_VIEWS.values(), window=window, now=datetime.now(UTC))
        if client := online_redis():
            from include.features.online.redis_store import RedisOnline

            with client:
                store = RedisOnline(client)
                publish_checked(conn, FEATURE_VIEWS.values(), window=window, now=datetime.now(UTC), store=store)
    context["outlet_events"][FEATURES].extra = window_extra(window)
