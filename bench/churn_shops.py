"""Shops in a warehouse for benchmarks of the churn model: a real file, and the simulator, whose truth is known."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import Connection

from include.entities.window import Window
from include.features.building.build import build_view
from include.ingestion.landing import Landing
from include.ingestion.service import service_in_postgres
from include.models.churn.parameters import ChurnParameters
from include.models.churn.training_set import VIEWS
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from tests.integration.sandbox_process import sandbox

DAY = timedelta(days=1)
FILE_ENTITIES = ("customers", "products", "orders", "refunds")
SIMULATED_ENTITIES = (*FILE_ENTITIES, "events")


def load_online_retail(conn: Connection, file: Path, *, now: datetime) -> Window:
    """Load a file in the layout of Online Retail; the window of its whole days is given back."""
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "export"
        export.mkdir()
        (export / file.name).symlink_to(file.resolve())
        settings = SourceSettings(name="shop_api", base_url=str(export), kind="file", extra={"layout": "online_retail"})
        landing = Landing(Path(folder) / "landing")
        everything = Window(datetime(2000, 1, 1, tzinfo=UTC), now)
        for entity in FILE_ENTITIES:
            source = source_for(entity, settings_of=lambda _: settings)
            service = service_in_postgres(conn, source, landing=landing, clock=lambda: now)
            asyncio.run(service.run(everything))
    return _as_loaded(conn)


def load_simulated(conn: Connection, *, customers: int, seed: int, now: datetime) -> Window:
    """Load the simulator's shop from a sandbox, as the platform would."""
    with tempfile.TemporaryDirectory() as folder, sandbox(customers=customers, seed=seed) as box:
        settings = {
            "shop_api": SourceSettings(
                name="shop_api", base_url=box.base_url, login=box.consumer_key, password=box.consumer_secret
            ),
            "event_export": SourceSettings(name="event_export", base_url=box.base_url, password=box.event_token),
        }
        landing = Landing(Path(folder) / "landing")
        window = Window(*(datetime.fromisoformat(box.health()[name]).astimezone(UTC) for name in ("start", "end")))
        for entity in SIMULATED_ENTITIES:
            source = source_for(entity, settings_of=settings.__getitem__)
            service = service_in_postgres(conn, source, landing=landing, clock=lambda: now)
            asyncio.run(service.run(window))
    return _as_loaded(conn)


def build_snapshots(conn: Connection, parameters: ChurnParameters, *, data: Window, now: datetime) -> None:
    """Features at the snapshots that a training set of the data asks for, and at no others."""
    wanted = parameters.training_snapshots(coverage_end=data.end, data_start=data.start)
    for snapshot in [*wanted, parameters.test_snapshot(coverage_end=data.end)]:
        for view in VIEWS:
            build_view(conn, view, Window(snapshot - DAY, snapshot), now=now)
    conn.commit()


def _as_loaded(conn: Connection) -> Window:
    """From the first paid order to the start of the day of the last one, which may not be whole."""
    row = conn.execute("SELECT min(paid_at), max(paid_at) FROM shop.orders").fetchone()
    assert row is not None
    end = datetime.combine(row[1].astimezone(UTC).date(), datetime.min.time(), UTC)
    conn.execute("UPDATE ops.receipts SET window_end = least(window_end, %s) WHERE entity = 'orders'", (end,))
    conn.commit()
    return Window(row[0], end)
