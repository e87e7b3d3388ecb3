"""Retries by the kind of error: a sick server or a full store gets time, a mistake does not."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

NEEDS_A_PERSON = [
    "include.sources.errors.CredentialsRejected",
    "include.sources.errors.CertificateNotTrusted",
    "include.sources.errors.ContractBroken",
    "include.sources.errors.SettingRefused",
    "include.ingestion.errors.QualityFailed",
    "include.ingestion.errors.TooManyRejected",
    "include.ingestion.errors.RequiredFieldVanished",
    "include.ingestion.errors.StillRejected",
    "include.ingestion.errors.LandingDamaged",
    "include.ingestion.errors.NotValidated",
    "include.ingestion.errors.NothingLanded",
    "include.warehouse.errors.ReceiptDoesNotClose",
    "include.entities.window.EmptyWindow",
    "include.entities.window.NaiveTime",
    "include.models.registry.errors.ArtefactDamaged",
    "include.models.registry.errors.ModelMissing",
    "include.models.registry.errors.BadRegistrySetting",
    "include.models.churn.errors.EvaluationOutOfDate",
    "orchestration.window.NoWindow",
    "orchestration.window.WindowNotOver",
    "orchestration.connections.NotConfigured",
]

NEEDS_TIME = {
    "include.sources.errors.CircuitOpen": timedelta(minutes=2),
    "include.sources.errors.SourceUnreachable": timedelta(minutes=5),
    "include.models.registry.errors.RegistryUnreachable": timedelta(minutes=2),
    "include.ingestion.errors.LandingUnreachable": timedelta(minutes=5),
    "include.ingestion.errors.LandingNotWritable": timedelta(minutes=5),
}
"""How long a host or a store is left to recover, by the kind of error; the first that fits counts."""

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
            ),
            *(
                RetryRule(
                    exception=exception,
                    action=RetryAction.RETRY,
                    retry_delay=delay,
                    reason="The host or store is sick, busy or full; it gets time.",
                )
                for exception, delay in NEEDS_TIME.items()
            ),
        ]
    ),
}
"""What every task of every DAG starts from."""
