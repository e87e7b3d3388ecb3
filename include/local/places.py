"""Where the embedded stack keeps things: everything lies in `.local`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders of one embedded stack.

    :param home: `.local` of the checkout; tests take another.
    :param dags: the folder Airflow reads DAG files from.
    """

    home: Path = CHECKOUT / ".local"
    dags: Path = CHECKOUT / "dags"
    plugins: Path = CHECKOUT / "plugins"

    @property
    def postgres(self) -> Path:
        """The data directory of the embedded Postgres."""
        return self.home / "postgres"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def storage(self) -> Path:
        """Landing and model artefacts, one folder per warehouse."""
        return self.home / "storage"

    @property
    def logs(self) -> Path:
        """One log per part of the stack; the logs of tasks lie in `airflow/logs`."""
        return self.home / "logs"

    @property
    def parts(self) -> Path:
        """One small file per process that was started, for `make down`."""
        return self.home / "parts"

    @property
    def keys(self) -> Path:
        """Passwords and secrets, made once."""
        return self.home / "keys.json"

    @property
    def shop(self) -> Path:
        """Which shop was used last."""
        return self.home / "shop.json"

    @property
    def summary(self) -> Path:
        """The summary of the last demo, for programs."""
        return self.home / "summary.json"
