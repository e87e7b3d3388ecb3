"""Models as they are kept: versions with their artefacts, and the names of those in use, in MLflow."""

import os

# MLflow takes these from the environment alone. Its own timeout and tries, 120 s and seven, keep a task for minutes.
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}
os.environ.update({name: value for name, value in _DEFAULTS.items() if name not in os.environ})
