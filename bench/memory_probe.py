"""One step of ingestion in a process of its own; prints the most memory that it ever held, in megabytes.

`python -m bench.memory_probe '{"step": "validate", ...}'`
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from include.entities.entity import RejectionLimit
from include.entities.orders import ORDERS
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.service import service_in_postgres
from include.sources.settings import SourceSettings
from include.sources.woocommerce_orders import WooCommerceOrders
from include.warehouse.connection import connect_warehouse


class Asked(msgspec.Struct, kw_only=True):
    """What to run: `extract` from `base_url`, or `validate` or `load` of a landed batch."""

    step: str
    dsn: str
    landing: str
    window: tuple[datetime, datetime]
    batch: str = ""
    base_url: str = "http://127.0.0.1:1"
    login: str = ""
    password: str = ""


def main() -> None:
    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    window = Window(*asked.window)
    settings = SourceSettings(
        name="shop_api", base_url=asked.base_url, login=asked.login or None, password=asked.password or None
    )
    with connect_warehouse(asked.dsn) as conn:
        source = WooCommerceOrders(settings)
        source.entity = replace(ORDERS, rejection_limit=RejectionLimit(share=2.0))  # half of the rows may go
        service = service_in_postgres(conn, source, landing=Landing(asked.landing))
        if asked.step == "extract":
            rows = asyncio.run(service.extract(window)).received
        elif asked.step == "validate":
            rows = sum(receipt.received for receipt in service.validate(window, batch=asked.batch))
        else:
            rows = sum(receipt.received for receipt in service.load(window, batch=asked.batch))
        conn.commit()
    # Not ru_maxrss: it also counts what the parent held when this process was started.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(msgspec.json.encode({"rows": rows, "megabytes": int(peak.split()[1]) / 1024}).decode())


if __name__ == "__main__":
    main()
