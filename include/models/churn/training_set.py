"""The churn model's training set: features as known at several snapshots, and what came after."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from include.entities.window import Window
from include.features.definitions.selection import PRESENT
from include.features.definitions.versions import current_version
from include.features.history.historical import get_historical_features
from include.features.history.training_sets import TrainingSetLost, digest_of, read_rows, write_rows
from include.features.registry import REGISTRY
from include.models.churn.inputs import CORE_VIEW, ON_DEMAND, SERVICE
from include.models.churn.parameters import ChurnParameters
from include.models.churn.season import RECENT_DAYS, Week
from include.warehouse.receipts import loaded_stretches

logger = logging.getLogger(__name__)

VIEWS = tuple(REGISTRY.features_of(item)[0] for item in SERVICE.features)
"""The views of the feature service `churn`: what is joined, of which the model reads a part."""
_SQL = Path(__file__).resolve().parents[2] / "sql" / "models"
LABELS_SQL, WEEKS_SQL = _SQL / "churn_labels.sql", _SQL / "shop_weeks.sql"
_WEEK = timedelta(days=7)


class NotEnoughData(RuntimeError):
    """There is too little data for a churn model yet; the text says what is needed. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """A training set that was built: where it is, and what is in it.

    :param training_set_id: from the digest of data and parameters; the same data gives the same one.
    :param path: Parquet file, relative to the storage folder.
    """

    training_set_id: str
    path: str
    training_rows: int
    test_rows: int
    training_snapshots: int
    test_at: datetime


def build_training_set(
    conn: Connection, *, window: Window, storage: Path, now: datetime, parameters: ChurnParameters | None = None
) -> TrainingSet:
    """Write the training set of the run over `window`: of what was loaded up to its end.

    The test rows are of the last snapshot whose label window was loaded without a gap, by the receipts of the orders;
    the training rows of earlier snapshots, whose label windows all end before it. Features are joined as they were
    known at each snapshot. Customers without a row of `CORE_VIEW` at a snapshot are left out and counted; what other
    views lack is null. Beside the rows are kept the weeks of the shop before the test snapshot, for the season.

    :param storage: folder that this run's later steps can read too.
    :raises NotEnoughData: there are too few snapshots, rows, or only one outcome.
    """
    started = time.monotonic()
    parameters = parameters or ChurnParameters()
    with conn.transaction():
        test_at, training_at = _snapshots(conn, parameters, until=window.end)
        labelled = _labels(conn, parameters, [*training_at, test_at])
        joined = get_historical_features(
            conn, labelled, [*VIEWS, *ON_DEMAND], timestamp_column="at", label_start_column="label_start_at"
        ).to_arrow()
        rows = _rows_with_features(joined, test_at=test_at)
        _refuse_too_little(rows, parameters, window=window)
        digest = digest_of(rows, parameters.as_json())
        training_set_id = f"churn-{digest[:16]}"
        path = Path("models") / "churn" / f"{training_set_id}.parquet"
        write_rows(rows, storage / path)
        training_rows = pc.sum(pc.invert(rows["is_test"])).as_py()
        result = TrainingSet(
            training_set_id=training_set_id,
            path=str(path),
            training_rows=training_rows,
            test_rows=len(rows) - training_rows,
            training_snapshots=len(pc.unique(rows["at"])) - 1,
            test_at=test_at,
        )
        _register(conn, result, digest=digest, parameters=parameters, window=window, now=now)
        _keep_weeks(conn, training_set_id, parameters, until=test_at)
    logger.info(
        "build_training_set_churn window=%s training_set_id=%s training_rows=%d test_rows=%d training_snapshots=%d "
        "test_at=%s without_features=%d seconds=%.2f",
        window, training_set_id, result.training_rows, result.test_rows, result.training_snapshots,
        f"{test_at:%Y-%m-%d}", len(joined) - len(rows), time.monotonic() - started,
    )  # fmt: skip
    return result


def read_training_rows(conn: Connection, *, training_set_id: str, storage: Path) -> tuple[pa.Table, pa.Table]:
    """The training rows and the test rows, checked against the digest that was registered.

    :raises TrainingSetLost: it was never built, or its file is missing or changed.
    """
    row = conn.execute(
        "SELECT file_path, data_digest, parameters FROM ml.training_sets WHERE training_set_id = %s", (training_set_id,)
    ).fetchone()
    again = "Run build_training_set for its window again."
    if row is None:
        raise TrainingSetLost(f"There is no training set {training_set_id!r} in ml.training_sets. {again}")
    try:
        rows = read_rows(storage / row[0], digest=row[1], recipe=ChurnParameters(**row[2]).as_json())
    except TrainingSetLost as error:
        raise TrainingSetLost(f"{training_set_id}: {error} {again}") from error
    return rows.filter(pc.invert(rows["is_test"])), rows.filter(rows["is_test"])


def read_weeks(conn: Connection, training_set_id: str) -> list[Week]:
    """The weeks of the shop that end at or before the test snapshot, oldest first."""
    rows = conn.execute(
        """
        SELECT week_start_on, customer_count, buyer_count FROM ml.shop_weeks
        WHERE training_set_id = %s ORDER BY week_start_on
        """,
        (training_set_id,),
    ).fetchall()
    return [Week(start, customers, buyers) for start, customers, buyers in rows]


def _snapshots(conn: Connection, parameters: ChurnParameters, *, until: datetime) -> tuple[datetime, list[datetime]]:
    """The test snapshot and the training snapshots; each one's label window was loaded without a gap."""
    (data_start,) = conn.execute("SELECT min(paid_at) FROM shop.orders").fetchone() or (None,)
    least_days = parameters.least_history_days + 2 * parameters.horizon_days
    needed = (
        f"A churn model needs {least_days} days of orders: {parameters.least_history_days} days of history, "
        f"{parameters.horizon_days} days after the training snapshots and {parameters.horizon_days} after the test one"
    )
    if data_start is None:
        raise NotEnoughData(f"There are no paid orders. {needed}.")
    stretches = loaded_stretches(conn, entity="orders", until=until)

    def is_covered(snapshot: datetime) -> bool:
        end = snapshot + parameters.horizon
        return any(stretch.start <= snapshot and end <= stretch.end for stretch in stretches)

    ends = [stretch.end for stretch in stretches if is_covered(parameters.test_snapshot(coverage_end=stretch.end))]
    training_at = []
    if ends:
        possible = parameters.training_snapshots(coverage_end=ends[-1], data_start=data_start)
        training_at = [snapshot for snapshot in possible if is_covered(snapshot)]
    if not training_at:
        loaded = ", ".join(f"{stretch} ({(stretch.end - stretch.start).days} days)" for stretch in stretches)
        raise NotEnoughData(
            f"{needed}, loaded without a gap. Orders were loaded for {loaded or 'no window'}; the first paid one is of "
            f"{data_start:%Y-%m-%d}. Load more days, then run churn_model again."
        )
    return parameters.test_snapshot(coverage_end=ends[-1]), training_at


def _labels(conn: Connection, parameters: ChurnParameters, snapshots: list[datetime]) -> pa.Table:
    """Customers and outcomes at the snapshots, as a spine."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.label_windows")
    conn.execute(
        """
        CREATE TEMPORARY TABLE label_windows ON COMMIT DROP AS
        SELECT snapshot_at, snapshot_at - %s AS bought_since_at, snapshot_at + %s AS label_end_at
        FROM unnest(%s::timestamptz[]) AS snapshot_at
        """,
        (timedelta(days=parameters.bought_within_days), parameters.horizon, snapshots),
    )
    rows = conn.execute(sql.SQL(LABELS_SQL.read_text())).fetchall()
    customers, at, is_churned = zip(*rows, strict=True) if rows else ((), (), ())
    instants = pa.array(at, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "customer_id": pa.array(customers, pa.int64()),
            "at": instants,
            "label_start_at": instants,
            "is_churned": pa.array(is_churned, pa.bool_()),
        }
    )


def _rows_with_features(joined: pa.Table, *, test_at: datetime) -> pa.Table:
    is_present = pc.equal(joined[f"{CORE_VIEW}_status"], PRESENT)
    kept = joined.filter(is_present).drop_columns(["label_start_at", *(f"{view.name}_status" for view in VIEWS)])
    is_test = pc.equal(kept["at"], pa.scalar(test_at, pa.timestamp("us", "UTC")))
    return kept.append_column("is_test", is_test)


def _refuse_too_little(rows: pa.Table, parameters: ChurnParameters, *, window: Window) -> None:
    for name, part in (("training", rows.filter(pc.invert(rows["is_test"]))), ("test", rows.filter(rows["is_test"]))):
        churned = pc.sum(part["is_churned"]).as_py() or 0
        if len(part) < parameters.least_rows or churned in (0, len(part)):
            raise NotEnoughData(
                f"The {name} rows up to {window.end:%Y-%m-%d} are too few for a churn model: {len(part)} customers at "
                f"snapshots with features, {churned} of them churned. It needs at least {parameters.least_rows}, "
                f"churned and not churned. Load more days, build the features over them, then run churn_model again."
            )


def _register(
    conn: Connection,
    training_set: TrainingSet,
    *,
    digest: str,
    parameters: ChurnParameters,
    window: Window,
    now: datetime,
) -> None:
    conn.execute(
        """
        INSERT INTO ml.training_sets (
            training_set_id, model_name, window_start, window_end, test_at, training_snapshot_count, training_row_count,
            test_row_count, parameters, data_digest, file_path, built_at, feature_versions
        )
        VALUES (%s, 'churn', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (training_set_id) DO NOTHING
        """,
        (
            training_set.training_set_id, window.start, window.end, training_set.test_at,
            training_set.training_snapshots, training_set.training_rows, training_set.test_rows,
            Jsonb(parameters.as_json()), digest, training_set.path, now,
            Jsonb({view.name: current_version(conn, view).version for view in VIEWS}),
        ),
    )  # fmt: skip


def _keep_weeks(conn: Connection, training_set_id: str, parameters: ChurnParameters, *, until: datetime) -> None:
    """How busy the shop's customers were, week by week, until the test snapshot."""
    (data_start,) = conn.execute("SELECT min(paid_at) FROM shop.orders").fetchone() or (None,)
    first = data_start + timedelta(days=parameters.least_history_days)
    count = max(0, (until - first) // _WEEK)
    conn.execute("DROP TABLE IF EXISTS pg_temp.weeks")
    conn.execute(
        """
        CREATE TEMPORARY TABLE weeks ON COMMIT DROP AS
        SELECT start_at AS week_start_at, start_at + %s AS week_end_at, start_at - %s AS bought_since_at
        FROM unnest(%s::timestamptz[]) AS start_at
        """,
        (_WEEK, timedelta(days=RECENT_DAYS), [until - _WEEK * number for number in range(1, count + 1)]),
    )
    query = sql.SQL(WEEKS_SQL.read_text())
    conn.execute(
        sql.SQL("INSERT INTO ml.shop_weeks SELECT {}, week.* FROM ({}) AS week ON CONFLICT DO NOTHING").format(
            training_set_id, query
        )
    )
