"""The nightly publication to Redis, by a real Airflow, where there is a connection to one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
import redis

from include.features.online.reads import OnlineFeatures
from tests.integration.redis_process import redis_server

pytestmark = pytest.mark.needs_program("redis-server")


def test_what_is_published_to_the_warehouse_is_published_to_redis_too(dag_bag, platform, monkeypatch):
    start = datetime(2024, 6, 1, tzinfo=UTC)
    window = {"start": start.isoformat(), "end": (start + timedelta(days=3)).isoformat()}
    with redis_server() as url:
        connection = {"conn_type": "redis", "host": "127.0.0.1", "port": urlsplit(url).port}
        monkeypatch.setenv("AIRFLOW_CONN_ONLINE_REDIS", json.dumps(connection))
        run = dag_bag.dags["shop_to_features"].test(run_conf=window)
        assert run.state == "success"
        keys = [{"customer_id": number} for number in range(1, 121)]
        wanted, at = ["customer_rfm", "customer_activity", "customer_context"], start + timedelta(days=3, hours=1)
        with (
            redis.Redis.from_url(url) as client,
            OnlineFeatures(platform, redis_client=client) as there,
            OnlineFeatures(platform) as here,
        ):
            found = there.get_online_features(wanted, keys, at=at)
            assert found.to_dict() == here.get_online_features(wanted, keys, at=at).to_dict()
            assert any(value is not None for value in found.to_dict()["frequency"])
