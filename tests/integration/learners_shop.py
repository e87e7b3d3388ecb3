"""A small shop in a warehouse as `make demo` leaves it, without Airflow: loaded, features built, marts made, valued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import Connection

from include.analytics.mart import Mart
from include.analytics.refresh import data_until, refresh
from include.analytics.registry import MARTS
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.registry import FEATURE_VIEWS
from include.ingestion.landing import Landing
from include.local.connections import STOCK_SYMBOLS, WEATHER_LOCATIONS
from include.models.lifetime.refit import refit_lifetime
from include.models.lifetime.scores import score_lifetime
from tests.integration.ingestion_shop import NOW, ingest, source_of
from tests.integration.sandbox_process import SandboxProcess

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(START, END)
LATELY = Window(END - timedelta(days=270), END)
"""Of which snapshots are built: those that are learnt from, and what lies between."""
VIEWS = ("customer_rfm", "customer_activity", "customer_lifetime", "customer_basket", "customer_engagement")
SHOWN = (
    "revenue_daily",
    "cohort_retention",
    "funnel_daily",
    "order_value_statistics",
    "rfm_segments",
    "data_inventory",
)
"""The marts that the notebooks and the guide show."""
SIGNALS = ("weather_daily", "stock_prices_daily")


def fill(conn: Connection, box: SandboxProcess, landing: Path) -> None:
    """Bring in the simulated shop over HTTP and do with it what a night does; commits."""
    for entity in (*SIGNALS, *(name for name in ENTITIES if name not in SIGNALS)):
        source = source_of(
            box, entity, weather_api={"extra": {"locations": WEATHER_LOCATIONS}},
            stock_api={"password": box.stock_key, "extra": {"symbols": STOCK_SYMBOLS, "currency": "USD"}},
        )  # fmt: skip
        ingest(conn, source, WINDOW, landing=Landing(landing))
    for name in VIEWS:
        build_view(conn, FEATURE_VIEWS[name], LATELY, now=NOW)
        conn.commit()
    for mart in with_upstream(*SHOWN):
        refresh(conn, mart, window=WINDOW, until=data_until(conn), now=NOW)
        conn.commit()
    refit_lifetime(conn, snapshot_at=END, now=NOW)
    score_lifetime(conn, snapshot_at=END, now=NOW)
    conn.commit()


def with_upstream(*names: str) -> list[Mart]:
    """Marts and those that they are made of, in the order in which they are made."""
    wanted = set(names)
    for mart in reversed(MARTS.values()):
        if mart.name in wanted:
            wanted.update(mart.upstream)
    return [mart for mart in MARTS.values() if mart.name in wanted]
