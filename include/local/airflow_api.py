"""A small client of Airflow's REST API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import requests

from include.local.errors import LocalStackError

FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}


class AirflowApi:
    """Speaks to one Airflow as its administrator.

    :param url: for example `http://127.0.0.1:8080`.
    """

    def __init__(self, *, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False

    def log_in(self) -> bool:
        """Whether this Airflow is ours: only ours knows the password. False while it does not answer at all."""
        try:
            answer = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=10)
            if answer.status_code != 201:
                return False
            self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            return True
        except (requests.RequestException, ValueError, KeyError):
            return False

    def health(self) -> dict[str, Any]:
        """Airflow's own words about its parts."""
        return self.call("GET", "monitor/health")

    def dags(self) -> dict[str, dict[str, Any]]:
        """The DAGs Airflow knows, by id."""
        return {dag["dag_id"]: dag for dag in self.call("GET", "dags?limit=100")["dags"]}

    def import_errors(self) -> list[dict[str, Any]]:
        """Files in the DAG folder that cannot be imported."""
        return self.call("GET", "importErrors")["import_errors"]

    def pause(self, dag_id: str, *, is_paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": is_paused})

    def make_pool(self, name: str, *, slots: int, description: str) -> None:
        """Make a pool; one of that name is left as it is."""
        known = {pool["name"] for pool in self.call("GET", "pools?limit=100")["pools"]}
        if name not in known:
            self.call("POST", "pools", json={"name": name, "slots": slots, "description": description})

    def trigger(self, dag_id: str, *, conf: dict[str, Any]) -> str:
        """Start a run now and return its id."""
        body = {"logical_date": None, "conf": conf}
        return self.call("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a run: queued, running, success, failed."""
        return self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        return self.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=200")["task_instances"]

    def call(self, method: str, path: str, *, json: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for any path below `/api/v2` and return the answer.

        :raises LocalStackError: Airflow does not answer, or refuses.
        """
        address = f"{self.url}/api/v2/{path}"
        try:
            answer = self._session.request(method, address, json=json, timeout=60)
        except requests.RequestException as error:
            raise LocalStackError(f"Airflow does not answer {method} {address}: {error}") from error
        if answer.status_code == 401 and self.log_in():
            answer = self._session.request(method, address, json=json, timeout=60)
        if not answer.ok:
            raise LocalStackError(f"Airflow answered {method} {address} with {answer.status_code}: {answer.text[:500]}")
        return answer.json()


def instant(text: str | None) -> datetime | None:
    """A time out of an answer."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
