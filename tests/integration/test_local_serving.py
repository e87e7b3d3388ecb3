"""The API of the embedded stack: started beside Airflow, with a first key, and keys by `make api-keys`."""

from __future__ import annotations

import psutil
import pytest
import requests

from include.local.api_keys import api_keys
from include.local.commands import dsn
from include.local.connections import connections
from include.local.errors import LocalStackError
from include.local.keys import load_keys
from include.local.parts import stop_parts
from include.local.places import Places
from include.local.postgres import PostgresServer
from include.local.serving import first_key, start_api, wait_for_api
from tests.integration.serving_host import until


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    made = Places(home=tmp_path_factory.mktemp("home"))
    yield made
    PostgresServer(made.postgres).stop()


@pytest.fixture(scope="module")
def environment(places):
    described = connections(warehouse_dsn=dsn(places=places), sandbox_port=0, keys=load_keys(places.keys))
    return {**described, "REGULARS_STORAGE": str(places.storage)}


def test_the_api_answers_on_this_machine_alone_with_the_first_key_and_ends_when_told(places, environment, capfd):
    part, url = start_api(places=places, environment=environment, now="2026-01-01T00:00:00Z")
    try:
        wait_for_api(part, url=url)
        key = first_key(dsn(places=places))
        path = f"{url}/v1/products/1/bought-together"
        assert requests.get(path, headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code == 404
        assert requests.get(path, timeout=30).status_code == 401
        assert first_key(dsn(places=places)) is None
        assert api_keys(["create", "shop", "--scope", "recommendations:read"], places=places) == 0
        other = capfd.readouterr().out.strip()
        headers = {"Authorization": f"Bearer {other}"}
        until(lambda: requests.get(path, headers=headers, timeout=30).status_code == 404)  # known within two seconds
        listening = [
            each.laddr.ip for each in psutil.Process(part.pid).net_connections("inet") if each.status == "LISTEN"
        ]
        assert listening == ["127.0.0.1"]
        seen = psutil.Process(part.pid).environ()
        assert {name for name in seen if name.startswith("AIRFLOW_CONN_")} == {"AIRFLOW_CONN_WAREHOUSE"}
    finally:
        assert stop_parts([part], folder=places.parts) == ["api"]


def test_an_api_that_ends_by_itself_is_told_with_its_log(places, environment):
    part, url = start_api(
        places=places, environment={**environment, "AIRFLOW_CONN_WAREHOUSE": "{}"}, now="2026-01-01T00:00:00Z"
    )
    with pytest.raises(LocalStackError, match="no JSON object"):
        wait_for_api(part, url=url)
    stop_parts([part], folder=places.parts)


def test_without_a_command_the_help_lists_them(places, capfd):
    assert api_keys([], places=places) == 0
    told = capfd.readouterr().out
    assert all(command in told for command in ("create", "list", "revoke"))
