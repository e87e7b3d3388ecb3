"""A client of MLflow, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import sqlalchemy
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url

from include.models.registry.errors import ModelMissing, RegistryUnreachable

_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
CONNECT_SECONDS = 10


def connect(tracking_uri: str) -> MlflowClient:
    """A client of this MLflow alone; nothing of MLflow's global state is touched.

    :raises RegistryUnreachable: nobody answers.
    """
    with mlflow_errors(tracking_uri):
        if not tracking_uri.startswith(("http://", "https://")):
            _probe(tracking_uri)
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextmanager
def mlflow_errors(address: str, *, missing: str | None = None) -> Iterator[None]:
    """Tell MLflow's errors apart.

    :param missing: what to say when MLflow knows no such thing.
    :raises ModelMissing: it knows no such thing, and `missing` was given.
    :raises ValueError: MLflow refuses an argument.
    :raises RegistryUnreachable: any other error of MLflow or on the way to it.
    """
    try:
        yield
    except MlflowException as error:
        if missing is not None and error.error_code in _MISSING:
            raise ModelMissing(missing) from error
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise ValueError(str(error)) from error
        raise RegistryUnreachable(_unreachable(address, error)) from error
    except (requests.RequestException, sqlalchemy.exc.SQLAlchemyError) as error:
        raise RegistryUnreachable(_unreachable(address, error)) from error


@contextmanager
def made_meanwhile() -> Iterator[None]:
    """Take it as done when another task has just made the same."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _probe(uri: str) -> None:
    """Open and close one connection: MLflow itself would try for minutes where nobody listens."""
    options = {"connect_timeout": CONNECT_SECONDS} if make_url(uri).get_backend_name() == "postgresql" else {}
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool, connect_args=options)
    engine.connect().close()


def _unreachable(address: str, error: Exception) -> str:
    told = make_url(address).render_as_string() if "://" in address else address
    return (
        f"The model registry at {told} did not do as asked: {str(error).strip().splitlines()[0]} "
        "Check that MLflow and its database run and that MLFLOW_TRACKING_URI is right."
    )
