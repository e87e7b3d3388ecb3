"""Models that were trained and judged, without training and judging: what promotion looks at, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from psycopg import Connection
from psycopg.types.json import Jsonb

from include.models.registry.model_registry import ModelRegistry, ModelVersion
from tests.integration.feature_shop import NOW, day

TEST_AT = day("2024-01-01")
BASELINE = {"auc": 0.6, "average_precision": 0.6, "expected_calibration_error": 0.05}


def judged(
    conn: Connection,
    registry: ModelRegistry,
    model_id: str,
    *,
    auc: float,
    champion: tuple[str, float] | None = None,
    calibration_error: float = 0.04,
    test_day: int = 0,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
) -> ModelVersion:
    """Register a model and enter it into the index as evaluated.

    :param auc: on its test rows; its average precision is the same.
    :param champion: the model that it was compared with, and that one's AUC on these rows.
    """
    test_at = TEST_AT + timedelta(days=test_day)
    kept = registry.register(
        "churn", {"auc": auc}, model_id=model_id, parameters={}, metrics={}, card=f"# {model_id}\n",
        tags={"test_at": test_at.isoformat(), "training_set_id": model_id},
    )  # fmt: skip
    rivals: dict[str, Mapping[str, float]] = {"recency_only": BASELINE, **(baselines or {})}
    if champion:
        rivals["champion"] = {**BASELINE, "auc": champion[1], "average_precision": champion[1]}
    own = {"auc": auc, "average_precision": auc, "expected_calibration_error": calibration_error}
    metrics = {
        "test_rows": 1000, "churn_rate": 0.5, "training_churn_rate": 0.5,
        "champion_id": champion[0] if champion else None, "model": own,
    }  # fmt: skip
    conn.execute(
        """
        INSERT INTO ml.training_sets VALUES (%(id)s, 'churn', %(at)s, %(at)s, %(at)s, 1, 1, 1, '{}', '', '', %(now)s)
        ON CONFLICT DO NOTHING
        """,
        {"id": model_id, "at": test_at, "now": NOW},
    )
    conn.execute(
        """
        INSERT INTO ml.models (
            model_id, name, training_set_id, trained_at, window_start, window_end, parameters, data_digest,
            training_row_count, libraries, artefact_digest, registry_version, metrics, baselines, evaluated_at, status,
            status_reason, status_at
        )
        VALUES (
            %(id)s, 'churn', %(id)s, %(now)s, %(at)s, %(at)s, '{}', '', 1, '{}', %(digest)s, %(version)s, %(metrics)s,
            %(rivals)s, %(now)s, 'evaluated', 'not decided yet', %(now)s
        )
        ON CONFLICT (model_id) DO UPDATE SET metrics = excluded.metrics, baselines = excluded.baselines
        """,
        {
            "id": model_id, "at": test_at, "now": NOW, "digest": kept.tags["artefact_sha256"], "version": kept.version,
            "metrics": Jsonb(metrics), "rivals": Jsonb(rivals),
        },
    )  # fmt: skip
    conn.commit()
    return kept
