"""Keys of the API: shown once, kept as digests, with scopes, revoked within moments, bounded in their rate."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from include.serving.__main__ import main
from include.serving.keys import BadKeyRequest, create_key, list_keys, revoke_key
from include.warehouse.connection import connect_warehouse
from tests.command_line import ended
from tests.integration.serving_host import CHECKOUT, Api, api, new_key, until
from tests.own_database import as_api, connection

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASKED = "/v1/products/1/bought-together"
ANSWERED = 404  # There is no such product: the request came through.


@pytest.fixture
def running(warehouse_dsn: str) -> Iterator[Api]:
    with api(warehouse_dsn) as started:
        yield started


def test_a_key_is_nowhere_in_the_warehouse_but_for_the_digest_of_its_secret(warehouse):
    key = create_key(warehouse, name="shop", scopes=["churn:read"], now=NOW)
    _, key_id, secret = key.split("_")
    assert len(bytes.fromhex(secret)) == 32
    (row,) = warehouse.execute("SELECT api_keys::text, secret_digest FROM serving.api_keys").fetchall()
    assert row[1] == hashlib.sha256(secret.encode()).digest()
    assert secret not in row[0]
    assert key_id in row[0]


def test_two_keys_share_nothing(warehouse):
    keys = [create_key(warehouse, name=f"caller-{n}", scopes=["churn:read"], now=NOW) for n in range(20)]
    assert len({part for key in keys for part in key.split("_")[1:]}) == 40


@pytest.mark.parametrize(
    ("name", "scopes", "limits", "complaint"),
    [
        ("shop", ["churn:write"], {}, "churn:write"),
        ("shop", [], {}, "none given"),
        ("", ["churn:read"], {}, "cannot be used"),
        ("a b", ["churn:read"], {}, "cannot be used"),
        ("line\nbreak", ["churn:read"], {}, "cannot be used"),
        ("shop", ["churn:read"], {"burst": 0}, "greater than 0"),
        ("shop", ["churn:read"], {"requests_per_second": float("nan")}, "greater than 0"),
        ("taken", ["churn:read"], {}, "is in use"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_nothing_is_kept(warehouse, name, scopes, limits, complaint):
    create_key(warehouse, name="taken", scopes=["churn:read"], now=NOW)
    with pytest.raises(BadKeyRequest, match=complaint):
        create_key(warehouse, name=name, scopes=scopes, now=NOW, **limits)
    assert [key.name for key in list_keys(warehouse)] == ["taken"]


def test_a_revoked_key_stays_in_the_list_and_frees_its_name(warehouse):
    first = create_key(warehouse, name="shop", scopes=["churn:read"], now=NOW)
    assert revoke_key(warehouse, "shop", now=NOW) == first.split("_")[1]
    second = create_key(warehouse, name="shop", scopes=["churn:read", "value:read"], now=NOW)
    assert [(key.key_id, key.revoked_at is None) for key in list_keys(warehouse)].count(
        (first.split("_")[1], False)
    ) == 1
    assert revoke_key(warehouse, second.split("_")[1], now=NOW) == second.split("_")[1]
    with pytest.raises(BadKeyRequest, match="no key 'shop' in use"):
        revoke_key(warehouse, "shop", now=NOW)


def test_without_a_key_in_use_there_is_no_answer(running):
    _, key_id, secret = running.key.split("_")
    other = "0" if secret[-1] != "0" else "1"
    almost = [f"regulars_{key_id}_{secret[:-1]}{other}", f"regulars_{'0' * 12}_{secret}", f"{running.key}x"]
    wrong = ["", "nonsense", *almost]
    for key in wrong:
        answer = running.get(ASKED, key=key)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert running.get(ASKED, headers={"Authorization": f"Basic {running.key}"}).status_code == 401
    assert running.get(ASKED, headers={"Authorization": f"bearer  {running.key}"}).status_code == ANSWERED


def test_a_key_reads_what_its_scopes_say_and_nothing_else(running, warehouse_dsn):
    key = new_key(warehouse_dsn, "narrow", ["recommendations:read"])
    assert running.get(ASKED, key=key).status_code == ANSWERED
    for path in ("churn", "features", "value"):
        answer = running.get(f"/v1/customers/1/{path}", key=key)
        assert answer.status_code == 403
        assert "lacks the scope" in answer.json()["detail"]


def test_a_new_key_counts_at_once_and_a_revoked_one_soon_no_longer(running, warehouse_dsn):
    key = new_key(warehouse_dsn, "guest")
    until(lambda: running.get(ASKED, key=key).status_code == ANSWERED)
    with connect_warehouse(warehouse_dsn) as conn:
        revoke_key(conn, "guest", now=NOW)
        conn.commit()
    until(lambda: running.get(ASKED, key=key).status_code == 401)
    assert running.get(ASKED).status_code == ANSWERED


def test_callers_who_come_together_with_a_new_key_are_not_called_wrong_while_it_is_looked_up(warehouse_dsn):
    with (
        api(warehouse_dsn, key_seconds=3600.0, timeout_seconds=0.5) as running,
        connect_warehouse(warehouse_dsn) as conn,
        ThreadPoolExecutor(20) as callers,
    ):
        assert running.get(ASKED, key="nonsense").status_code == 401  # The keys there are have been read by now.
        key = new_key(warehouse_dsn, "guest")
        conn.execute("LOCK TABLE serving.api_keys IN ACCESS EXCLUSIVE MODE")
        answers = list(callers.map(lambda _: running.get(ASKED, key=key), range(20)))
        conn.rollback()
        assert {answer.status_code for answer in answers} <= {503, 504}
        until(lambda: running.get(ASKED, key=key).status_code == ANSWERED)


def test_a_key_that_nobody_can_look_up_is_not_called_wrong(warehouse_dsn):
    with api(warehouse_dsn, key_seconds=3600.0) as running:
        assert running.get(ASKED).status_code == ANSWERED
        with connect_warehouse(warehouse_dsn) as conn:
            conn.execute("ALTER TABLE serving.api_keys RENAME TO gone")
            conn.commit()
        guest = "regulars_" + "0" * 12 + "_" + "0" * 64
        until(lambda: running.get(ASKED, key=guest).status_code == 503)
        assert running.get(ASKED).status_code == ANSWERED


def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up(running, warehouse_dsn):
    hasty = new_key(warehouse_dsn, "hasty", requests_per_second=0.01, burst=3)
    answers = [running.get(ASKED, key=hasty) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [ANSWERED] * 3 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 100
    assert answers[-1].json()["type"].endswith(":too-many-requests")
    assert running.get(ASKED).status_code == ANSWERED


@pytest.fixture
def command(warehouse_dsn, monkeypatch, capsys):
    """Runs a command about keys in this process."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(warehouse_dsn))
    return lambda *words: ended(lambda arguments, _: main(arguments), ["keys", *words], {}, capsys)


def test_the_command_makes_lists_and_revokes_keys(running, command):
    words = ["keys", "create", "shop", "--scope", "recommendations:read", "--burst", "7"]
    made = subprocess.run(
        [sys.executable, "-m", "include.serving", *words], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert running.get(ASKED, key=key).status_code == ANSWERED
    listed = command("list").stdout
    assert "shop" in listed
    assert "burst 7" in listed
    assert key.split("_")[2] not in listed
    assert command("revoke", "shop").returncode == 0
    until(lambda: running.get(ASKED, key=key).status_code == 401)
    assert command("revoke", "shop").returncode == 2
    assert command("create", "shop", "--scope", "all").returncode == 2


def test_the_role_that_the_api_runs_as_cannot_make_a_key_and_says_who_can(warehouse_dsn, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(as_api(warehouse_dsn)))
    assert main(["keys", "create", "shop", "--scope", "churn:read"]) == 1
    assert "Keys are made by the owner of the warehouse" in capsys.readouterr().err
