"""docker-compose.yaml and .env.example: whole, and closed by default."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest

from deploy.api_server import PORT, ROLES
from include.local.sandbox import __main__ as sandbox
from tests.unit.deployment_files import (
    CHECKOUT,
    NotSet,
    compose,
    example,
    image_environment,
    resolved,
    services,
    settings,
    variables,
)

ONE_SHOT = {"databases", "init"}
MONITORING = {"statsd-exporter", "prometheus", "grafana"}
LASTING = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "metrics", "sandbox"} | MONITORING
LASTING |= {"mlflow", "api"}
AIRFLOW_SERVICES = ["init", "api-server", "scheduler", "dag-processor", "triggerer"]
SHARED = [
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
]
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|AIRFLOW_CONN")
# Without them a bucket asks the machine for its role; a folder needs none.
OF_AN_OPTIONAL_STORE = "AIRFLOW_CONN_ONLINE_REDIS"
OF_A_BUCKET = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_the_compose_file_follows_the_compose_specification():
    schema = json.loads((Path(__file__).parent / "compose_spec" / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.validate(compose())
    validator.validate(resolved(settings()))
    broken = deepcopy(compose())
    broken["services"]["scheduler"]["restarts"] = "always"
    assert not validator.is_valid(broken), "the schema accepts an unknown key, so it checks nothing"


def test_the_services_are_exactly_these():
    assert set(services()) == ONE_SHOT | LASTING
    assert [name for name, service in services().items() if "profiles" in service] == ["sandbox"]


@pytest.mark.parametrize("name", sorted(LASTING))
def test_a_lasting_service_is_watched_restarted_and_its_log_rotated(name: str):
    service = services()[name]
    assert set(service["healthcheck"]) == {"test", "interval", "timeout", "retries", "start_period"}
    assert service["restart"] == "unless-stopped"


def test_one_shot_services_are_not_started_again_when_they_have_ended():
    assert {name for name, service in services().items() if "restart" not in service} == ONE_SHOT


@pytest.mark.parametrize("name", sorted(ONE_SHOT | LASTING))
def test_every_service_is_pinned_unprivileged_and_bounded_in_its_log(name: str):
    service = services()[name]
    image = r"(postgres|regulars(-mlflow)?|(prom|grafana)/[\w-]+):v?\d+\.\d+(\.\d+)?(-\w+)?"
    assert re.fullmatch(image, service["image"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    assert service.get("user") == ("postgres" if service["image"].startswith("postgres:") else None)
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


def test_each_service_waits_for_what_it_needs():
    waits = {
        name: {other: gate["condition"] for other, gate in service.get("depends_on", {}).items()}
        for name, service in services().items()
    }
    ended, healthy = "service_completed_successfully", "service_healthy"
    running = {"init": ended, "api-server": healthy}
    assert waits == {
        "postgres": {},
        "databases": {"postgres": healthy},
        "init": {"databases": ended, "statsd-exporter": "service_started"},
        "api-server": {"init": ended},
        "mlflow": {"databases": ended},
        "scheduler": {**running, "mlflow": healthy},
        "dag-processor": running,
        "triggerer": running,
        "metrics": {"init": ended},
        "api": {"init": ended, "mlflow": healthy},
        **{name: {} for name in MONITORING},
        "sandbox": {},
    }


def test_only_the_ui_the_api_and_grafana_are_published_and_grafana_on_loopback_whatever_is_asked():
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {
        "api-server": [f"127.0.0.1:8080:{PORT}"],
        "api": ["127.0.0.1:8000:8000"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    asked = {"REGULARS_BIND": "0.0.0.0", "REGULARS_PORT": "80", "REGULARS_GRAFANA_PORT": "3001"}
    assert resolved({**settings(), **asked})["services"]["api"]["ports"] == ["127.0.0.1:8000:8000"]
    asked |= {"REGULARS_API_BIND": "0.0.0.0", "REGULARS_API_PORT": "443"}
    opened = resolved({**settings(), **asked})["services"]
    assert opened["api-server"]["ports"] == [f"0.0.0.0:80:{PORT}"]
    assert opened["api"]["ports"] == ["0.0.0.0:443:8000"]
    assert opened["grafana"]["ports"] == ["127.0.0.1:3001:3000"]


def test_data_lives_in_named_volumes():
    mounts = {
        name: dict(reversed(mount.split(":")[:2]) for mount in service.get("volumes", []))
        for name, service in services().items()
    }
    volumes = set(compose()["volumes"])
    assert mounts["postgres"] == {"/var/lib/postgresql": "postgres"}
    storage = services()["scheduler"]["environment"]["REGULARS_STORAGE"]
    logs = f"{image_environment()['AIRFLOW_HOME']}/logs"
    assert mounts["scheduler"] == {storage: "storage", logs: "logs"}
    for name in ("api-server", "dag-processor", "triggerer"):
        assert mounts[name] == {logs: "logs"}, f"{name} must share the logs, or the UI cannot show them"
    assert mounts["mlflow"] == {"/var/lib/mlflow": "models"}
    assert mounts["prometheus"]["/prometheus"] == "prometheus"
    assert mounts["grafana"]["/var/lib/grafana"] == "grafana"
    assert volumes == {"postgres", "storage", "models", "logs", "prometheus", "grafana"}
    assert (CHECKOUT / next(source for source in mounts["databases"].values())).is_file()


def test_nothing_starts_without_each_secret():
    whole = settings()
    resolved(whole)
    required = {match["name"] for match in variables() if match["kind"] == "?"}
    assert required == {line.name for line in example() if line.is_active}
    for name in required:
        with pytest.raises(NotSet, match=name):
            resolved({**whole, name: ""})


def test_no_secret_has_a_default():
    for match in variables():
        if SECRET.search(match["name"]):
            assert match["kind"] == "?" or not match["text"], f"{match['name']} has the default {match['text']!r}"
    for line in example():
        if line.is_active:
            assert line.value == "", f"{line.name} in .env.example must be empty, so that everyone fills in their own"


def test_secrets_that_may_be_missing_belong_to_the_sandbox_which_refuses_to_start_without(monkeypatch):
    named = {match["name"] for match in variables() if match["kind"] != "?" and SECRET.search(match["name"])}
    optional = named - OF_A_BUCKET - {OF_AN_OPTIONAL_STORE}
    environment = resolved({**settings(), **dict.fromkeys(optional, "")})["services"]["sandbox"]["environment"]
    assert set(environment) == optional
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(sandbox.BadSetting) as refusal:
        sandbox._credentials()
    assert all(name in str(refusal.value) for name in optional)


def test_every_variable_is_documented_and_everything_documented_is_used():
    assert {match["name"] for match in variables()} == {line.name for line in example()}


def test_what_the_example_calls_a_default_is_the_default():
    shown = {line.name: line.value for line in example() if not line.is_active and not SECRET.search(line.name)}
    optional = [match for match in variables() if match["kind"] == "-" and not SECRET.search(match["name"])]
    assert shown == {match["name"]: match["text"] for match in optional}


def test_every_variable_says_what_it_does_when_it_is_missing():
    for match in variables():
        assert match["kind"] in ("?", "-"), f"${{{match['name']}}} would be empty in silence: use :? or :-"
        assert match["kind"] == "-" or match["name"] in match["text"]


def test_all_parts_of_airflow_share_their_secrets_and_their_database():
    for name in SHARED:
        values = {services()[service]["environment"][name] for service in AIRFLOW_SERVICES}
        assert len(values) == 1
        assert "filled-" in next(iter(values))


def test_passwords_of_people_reach_only_the_service_that_asks_for_them():
    for variable, holder in {"REGULARS_UI_PASSWORDS": "api-server", "GF_SECURITY_ADMIN_PASSWORD": "grafana"}.items():
        holders = [name for name, service in services().items() if variable in service.get("environment", {})]
        assert holders == [holder]


def test_the_default_users_have_roles_that_airflow_knows():
    users = services()["api-server"]["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert all(user.partition(":")[2] in ROLES for user in users.split(","))


def test_the_command_for_the_fernet_key_makes_one():
    command = next(
        line.removeprefix("# python3 -c ")[1:-1]
        for line in (CHECKOUT / ".env.example").read_text().splitlines()
        if line.startswith("# python3 -c ")
    )
    key = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    assert len(base64.urlsafe_b64decode(key)) == 32
