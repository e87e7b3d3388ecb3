"""Who is about to leave, as the newest scores see it: how they lie, what they are worth, and lists by segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from include.features.definitions.versions import UnknownVersion, current_version
from include.features.views.customer_rfm import CUSTOMER_RFM

RISK_BINS = 20
UNKNOWN_SEGMENT = "unknown"
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class ScoreRun:
    """One model at one snapshot: a row of `ml.score_runs`.

    :param horizon_days: the probability is that of no order within so many days of `snapshot_at`.
    """

    model_id: str
    model_version: str
    snapshot_at: datetime
    horizon_days: int
    customer_count: int
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class RiskBin:
    """Customers whose probability of leaving is in `[low, high)`; the last bin holds 1 too."""

    low: float
    high: float
    customer_count: int


@dataclass(frozen=True, slots=True)
class RiskValueCell:
    """Customers alike in probability and value: a cell of a grid whose values grow by a third of a power of ten.

    :param value_low, value_high: in the currency of the shop, from `value_low` to below `value_high`.
    """

    risk_low: float
    risk_high: float
    value_low: float
    value_high: float
    customer_count: int
    value_amount: float


@dataclass(frozen=True, slots=True)
class SegmentRisk:
    """A segment of customers, by `customer_rfm` as it is online.

    :param mean_probability: of leaving.
    :param leaving_count: how many are expected to leave: the sum of the probabilities.
    :param most_likely_count: customers in the two tenths most likely to leave.
    :param value_amount: sum of their values in the currency of the shop, None without values.
    :param weighed_amount: the same, each value times the probability of leaving.
    """

    segment: str
    customer_count: int
    mean_probability: float
    leaving_count: float
    most_likely_count: int
    value_amount: float | None
    weighed_amount: float | None


@dataclass(frozen=True, slots=True)
class CustomerRisk:
    """One scored customer.

    :param churn_decile: 10 is the tenth most likely to leave.
    :param value_amount: in the currency of the shop, with its 95 % interval; None without a fit.
    :param weighed_amount: the value times the probability of leaving: whom to look at first. No forecast of a loss, as
        the value counts already that some leave.
    :param reason: what moved the probability most, in words.
    """

    customer_id: int
    segment: str
    churn_probability: float
    churn_decile: int
    value_amount: float | None
    value_low_amount: float | None
    value_high_amount: float | None
    weighed_amount: float | None
    reason: str | None


def newest_run(conn: Connection) -> ScoreRun | None:
    """The scores of the newest snapshot; of two models there, those that were made last. None before the first."""
    row = conn.execute(
        """
        SELECT model_id, model_version, snapshot_at, horizon_days, customer_count, scored_at
        FROM ml.score_runs ORDER BY snapshot_at DESC, scored_at DESC, model_id LIMIT 1
        """
    ).fetchone()
    return ScoreRun(*row) if row else None


def risk_bins(conn: Connection, run: ScoreRun) -> list[RiskBin]:
    """How the probabilities lie: all `RISK_BINS` bins of equal width, also those without customers."""
    rows = conn.execute(
        """
        SELECT least(floor(churn_probability * %(bins)s)::integer, %(bins)s - 1) AS bin, count(*)
        FROM ml.customer_scores
        WHERE snapshot_at = %(snapshot_at)s AND model_id = %(model_id)s
        GROUP BY bin
        """,
        {"bins": RISK_BINS, "snapshot_at": run.snapshot_at, "model_id": run.model_id},
    ).fetchall()
    counts: dict[int, int] = dict(rows)
    return [RiskBin(place / RISK_BINS, (place + 1) / RISK_BINS, counts.get(place, 0)) for place in range(RISK_BINS)]


def risk_value_cells(conn: Connection, run: ScoreRun) -> list[RiskValueCell]:
    """How many customers are where between probability and value; values below 1 stand in one cell."""
    rows = conn.execute(
        """
        SELECT
            least(floor(churn_probability * %(bins)s)::integer, %(bins)s - 1) AS risk_bin,
            CASE WHEN value_amount >= 1 THEN floor(log(value_amount) * 3)::integer ELSE -1 END AS value_bin,
            count(*),
            sum(value_amount)
        FROM ml.customer_scores
        WHERE snapshot_at = %(snapshot_at)s AND model_id = %(model_id)s AND value_amount IS NOT NULL
        GROUP BY risk_bin, value_bin
        ORDER BY risk_bin, value_bin
        """,
        {"bins": RISK_BINS, "snapshot_at": run.snapshot_at, "model_id": run.model_id},
    ).fetchall()
    return [
        RiskValueCell(
            risk / RISK_BINS, (risk + 1) / RISK_BINS,
            10 ** (value / 3) if value >= 0 else 0.0, 10 ** ((value + 1) / 3), count, total,
        )
        for risk, value, count, total in rows
    ]  # fmt: skip


def segment_risks(conn: Connection, run: ScoreRun) -> list[SegmentRisk]:
    """Every segment with scored customers, the one with most to lose first."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT
                coalesce(segments.segment, {unknown}) AS segment,
                count(*),
                avg(scores.churn_probability),
                sum(scores.churn_probability),
                count(*) FILTER (WHERE scores.churn_decile >= 9),
                sum(scores.value_amount),
                sum(scores.value_amount * scores.churn_probability) AS weighed_amount
            FROM ml.customer_scores AS scores
            LEFT JOIN {segments} AS segments ON scores.customer_id = segments.customer_id
            WHERE scores.snapshot_at = %(snapshot_at)s AND scores.model_id = %(model_id)s
            GROUP BY 1
            ORDER BY weighed_amount DESC NULLS LAST, 4 DESC, 1
            """
        ).format(segments=_segments(conn), unknown=sql.Literal(UNKNOWN_SEGMENT)),
        {"snapshot_at": run.snapshot_at, "model_id": run.model_id},
    ).fetchall()
    return [SegmentRisk(*row) for row in rows]


def customers_at_risk(
    conn: Connection, run: ScoreRun, *, segment: str | None = None, least_decile: int = 1, limit: int
) -> Iterator[CustomerRisk]:
    """Customers, those with most to lose first; they stream from the database, so that a long list takes no memory.

    :param segment: only of this one; None for all.
    :param least_decile: only of this tenth and those more likely to leave, 1 to 10.
    :param limit: at most so many.
    """
    statement = sql.SQL(
        """
        SELECT
            scores.customer_id,
            coalesce(segments.segment, {unknown}),
            scores.churn_probability,
            scores.churn_decile,
            scores.value_amount,
            scores.value_low_amount,
            scores.value_high_amount,
            scores.value_amount * scores.churn_probability AS weighed_amount,
            scores.reasons -> 0 ->> 'text'
        FROM ml.customer_scores AS scores
        LEFT JOIN {segments} AS segments ON scores.customer_id = segments.customer_id
        WHERE
            scores.snapshot_at = %(snapshot_at)s
            AND scores.model_id = %(model_id)s
            AND scores.churn_decile >= %(least_decile)s
            AND (%(segment)s::text IS NULL OR coalesce(segments.segment, {unknown}) = %(segment)s)
        ORDER BY weighed_amount DESC NULLS LAST, scores.churn_probability DESC, scores.customer_id
        LIMIT %(limit)s
        """
    ).format(segments=_segments(conn), unknown=sql.Literal(UNKNOWN_SEGMENT))
    with conn.cursor(name="customers_at_risk") as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        cursor.execute(
            statement,
            {
                "snapshot_at": run.snapshot_at, "model_id": run.model_id, "segment": segment,
                "least_decile": least_decile, "limit": limit,
            },
        )  # fmt: skip
        for row in cursor:
            yield CustomerRisk(*row)


def _segments(conn: Connection) -> sql.Composable:
    """The relation of each customer's segment; empty while it was never built."""
    try:
        online = current_version(conn, CUSTOMER_RFM).online
    except UnknownVersion:
        return sql.SQL("(SELECT NULL::bigint AS customer_id, NULL::text AS segment WHERE false)")
    return sql.SQL("(SELECT customer_id, segment FROM {} WHERE NOT is_tombstone)").format(online)
