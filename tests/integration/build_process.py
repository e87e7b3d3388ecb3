"""Builds all views over a window, few keys at a time, and says when it begins, for tests that kill it.

`python -m tests.integration.build_process DSN START END NOW`
"""

from __future__ import annotations

import sys
from datetime import datetime

from include.entities.window import Window
from include.features.building import plan
from include.features.building.build import build_view
from include.features.registry import FEATURE_VIEWS
from include.warehouse.connection import connect_warehouse

if __name__ == "__main__":
    start, end, now = map(datetime.fromisoformat, sys.argv[2:])
    plan.ROWS_AT_ONCE = (end - start).days
    with connect_warehouse(sys.argv[1]) as conn:
        print("begun", flush=True)
        for view in FEATURE_VIEWS.values():
            build_view(conn, view, Window(start, end), now=now)
            conn.commit()
    print("done", flush=True)
