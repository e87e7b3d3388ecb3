"""Publishes to a store and says when it begins, for tests that kill it.

`python -m tests.integration.publish_process DSN REDIS_URL NOW`; `postgres` in place of the URL is the warehouse's.
"""

from __future__ import annotations

import sys
from datetime import datetime

from include.features.registry import FEATURE_VIEWS
from include.warehouse.connection import connect_warehouse
from tests.integration.online_stores import in_postgres, in_redis

if __name__ == "__main__":
    dsn, where, now = sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3])
    online = in_postgres(dsn) if where == "postgres" else in_redis(dsn, where, is_empty=False)
    with connect_warehouse(dsn) as conn:
        print("begun", flush=True)
        online.publish(conn, FEATURE_VIEWS.values(), now=now)
        conn.commit()
    print("done", flush=True)
