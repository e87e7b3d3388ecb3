"""Training the churn model end to end, beside scikit-learn's own fit of the same estimators on the same matrix.

End to end is what `train` does with a training set that was read: backtest, choice, calibration, fit, deciles. The
floor is `fit` of the estimators that the chosen candidate is made of, on the numbers that they were given, ready in
memory; the boosting gets them row by row, which is the faster for it. CHURN_TRAINING_ROWS=1000000 is the full size.

Both are run in turns, and the least of each counts: a boosting whose threads wait for each other at every tree takes up
to half as long again where the machine does anything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from resource import RUSAGE_SELF, getrusage

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.result import Result
from include.models.churn.candidates import LabelledRows, boosting, logistic
from include.models.churn.columns import Matrix
from include.models.churn.inputs import INPUTS
from include.models.churn.parts import LinearPart, Part, TreesPart
from include.models.churn.train import fit_model

ROWS = int(os.environ.get("CHURN_TRAINING_ROWS", "50000"))
FULL_ROWS = 1_000_000
SNAPSHOTS = 26
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
ROUNDS = 2


def run() -> list[Result]:
    answer = subprocess.run(
        [sys.executable, "-m", "bench.churn_training"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = json.loads(answer.splitlines()[-1])
    overhead = 100 * (found["ours"] / found["floor"] - 1)
    return [
        Result(
            name="models.churn_training_overhead",
            value=overhead,
            unit="%",
            against="scikit-learn's fit of the same estimators on the same matrix",
            goal="≤ 30",
            detail=f"{found['ours']:.1f} s against {found['floor']:.1f} s, {found['rows']:,} rows "
            f"(full size: CHURN_TRAINING_ROWS={FULL_ROWS}), {found['columns']} columns, {found['made_of']}; "
            f"peak memory {found['megabytes']:,.0f} MB",
        )
    ]


def measure(rows: int) -> dict[str, float | int | str]:
    """Seconds of both, ours first; peak memory of ours."""
    training = made_up(rows)
    test_at = FIRST + timedelta(days=14 * (SNAPSHOTS - 1) + 90)
    ours, floors, megabytes = [], [], 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _, model = fit_model(training, [], test_at=test_at, horizon_days=90, seed=0)
        ours.append(time.perf_counter() - started)
        megabytes = megabytes or getrusage(RUSAGE_SELF).ru_maxrss / 1024
        seen = model.seen(model.columns.matrix(training.table))
        floors.append(sum(_seconds_of_fit(part, seen, training.outcomes) for part in model.parts))
    return {
        "rows": len(training), "ours": min(ours), "floor": min(floors), "columns": seen.shape[1],
        "megabytes": megabytes, "made_of": " and ".join(type(part).__name__ for part in model.parts),
    }  # fmt: skip


def _seconds_of_fit(part: Part, seen: Matrix, outcomes: npt.NDArray[np.bool_]) -> float:
    """Of scikit-learn's fit of a part; what it needs is made before."""
    if isinstance(part, TreesPart):
        estimator, inputs = boosting(seed=0), np.ascontiguousarray(seen)
    elif isinstance(part, LinearPart):
        estimator, inputs = logistic(), part.terms(seen)
    else:
        return 0.0
    started = time.perf_counter()
    estimator.fit(inputs, outcomes)
    return time.perf_counter() - started


def made_up(rows: int) -> LabelledRows:
    """Rows of all inputs, whose outcome hangs on a few of them; unknown values in some."""
    random = np.random.default_rng(1)
    customers = np.repeat(np.arange(rows // SNAPSHOTS + 1), SNAPSHOTS)[:rows]
    number = np.tile(np.arange(SNAPSHOTS), rows // SNAPSHOTS + 1)[:rows]
    at = np.datetime64("2024-01-01", "us") + number * np.timedelta64(14, "D")
    age = random.integers(1, 700, rows)
    repeats = random.poisson(random.gamma(1.0, 2.0, rows))
    since = np.where(repeats > 0, random.random(rows), 1.0) * age
    columns: dict[str, pa.Array] = {}
    for each in INPUTS.values():
        if each.type == "text":
            columns[each.name] = pa.array(random.choice(["tea", "cups", "lamps"], rows))
        elif each.type == "integer":
            columns[each.name] = pa.array(random.poisson(3, rows))
        else:
            columns[each.name] = pa.array(random.lognormal(2, 1, rows), mask=random.random(rows) < 0.05)
    columns |= {
        "recency_days_now": pa.array(since),
        "repeat_purchase_days": pa.array(repeats),
        "lifetime_age_days": pa.array(age),
        "frequency": pa.array(repeats + 1),
        "request_day_of_year": pa.array(1 + (14 * number) % 365),
    }
    chance = 1 / (1 + np.exp(-(0.01 * since - 0.4 * repeats + 0.3 * random.normal(size=rows))))
    keys = {
        "customer_id": pa.array(customers),
        "at": pa.array(at).cast(pa.timestamp("us", "UTC")),
        "is_churned": pa.array(random.random(rows) < chance),
    }
    return LabelledRows(pa.table(keys | columns))


if __name__ == "__main__":
    print(json.dumps(measure(ROWS)))
