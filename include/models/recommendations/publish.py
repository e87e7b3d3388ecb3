"""Make what was chosen the published recommendations: per customer, per product, and for those nobody knows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg import Connection, sql

from include.models.recommendations.blend import CUSTOMERS_AT_ONCE, SOURCES
from include.models.recommendations.choices import Choices, fit_sources
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.purchase_runs import FOLDER, Run, RunMissing, read_run
from include.models.recommendations.purchases import History, microseconds
from include.models.recommendations.sources import Popularity
from include.warehouse.copy import copy_rows

logger = logging.getLogger(__name__)

TOGETHER_SQL = Path(__file__).resolve().parents[2] / "sql" / "models" / "bought_together.sql"

_RECOMMENDATIONS = pa.schema(
    {
        "customer_id": pa.int64(), "product_id": pa.int64(), "rank": pa.int32(), "score": pa.float64(),
        "source": pa.string(),
    }
)  # fmt: skip
_POPULAR = pa.schema({"product_id": pa.int64(), "rank": pa.int32(), "score": pa.float64()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published.

    :param outcome: `published`, or `older` if what is published already speaks of later days; nothing was changed then.
    """

    model_id: str
    outcome: str
    method: str
    customers: int = 0
    recommendations: int = 0
    popular: int = 0
    bought_together: int = 0
    changed: int = 0


def publish_recommendations(conn: Connection, *, model_id: str, storage: Path, now: datetime) -> Publication:
    """Replace the three published tables in one transaction: a reader sees all of the old or all of the new.

    Only products that may be recommended by `ml.recommendable_products` are in. Rows that stay as they are are not
    written. The purchases of earlier runs are removed from storage.

    :raises RunMissing: there is no such run, or it was not evaluated.
    :raises TrainingSetLost: its file is missing or changed.
    """
    started = time.monotonic()
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.models.recommendations', 0))")
        run = read_run(conn, model_id, storage=storage)
        if run.method is None or run.choices is None:
            raise RunMissing(f"The run {model_id!r} was not evaluated. Run evaluate_candidates first.")
        if _is_older(conn, run):
            publication = Publication(model_id=model_id, outcome="older", method=run.method)
        else:
            publication = _publish(conn, run, now=now)
    if publication.outcome == "published":
        _remove_others(storage / FOLDER, kept=model_id)
    logger.info(
        "publish_recommendations model_id=%s as_of=%s outcome=%s method=%s customers=%d recommendations=%d popular=%d "
        "bought_together=%d changed=%d seconds=%.2f",
        model_id, f"{run.as_of:%Y-%m-%dT%H:%M:%SZ}", publication.outcome, publication.method, publication.customers,
        publication.recommendations, publication.popular, publication.bought_together, publication.changed,
        time.monotonic() - started,
    )  # fmt: skip
    return publication


def _is_older(conn: Connection, run: Run) -> bool:
    row = conn.execute(
        "SELECT 1 FROM ml.recommendation_runs WHERE status = 'published' AND as_of > %s LIMIT 1", (run.as_of,)
    ).fetchone()
    return row is not None


def _publish(conn: Connection, run: Run, *, now: datetime) -> Publication:
    assert run.choices is not None and run.method is not None
    history = History(run.purchases, at=microseconds(run.as_of))
    rows = conn.execute("SELECT product_id FROM ml.recommendable_products").fetchall()
    allowed = np.isin(history.product_ids, np.array([product_id for (product_id,) in rows], np.int64))
    popular = _popular(history, run.choices, run.parameters, allowed)
    recommended = _by_blend(history, run, allowed) if run.method == "blend" else _by_popularity(history, run, popular)
    conn.execute("SET LOCAL work_mem = '256MB'")
    _stage(conn, "recommendations", _RECOMMENDATIONS, recommended)
    _stage(conn, "popular_products", _POPULAR, iter([popular]))
    _stage_bought_together(conn, run)
    counts = {name: _replace(conn, name, keys, run, now=now) for name, keys in _KEYS.items()}
    conn.execute(
        "UPDATE ml.recommendation_runs SET status = 'published', published_at = %s "
        "WHERE model_id = %s AND status <> 'published'",
        (now, run.model_id),
    )
    return Publication(
        model_id=run.model_id,
        outcome="published",
        method=run.method,
        customers=len(history.customer_ids),
        recommendations=counts["recommendations"][0],
        popular=counts["popular_products"][0],
        bought_together=counts["bought_together"][0],
        changed=sum(changed for _, changed in counts.values()),
    )


def _by_blend(history: History, run: Run, allowed: npt.NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    parameters, choices = run.parameters, run.choices
    assert choices is not None
    if not history.shape[0]:
        return
    sources = fit_sources(history, choices, parameters=parameters)
    everybody = np.arange(history.shape[0])
    for customers, candidates in sources.in_batches(
        everybody, per_source=parameters.candidates_per_source, allowed=allowed
    ):
        lists, scores = candidates.lists(choices.weights, length=parameters.kept_per_customer)
        leading = candidates.leading_source(choices.weights, lists)
        row, place = np.nonzero(lists >= 0)
        yield pa.record_batch(
            [
                pa.array(history.customer_ids[customers[row]]),
                pa.array(history.product_ids[lists[row, place]]),
                pa.array((place + 1).astype(np.int32)),
                pa.array(scores[row, place].astype(np.float64)),
                pa.array(np.array(SOURCES)[leading[row, place]], pa.string()),
            ],
            schema=_RECOMMENDATIONS,
        )


def _by_popularity(history: History, run: Run, popular: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The same list for every customer."""
    best = popular.slice(0, run.parameters.kept_per_customer)
    for start in range(0, history.shape[0], CUSTOMERS_AT_ONCE):
        customers = history.customer_ids[start : start + CUSTOMERS_AT_ONCE]
        count = len(customers)
        yield pa.record_batch(
            [
                pa.array(np.repeat(customers, len(best))),
                *(pa.array(np.tile(best[name].to_numpy(), count)) for name in ("product_id", "rank", "score")),
                pa.array(["popularity"] * (count * len(best)), pa.string()),
            ],
            schema=_RECOMMENDATIONS,
        )


def _popular(
    history: History, choices: Choices, parameters: RecommendationParameters, allowed: npt.NDArray[np.bool_]
) -> pa.RecordBatch:
    scores = np.where(allowed, Popularity(history, half_life_days=choices.half_life_days).products, 0)
    best = np.argsort(-scores, kind="stable")[: parameters.kept_popular]
    best = best[scores[best] > 0]
    ranks = np.arange(1, len(best) + 1, dtype=np.int32)
    return pa.record_batch([history.product_ids[best], ranks, scores[best]], schema=_POPULAR)


_KEYS = {
    "recommendations": ("customer_id", "product_id"),
    "popular_products": ("product_id",),
    "bought_together": ("product_id", "other_product_id"),
}


def _stage(conn: Connection, name: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    staged = sql.Identifier("pg_temp", f"staged_{name}")
    columns = sql.SQL(", ").join(map(sql.Identifier, schema.names))
    conn.execute(
        sql.SQL(
            "DROP TABLE IF EXISTS {staged}; "
            "CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT {columns} FROM {published} WITH NO DATA"
        ).format(
            staged=staged, name=sql.Identifier(f"staged_{name}"), columns=columns, published=sql.Identifier("ml", name)
        )
    )
    with conn.cursor() as cursor:
        copy_rows(cursor, table=staged, columns=schema.names, schema=schema, batches=batches)


def _stage_bought_together(conn: Connection, run: Run) -> None:
    """What is bought together by the orders of the last days, those of guests too."""
    parameters = run.parameters
    conn.execute("DROP TABLE IF EXISTS pg_temp.basket_choices, pg_temp.staged_bought_together")
    conn.execute(
        """
        CREATE TEMPORARY TABLE basket_choices ON COMMIT DROP AS
        SELECT
            %s::timestamptz AS since_at, %s::timestamptz AS until_at, %s::double precision AS least_share,
            %s::bigint AS least_orders, %s::bigint AS largest, %s::integer AS kept
        """,
        (
            run.as_of - timedelta(days=parameters.basket_days), run.as_of, parameters.least_basket_share,
            parameters.least_basket_orders, parameters.largest_basket, parameters.kept_together,
        ),
    )  # fmt: skip
    conn.execute("ANALYZE pg_temp.basket_choices")
    # How many rows its parts have cannot be foreseen, and a loop within a loop over the baskets would never end.
    conn.execute("SET LOCAL enable_nestloop = off")
    conn.execute(
        sql.SQL("CREATE TEMPORARY TABLE staged_bought_together ON COMMIT DROP AS {}").format(
            sql.SQL(TOGETHER_SQL.read_text())
        )
    )
    conn.execute("SET LOCAL enable_nestloop = on")


def _replace(conn: Connection, name: str, keys: Sequence[str], run: Run, *, now: datetime) -> tuple[int, int]:
    """Make the published rows the staged ones; returns how many there are, and how many were written or removed."""
    staged = sql.Identifier("pg_temp", f"staged_{name}")
    conn.execute(sql.SQL("ANALYZE {}").format(staged))
    described = conn.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(staged)).description
    columns = [column.name for column in described or ()]
    values = [column for column in columns if column not in keys]

    def listed(names: Sequence[str], *, of: str = "") -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(of, each) if of else sql.Identifier(each) for each in names)

    changed = conn.execute(
        sql.SQL(
            """
            MERGE INTO {published} AS published
            USING {staged} AS staged ON ({published_keys}) = ({staged_keys})
            WHEN MATCHED AND ({published_values}, published.model_id) IS DISTINCT FROM ({staged_values}, %(model_id)s)
            THEN
                UPDATE SET ({values}, model_id, computed_at) = ROW ({staged_values}, %(model_id)s, %(now)s)
            WHEN NOT MATCHED THEN
                INSERT ({columns}, model_id, computed_at) VALUES ({staged_columns}, %(model_id)s, %(now)s)
            WHEN NOT MATCHED BY SOURCE THEN DELETE
            """
        ).format(
            published=sql.Identifier("ml", name),
            staged=staged,
            published_keys=listed(keys, of="published"),
            staged_keys=listed(keys, of="staged"),
            published_values=listed(values, of="published"),
            staged_values=listed(values, of="staged"),
            values=listed(values),
            columns=listed(columns),
            staged_columns=listed(columns, of="staged"),
        ),
        {"model_id": run.model_id, "now": now},
    ).rowcount
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(staged)).fetchone()
    return (row[0] if row else 0), changed


def _remove_others(folder: Path, *, kept: str) -> None:
    for path in folder.glob("recommendations-*.parquet"):
        if path.stem != kept:
            path.unlink(missing_ok=True)
