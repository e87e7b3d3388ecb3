"""Where the model registry is, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from include.models.registry.errors import BadRegistrySetting
from include.models.registry.model_registry import ModelRegistry


def registry_from_environment(environment: Mapping[str, str] | None = None) -> ModelRegistry:
    """The registry of these settings.

    MLFLOW_TRACKING_URI is the address of an MLflow server, or of a database. Empty, it is a SQLite file in the folder
    REGULARS_STORAGE. MLFLOW_ARTEFACT_ROOT is where artefacts go; empty, it is the folder `models/artefacts` of
    REGULARS_STORAGE, and with a server what that server says.

    :raises BadRegistrySetting: neither an address nor the folder is set.
    :raises RegistryUnreachable: nobody answers at the address.
    """
    environment = os.environ if environment is None else environment
    address = environment.get("MLFLOW_TRACKING_URI", "")
    root = environment.get("MLFLOW_ARTEFACT_ROOT", "")
    storage = environment.get("REGULARS_STORAGE", "")
    if not storage and not (address and (root or address.startswith("http"))):
        raise BadRegistrySetting(
            "REGULARS_STORAGE is not set, and MLFLOW_TRACKING_URI names no server. Set REGULARS_STORAGE to the folder "
            "that every worker can write to, or MLFLOW_TRACKING_URI to the address of an MLflow server."
        )
    if not address:
        folder = Path(storage).resolve() / "models"
        folder.mkdir(parents=True, exist_ok=True)
        address = f"sqlite:///{folder / 'mlflow.db'}"
    if not root and not address.startswith("http"):
        root = (Path(storage).resolve() / "models" / "artefacts").as_uri()
    return ModelRegistry(address, root)
