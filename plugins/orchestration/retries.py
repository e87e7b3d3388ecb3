"""Retries by the kind of error: a sick server gets time, a mistake does not."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

NEEDS_A_PERSON = [
    "include.sources.errors.CredentialsRejected",
    "include.sources.errors.ContractBroken",
    "include.ingestion.errors.QualityFailed",
    "include.ingestion.errors.LandingDamaged",
    "include.ingestion.errors.NotValidated",
    "include.entities.window.EmptyWindow",
    "include.entities.window.NaiveTime",
    "orchestration.window.NoWindow",
    "orchestration.window.WindowNotOver",
    "orchestration.connections.NotConfigured",
]

DEFAULT_ARGUMENTS = {
    "owner": "regulars",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=list(NEEDS_A_PERSON),
                action=RetryAction.FAIL,
                reason="Trying again would give the same; the message says what to mend.",
            )
        ]
    ),
}
"""What every task of every DAG starts from."""
