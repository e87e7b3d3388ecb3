"""What the containers run besides Airflow: the users' passwords, health checks, the warehouse's address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy.api_server import BadSetting, password_file
from include.warehouse import __main__ as warehouse
from tests.unit.deployment_files import CHECKOUT


def test_every_user_gets_the_password_of_the_environment():
    passwords = {"admin": 'quo"te $ü', "anna": "another"}
    text = password_file(users="admin:admin, anna:viewer", passwords=json.dumps(passwords))
    assert json.loads(text) == passwords


@pytest.mark.parametrize(
    ("users", "passwords", "complaint"),
    [
        ("admin:admin,anna:viewer", '{"admin": "a"}', "no password for anna"),
        ("admin:admin", '{"admin": ""}', "no password for admin"),
        ("admin:admin", '{"admin": 1234}', "no password for admin"),
        ("admin:admin", '{"admin": "a", "ana": "b"}', "names ana"),
        ("admin:admin", "secret", "no JSON object"),
        ("admin:admin", "", "no JSON object"),
        ("admin:root", '{"admin": "a"}', "'admin:root'"),
        ("admin", '{"admin": "a"}', "'admin:'"),
        ("", "{}", "':'"),
    ],
)
def test_users_who_would_get_a_printed_password_are_refused(users: str, passwords: str, complaint: str):
    with pytest.raises(BadSetting, match=complaint):
        password_file(users=users, passwords=passwords)


def test_a_refusal_names_the_setting_but_no_password_and_ends_with_2(tmp_path: Path):
    environment = {
        **os.environ,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,anna:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(tmp_path / "passwords.json"),
        "REGULARS_UI_PASSWORDS": '{"admin": "hush"}',
    }
    ended = subprocess.run(
        [sys.executable, "deploy/api_server.py"], cwd=CHECKOUT, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "REGULARS_UI_PASSWORDS has no password for anna" in ended.stderr
    assert "hush" not in ended.stderr + ended.stdout
    assert not (tmp_path / "passwords.json").exists()


def test_airflow_starts_with_a_private_password_file_and_without_the_passwords_in_its_environment(tmp_path: Path):
    # A module named airflow stands in for the server: it tells what it was started with.
    (tmp_path / "airflow.py").write_text("import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))")
    file = tmp_path / "passwords.json"
    file.write_text("left by an earlier start")
    file.chmod(0o644)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(file),
        "REGULARS_UI_PASSWORDS": '{"admin": "hush"}',
    }
    ended = subprocess.run(
        [sys.executable, "deploy/api_server.py"],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words, seen = json.loads(ended.stdout)
    assert words == ["api-server", "--port", "8080"]
    assert "REGULARS_UI_PASSWORDS" not in seen
    assert json.loads(file.read_text()) == {"admin": "hush"}
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.fixture
def report() -> Iterator[tuple[str, dict[str, object]]]:
    """A server that answers /report with what the test puts into the dictionary."""
    content: dict[str, object] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/report" else 503)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", content
    server.shutdown()
    server.server_close()


def _health(*arguments: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "deploy/health.py", *arguments], cwd=CHECKOUT, capture_output=True, text=True
    )
    return ended.returncode, ended.stderr


def test_a_service_is_well_when_every_part_asked_for_is(report):
    url, content = report
    content.update(triggerer={"status": "healthy"}, dag_processor={"status": "unhealthy"}, scheduler={"status": None})
    assert _health(f"{url}/report", "triggerer") == (0, "")
    for sick in ("dag_processor", "scheduler", "unheard_of"):
        code, complaint = _health(f"{url}/report", "triggerer", sick)
        assert code == 1
        assert sick in complaint


def test_a_service_without_parts_is_well_when_it_answers_200(report):
    url, _ = report
    assert _health(f"{url}/report") == (0, "")
    assert _health(f"{url}/503")[0] == 1
    assert _health("http://127.0.0.1:1/report")[0] == 1


def test_the_warehouse_connection_becomes_a_connection_string():
    text = '{"conn_type": "postgres", "host": "db", "port": 5433, "login": "w", "password": "p q\'", "schema": "s"}'
    expected = {"host": "db", "port": "5433", "user": "w", "password": "p q'", "dbname": "s"}
    assert conninfo_to_dict(warehouse.dsn(text)) == expected


@pytest.mark.parametrize("text", ["", "postgres://u:p@h/d", "[]", "7", '{"host": "db"}'])
def test_another_form_of_connection_is_refused_without_showing_it(text: str):
    with pytest.raises(warehouse.BadSetting, match="AIRFLOW_CONN_WAREHOUSE is no JSON object") as refusal:
        warehouse.dsn(text)
    assert "u:p@h" not in str(refusal.value)
