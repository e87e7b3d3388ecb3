"""What the model registry says, asked beside the pages: MLflow may be slow or away, and importing it takes seconds."""

from __future__ import annotations

import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
KEPT_SECONDS = 30.0
_PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a model in the registry.

    :param alias: `champion`, `previous` or empty.
    :param rolled_back: why, if it was.
    """

    version: str
    model_id: str
    alias: str
    rolled_back: str


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """All versions of one model, newest first; or why there is no answer, and what to do.

    :param is_empty: the registry answered and has none, or was never made.
    """

    versions: tuple[RegisteredVersion, ...] = ()
    problem: str = ""
    is_empty: bool = False


class AskedRegistry:
    """The registry of this process, asked by one thread at a time; who comes meanwhile waits for the same answer."""

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model-registry")
        self._lock = Lock()
        self._asked: dict[str, tuple[float, Future[RegistryAnswer]]] = {}

    def versions(self, name: str) -> RegistryAnswer:
        """The answer about a model, some seconds old at most."""
        with self._lock:
            since, future = self._asked.get(name, (0.0, None))
            if future is None or (future.done() and time.monotonic() - since > KEPT_SECONDS):
                future = self._thread.submit(_ask, os.environ, name)
                self._asked[name] = (time.monotonic(), future)
        try:
            return future.result(timeout=self._patience)
        except TookTooLong:
            return RegistryAnswer(
                problem=f"It has not answered for {self._patience:g} seconds and is still being waited for. Load the "
                "page again in a minute; if it stays so, see that MLflow and its database run."
            )


def _ask(environment: Mapping[str, str], name: str) -> RegistryAnswer:
    try:
        if problem := _obstacle(environment):
            return problem
        return _versions(environment, name)
    except Exception as error:  # Whatever it is, the page goes on without the registry.
        # What MLflow says may name hosts and users: it stays in the log.
        logger.warning("dashboard registry name=%s error=%s", name, error)
        return RegistryAnswer(
            problem="It did not answer as it should. See that MLflow and its database run and that "
            "MLFLOW_TRACKING_URI is right; the log of Airflow's API server has the details."
        )


def _obstacle(environment: Mapping[str, str]) -> RegistryAnswer | None:
    """What can be known at once: MLflow itself would try for minutes where nobody listens, and make a database anew."""
    address, storage = environment.get("MLFLOW_TRACKING_URI", ""), environment.get("REGULARS_STORAGE", "")
    if address.startswith(("http://", "https://")):
        try:
            urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=_PROBE_SECONDS).close()  # noqa: S310  # http, see above
        except (urllib.error.URLError, OSError) as error:
            logger.warning("dashboard registry health error=%s", error)
            return RegistryAnswer(
                problem="Nobody answers at MLFLOW_TRACKING_URI. See that the MLflow server runs, then load the page "
                "again. Scores and the API go on with the champion that they know."
            )
    elif not address and not storage:
        return RegistryAnswer(
            problem="The API server does not know where it is. Set MLFLOW_TRACKING_URI, or REGULARS_STORAGE to the "
            "folder that every worker can write to, and start it again."
        )
    elif not address and not Path(storage, "models", "mlflow.db").exists():
        return RegistryAnswer(is_empty=True)
    return None


def _versions(environment: Mapping[str, str], name: str) -> RegistryAnswer:
    from include.models.registry.model_registry import CHAMPION, PREVIOUS, ROLLED_BACK
    from include.models.registry.settings import registry_from_environment

    registry = registry_from_environment(environment)
    held = {kept.version: alias for alias in (PREVIOUS, CHAMPION) if (kept := registry.holder_of(name, alias))}
    versions = tuple(
        RegisteredVersion(each.version, each.model_id, held.get(each.version, ""), each.tags.get(ROLLED_BACK, ""))
        for each in reversed(registry.versions(name))
    )
    return RegistryAnswer(versions, is_empty=not versions)
