"""The services of docker-compose.yaml against the code they run: commands, health routes, settings, connections."""

from __future__ import annotations

import argparse
import asyncio
import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from deploy.api_server import PORT
from include.ingestion import metrics
from include.local import postgres
from include.local.airflow_settings import write_airflow_files
from include.local.keys import load_keys
from include.local.places import Places
from include.local.sandbox import __main__ as sandbox
from include.local.sandbox.app import Credentials, build_app
from include.serving import __main__ as serving
from include.serving.app import build_app as build_api
from include.serving.settings import ServingSettings
from include.serving.warehouse import serving_pool
from include.sources.factory import SOURCES
from include.warehouse.__main__ import dsn
from include.warehouse.api_role import API_ROLE
from tests.unit.deployment_files import CHECKOUT, image_environment, resolved, services, settings
from tests.unit.environment_reads import environment_reads


@pytest.fixture(scope="module")
def airflow_says(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Answers of Airflow's own code about commands, settings, health routes and connections."""
    environment = services()["scheduler"]["environment"]
    commands = list(_airflow_commands())
    names = set(_airflow_settings())
    answer = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("airflow_probe.py"))],
        input=json.dumps({"commands": commands, "settings": sorted(names)}),
        env={
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'plugins'}",
            **{name: value for name, value in environment.items() if name.startswith("AIRFLOW_CONN_")},
        },
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return json.loads(answer.stdout.splitlines()[-1])


def _airflow_commands() -> Iterator[list[str]]:
    for service in services().values():
        command = service.get("command", [])
        texts = command[2].split("&&") if command[:1] == ["sh"] else [" ".join(command)]
        yield from (text.split()[1:] for text in texts if text.split()[:1] == ["airflow"])
    yield ["api-server", "--port", str(PORT)]


def _airflow_settings() -> Iterator[str]:
    for environment in (image_environment(), *(service.get("environment", {}) for service in services().values())):
        yield from (name for name in environment if name.startswith("AIRFLOW__"))


def test_airflow_accepts_every_command(airflow_says: dict[str, Any]):
    assert set(airflow_says["commands"]) == {
        "db migrate",
        "pools import deploy/pools.json",
        "scheduler",
        "dag-processor",
        "triggerer",
        f"api-server --port {PORT}",
    }
    assert all(complaint is None for complaint in airflow_says["commands"].values()), airflow_says["commands"]


def test_every_other_command_is_a_file_or_a_module_of_the_image():
    commands = {name: service.get("command", []) for name, service in services().items()}
    assert commands["init"][:2] == ["sh", "-ec"]
    steps = [step.split() for step in commands["init"][2].split("&&")]
    assert steps == [
        ["airflow", "db", "migrate"],
        ["airflow", "pools", "import", "deploy/pools.json"],
        ["python", "-m", "include.warehouse"],
    ]
    assert (CHECKOUT / "deploy" / "pools.json").is_file()
    assert (CHECKOUT / "include" / "warehouse" / "__main__.py").is_file()
    assert commands["api-server"] == ["python", "deploy/api_server.py"]
    assert (CHECKOUT / "deploy" / "api_server.py").is_file()
    assert commands["postgres"][0] == "postgres"
    assert commands["databases"][0] == "psql"


def test_the_sandbox_takes_its_arguments():
    command = services()["sandbox"]["command"]
    assert command[:3] == ["python", "-m", "include.local.sandbox"]
    arguments = sandbox._parser().parse_args(command[3:])
    assert arguments.host == "0.0.0.0"
    assert (arguments.customers, arguments.seed) == (1500, 1)
    changed = resolved({**settings(), "SANDBOX_CUSTOMERS": "7", "SANDBOX_SEED": "8"})["services"]["sandbox"]
    arguments = sandbox._parser().parse_args(changed["command"][3:])
    assert (arguments.customers, arguments.seed) == (7, 8)


def _health_check(service: str) -> tuple[str, list[str]]:
    """URL and parts that the service's health check asks for."""
    program, script, url, *parts = services()[service]["healthcheck"]["test"][1:]
    assert (program, script) == ("python", "deploy/health.py")
    assert (CHECKOUT / script).is_file()
    return url, parts


def test_the_health_routes_of_airflow_exist(airflow_says: dict[str, Any]):
    health = airflow_says["health"]
    asked = {"api-server": "metadatabase", "dag-processor": "dag_processor", "triggerer": "triggerer"}
    for service, part in asked.items():
        url, parts = _health_check(service)
        host = "127.0.0.1" if service == "api-server" else "api-server"
        assert url.startswith(f"http://{host}:{PORT}/")
        assert url.removeprefix(f"http://{host}:{PORT}") in health["api_paths"]
        assert parts == [part]
        assert part in health["parts"]


def test_the_health_route_of_the_scheduler_exists_and_is_switched_on(airflow_says: dict[str, Any]):
    url, parts = _health_check("scheduler")
    port = airflow_says["health"]["scheduler_port"]
    # Without a database it is not well, which is another answer than not knowing the route.
    assert airflow_says["health"]["scheduler_answers"] == {"/health": 503, "/nothing": 404}
    assert (url, parts) == (f"http://127.0.0.1:{port}/health", [])
    assert services()["scheduler"]["environment"]["AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK"] == "True"


def test_the_health_route_of_the_sandbox_exists():
    url, parts = _health_check("sandbox")
    port = sandbox._parser().parse_args(services()["sandbox"]["command"][3:]).port
    app = build_app(sandbox.load_shop(data=None, customers=20, seed=1), credentials=Credentials("a", "b", "c", "d"))
    path = url.removeprefix(f"http://127.0.0.1:{port}")

    async def status() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox") as client:
            return (await client.get(path)).status_code

    assert asyncio.run(status()) == 200
    assert parts == []


def test_the_metrics_are_served_where_prometheus_and_the_health_check_ask():
    command = services()["metrics"]["command"]
    assert command[:3] == ["python", "-m", "include.ingestion.metrics"]
    arguments = metrics._parser().parse_args(command[3:])
    assert arguments.host == "0.0.0.0"
    assert _health_check("metrics") == (f"http://127.0.0.1:{arguments.port}/metrics", [])
    scraped = yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = {each["job_name"]: each["static_configs"][0]["targets"] for each in scraped}
    assert targets == {
        "regulars": [f"metrics:{arguments.port}"],
        "api": [f"api:{api_arguments().port}"],
        "airflow": ["statsd-exporter:9102"],
    }


def api_arguments() -> argparse.Namespace:
    """What the API makes of its command."""
    command = services()["api"]["command"]
    assert command[:3] == ["python", "-m", "include.serving"]
    return serving.parser().parse_args(command[3:])


def test_the_api_listens_where_it_is_published_and_asked_for_its_health():
    arguments = api_arguments()
    assert (arguments.host, arguments.command) == ("0.0.0.0", None)
    assert services()["api"]["ports"][0].endswith(f":{arguments.port}")
    app = build_api(ServingSettings(), registry=lambda: None, pool=serving_pool(""))
    url, parts = _health_check("api")
    assert url.removeprefix(f"http://127.0.0.1:{arguments.port}") in app.openapi()["paths"]
    assert parts == []


def test_the_api_finds_the_models_where_the_tasks_keep_them():
    given = [services()[name]["environment"]["MLFLOW_TRACKING_URI"] for name in ("api", "scheduler")]
    assert len(set(given)) == 1


def test_postgres_is_asked_over_tcp_because_its_socket_opens_too_early():
    assert "--host=127.0.0.1" in services()["postgres"]["healthcheck"]["test"]


def test_tasks_find_the_api_server():
    url = services()["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert url == f"http://api-server:{PORT}/execution/"


def test_airflow_knows_every_setting(airflow_says: dict[str, Any]):
    assert airflow_says["unknown_settings"] == []
    assert len(set(_airflow_settings())) > 15


@pytest.mark.parametrize(
    ("service", "folders", "besides"),
    [
        (
            "scheduler",
            ["dags", "plugins", "include"],
            ["include/local", "include/serving", "include/warehouse/__main__.py"],
        ),
        ("init", ["include/warehouse/__main__.py"], []),
        ("api-server", ["deploy/api_server.py"], []),
        ("metrics", ["include/ingestion/metrics.py", "include/warehouse/__main__.py"], []),
        ("api", ["include/serving", "include/warehouse/__main__.py"], []),
        ("sandbox", ["include/local/sandbox"], []),
    ],
)
def test_every_variable_that_the_code_reads_is_set(service: str, folders: list[str], besides: list[str]):
    reads = environment_reads(folders, besides=besides)
    assert reads, f"the search found nothing that {service} reads: it checks nothing"
    given = {**image_environment(), **services()[service]["environment"]}
    assert reads <= set(given), f"add {sorted(reads - set(given))} to {service} in docker-compose.yaml"


def test_every_connection_that_a_source_or_a_store_uses_is_given_to_the_tasks_and_no_other():
    stores = {"AIRFLOW_CONN_WAREHOUSE", "AIRFLOW_CONN_ONLINE_REDIS"}
    wanted = {f"AIRFLOW_CONN_{name.upper()}" for name, _ in SOURCES.values()} | stores
    assert {name for name in services()["scheduler"]["environment"] if name.startswith("AIRFLOW_CONN_")} == wanted


def test_the_connections_of_the_example_become_what_the_sources_expect(airflow_says: dict[str, Any]):
    sources = airflow_says["sources"]
    assert {name: source["base_url"] for name, source in sources.items()} == {
        "shop_api": "https://shop.example.com",
        "event_export": "https://events.example.com",
        "weather_api": "https://archive-api.open-meteo.com",
        "stock_api": "https://www.alphavantage.co",
    }
    assert (sources["shop_api"]["login"], sources["shop_api"]["password"]) == ("ck_…", "cs_…")
    assert sources["weather_api"]["extra"]["locations"][0].keys() == {"name", "latitude", "longitude", "country"}
    assert sources["stock_api"]["extra"] == {"symbols": ["AMZN"], "currency": "USD"}


def test_the_warehouse_connection_leads_to_the_database_that_was_made(airflow_says: dict[str, Any]):
    parts = conninfo_to_dict(airflow_says["warehouse"])
    assert parts == {
        "host": "postgres",
        "port": "5432",
        "user": "warehouse",
        "dbname": "warehouse",
        "password": services()["databases"]["environment"]["WAREHOUSE_PASSWORD"],
    }


def test_the_api_enters_the_warehouse_as_its_own_role_and_not_as_the_owner():
    parts = conninfo_to_dict(dsn(services()["api"]["environment"]["AIRFLOW_CONN_WAREHOUSE"]))
    password = services()["databases"]["environment"]["API_DATABASE_PASSWORD"]
    assert parts == {
        "host": "postgres", "port": "5432", "user": API_ROLE, "dbname": "warehouse", "password": password,
    }  # fmt: skip
    assert password != services()["databases"]["environment"]["WAREHOUSE_PASSWORD"]


def test_airflow_is_set_as_in_the_embedded_stack(tmp_path: Path):
    places = Places(home=tmp_path)
    write_airflow_files(
        places=places,
        keys=load_keys(tmp_path / "keys.json"),
        metadata_dsn="postgresql://somewhere/airflow",
        api_port=1,
        scheduler_port=2,
        follows_clock=True,
    )
    file = configparser.RawConfigParser()
    file.read(places.airflow / "airflow.cfg")
    embedded = {f"AIRFLOW__{section}__{key}".upper(): value for section in file for key, value in file[section].items()}
    deployed = {**image_environment(), **services()["scheduler"]["environment"]}
    its_own = {
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__API__BASE_URL",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__PLUGINS_FOLDER",
    }
    common = (embedded.keys() & deployed.keys()) - its_own
    assert {name: deployed[name] for name in common} == {name: embedded[name] for name in common}
    assert {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__LOAD_EXAMPLES", "AIRFLOW__CORE__PARALLELISM"} <= common
    for folder in ("DAGS", "PLUGINS"):
        name = f"AIRFLOW__CORE__{folder}_FOLDER"
        assert deployed[name] == f"/opt/regulars/{Path(embedded[name]).relative_to(CHECKOUT)}"


def test_a_dag_that_changes_with_every_parse_does_not_load():
    for service in ("scheduler", "dag-processor"):
        environment = services()[service]["environment"]
        assert environment["AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL"] == "error"


def test_postgres_is_of_the_embedded_version_and_keeps_what_it_commits():
    service = services()["postgres"]
    assert service["image"].startswith(f"postgres:{postgres.MAJOR_VERSION}.")
    given = dict(argument.split("=") for argument in service["command"] if "=" in argument)
    assert given == {name: postgres.SETTINGS[name] for name in given}
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & set(given)


def test_the_image_has_the_version_of_the_project():
    text = (CHECKOUT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', text, flags=re.MULTILINE)
    assert version is not None
    assert services()["init"]["image"] == f"regulars:{version[1]}"


def test_the_model_registry_is_of_the_client_s_version_and_takes_its_arguments():
    from mlflow.cli import server

    command = services()["mlflow"]["command"]
    assert command[:2] == ["mlflow", "server"]
    options = server.make_context("server", command[2:]).params
    assert options["artifacts_destination"].startswith(f"{services()['mlflow']['volumes'][0].split(':')[1]}/")
    file = (CHECKOUT / "deploy" / "mlflow.Dockerfile").read_text()
    versions = dict(re.findall(r"(mlflow|psycopg)(?:\[binary\])?==([\d.]+)", file))
    locked = dict(re.findall(r"^([\w-]+)==([\d.]+)", (CHECKOUT / "requirements.txt").read_text(), flags=re.MULTILINE))
    assert versions == {"mlflow": locked["mlflow-skinny"], "psycopg": locked["psycopg"]}
    assert file.splitlines()[1] in (CHECKOUT / "Dockerfile").read_text(), "stand both images on one Python"
    assert "COPY health.py deploy/health.py" in file


def test_tasks_reach_the_model_registry_by_a_name_that_it_answers_to():
    options = dict(word.split("=", 1) for word in services()["mlflow"]["command"] if "=" in word)
    address = services()["scheduler"]["environment"]["MLFLOW_TRACKING_URI"]
    assert address == f"http://mlflow:{options['--port']}"
    url, parts = _health_check("mlflow")
    assert (url, parts) == (f"http://127.0.0.1:{options['--port']}/health", [])
    allowed = options["--allowed-hosts"].split(",")
    assert {address.removeprefix("http://"), url.removeprefix("http://").removesuffix("/health")} == set(allowed)


def test_the_model_registry_keeps_its_tables_in_the_database_that_was_made_for_it():
    parts = conninfo_to_dict(
        services()["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"].replace("postgresql+psycopg", "postgresql")
    )
    password = services()["databases"]["environment"]["MLFLOW_DATABASE_PASSWORD"]
    assert parts == {"host": "postgres", "port": "5432", "user": "mlflow", "dbname": "mlflow", "password": password}
