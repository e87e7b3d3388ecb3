"""Airflow's configuration file and the environment of its processes.

The metadata database's address stands in the file alone (readable by its owner only): set by variable it would be
visible in the environment of every task.
"""

from __future__ import annotations

import configparser
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from include.local.keys import Keys, write_secret
from include.local.places import CHECKOUT, Places
from include.local.ports import LOOPBACK

ADMIN = "admin"
PARALLELISM = 4


def write_airflow_files(
    *, places: Places, keys: Keys, metadata_dsn: str, api_port: int, scheduler_port: int, follows_clock: bool
) -> None:
    """Write airflow.cfg and the file of the one user's password.

    :param follows_clock: whether the scheduler starts scheduled and asset-triggered runs by itself.
    """
    places.airflow.mkdir(parents=True, exist_ok=True)
    passwords = places.airflow / "passwords.json"
    write_secret(passwords, json.dumps({ADMIN: keys.admin_password}))
    sections: dict[str, dict[str, str]] = {
        "core": {
            "executor": "LocalExecutor",
            "dags_folder": str(places.dags),
            "plugins_folder": str(places.plugins),
            "load_examples": "False",
            "parallelism": str(PARALLELISM),
            "fernet_key": keys.fernet_key,
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{ADMIN}:admin",
            "simple_auth_manager_passwords_file": str(passwords),
            "execution_api_server_url": f"http://{LOOPBACK}:{api_port}/execution/",
        },
        "database": {"sql_alchemy_conn": metadata_dsn.replace("postgresql://", "postgresql+psycopg2://")},
        "api": {
            "host": LOOPBACK,
            "port": str(api_port),
            "workers": "1",
            "base_url": f"http://{LOOPBACK}:{api_port}",
            "secret_key": keys.session_secret,
            "instance_name": "Regulars",
            "expose_config": "False",
        },
        "api_auth": {"jwt_secret": keys.jwt_secret},
        "logging": {"base_log_folder": str(places.airflow / "logs")},
        "scheduler": {
            "use_job_schedule": str(follows_clock),
            "enable_health_check": "True",
            "scheduler_health_check_server_host": LOOPBACK,
            "scheduler_health_check_server_port": str(scheduler_port),
        },
        # A supervisor that misses the exit of its task by a hair notices it only after this many seconds.
        "workers": {"min_heartbeat_interval": "1"},
        # A spare folder with nothing to fetch: looking for new files every 10 s makes an edited DAG show at once, so
        # that nothing is gained by reading unchanged ones each half minute.
        "dag_processor": {
            "refresh_interval": "10",
            "min_file_process_interval": "300",
            "dag_version_inflation_check_level": "error",
        },
    }
    parser = configparser.RawConfigParser()
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    write_secret(places.airflow / "airflow.cfg", text.getvalue())


def clean_environment() -> dict[str, str]:
    """The user's environment without what would change Airflow, Python or Postgres behind our back."""
    dropped = ("AIRFLOW", "PG", "REGULARS_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    exceptions = [kept.get("no_proxy") or kept.get("NO_PROXY", ""), LOOPBACK, "localhost"]
    no_proxy = ",".join(filter(None, exceptions))
    return {
        **kept,
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
    }


def airflow_environment(*, places: Places, connections: Mapping[str, str], storage: Path) -> dict[str, str]:
    """What Airflow's processes, and with them all tasks, find in their environment."""
    return {
        **clean_environment(),
        "AIRFLOW_HOME": str(places.airflow),
        "AIRFLOW_CONFIG": str(places.airflow / "airflow.cfg"),
        "REGULARS_STORAGE": str(storage),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "GX_ANALYTICS_ENABLED": "false",
        # Threads of a training that wait for each other give their core to other tasks instead of spinning on it.
        "OMP_WAIT_POLICY": "passive",
        **connections,
    }
