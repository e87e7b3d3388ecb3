"""How good the churn model is on a real shop's file and on the simulator, whose truth is known.

`python -m bench.churn_quality FILE` loads a file in the layout of Online Retail into a warehouse of its own and prints
the report's figures at the last snapshot whose label window it covers; `--report PATH` writes the page there.
`python -m bench.churn_quality --simulate CUSTOMERS [--seed N]` does the same with the simulator's shop, and prints the
AUC of the best possible ranking beside the model's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from bench.churn_shops import DAY, build_snapshots, load_online_retail, load_simulated
from bench.churn_truth import best_possible
from bench.warehouse import fresh_warehouse
from include.entities.window import Window
from include.models.churn.baselines import BASELINES, fit_baseline
from include.models.churn.candidates import LabelledRows
from include.models.churn.evaluate import Evaluation, judged
from include.models.churn.page import page_of
from include.models.churn.parameters import ChurnParameters
from include.models.churn.report import Campaign
from include.models.churn.train import fit_model
from include.models.churn.training_set import build_training_set, read_training_rows, read_weeks
from include.models.metrics import auc
from include.warehouse.connection import connect_warehouse

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.churn_quality", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="in the layout of Online Retail, plain or compressed")
    parser.add_argument("--simulate", type=int, metavar="CUSTOMERS", help="the simulator's shop instead of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write the page here")
    arguments = parser.parse_args()
    if (arguments.file is None) == (arguments.simulate is None):
        parser.error("give a file or --simulate")
    parameters = ChurnParameters()
    with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn, tempfile.TemporaryDirectory() as folder:
        if arguments.file:
            data = load_online_retail(conn, arguments.file, now=NOW)
        else:
            data = load_simulated(conn, customers=arguments.simulate, seed=arguments.seed, now=NOW)
        build_snapshots(conn, parameters, data=data, now=NOW)
        training, test, evaluation, report = run(conn, data, parameters, storage=Path(folder))
    print_figures(training, test, evaluation, report)
    if arguments.simulate:
        print_truth(test, evaluation, customers=arguments.simulate, seed=arguments.seed)
    if arguments.report:
        arguments.report.write_text(page_of(report))
    return 0


def run(
    conn: Connection, data: Window, parameters: ChurnParameters, *, storage: Path
) -> tuple[LabelledRows, LabelledRows, Evaluation, dict[str, Any]]:
    """Training set, training and evaluation, without a registry and without a champion."""
    built = build_training_set(
        conn, window=Window(data.end - DAY, data.end), storage=storage, now=NOW, parameters=parameters
    )
    training, test = map(LabelledRows, read_training_rows(conn, training_set_id=built.training_set_id, storage=storage))
    weeks = read_weeks(conn, built.training_set_id)
    horizon = parameters.horizon_days
    backtest, model = fit_model(training, weeks, test_at=built.test_at, horizon_days=horizon, seed=parameters.seed)
    probabilities = {"model": model.probabilities(test.table)} | {
        name: fit_baseline(name, training, horizon_days=horizon).probabilities(test.table) for name in BASELINES
    }
    evaluation, report = judged(
        model, training, test, probabilities, model_id=f"{backtest.chosen}, {built.training_set_id}",
        champion_id=None, campaign=Campaign(), seed=parameters.seed,
    )  # fmt: skip
    report |= {
        "test_at": built.test_at.isoformat(),
        "parameters": parameters.as_json(),
        "backtest": [asdict(each) | {"snapshot_on": each.snapshot_on.isoformat()} for each in backtest.figures],
    }
    return training, test, evaluation, report


def print_figures(training: LabelledRows, test: LabelledRows, evaluation: Evaluation, report: dict[str, Any]) -> None:
    """Every metric beside its baselines, and what the season did."""
    print(
        f"{evaluation.model_id}: {len(training):,} training rows, {len(test):,} customers as of "
        f"{report['test_at'][:10]}, of whom {evaluation.churn_rate:.4f} churned "
        f"({evaluation.training_churn_rate:.4f} in training)"
    )
    print(f"{'':28}" + "".join(f"{name:>30}" for name in evaluation.scores))
    for metric in next(iter(evaluation.scores.values())):
        cells = []
        for name, own in evaluation.scores.items():
            low, high = evaluation.intervals[name][metric]
            cells.append(f"{own[metric]:.4f} ({low:.4f} to {high:.4f})")
        print(f"{metric:28}" + "".join(f"{cell:>30}" for cell in cells))
    for name in evaluation.differences:
        for metric in ("auc", "average_precision"):
            low, high = evaluation.differences[name][metric]
            value = evaluation.scores["model"][metric] - evaluation.scores[name][metric]
            print(f"{metric} of the model minus that of {name}: {value:+.4f} ({low:+.4f} to {high:+.4f})")
    for name, own in report["season"].items():
        print(
            f"{name}: calibration error {own['expected_calibration_error']:.4f}, "
            f"mean probability {own['mean_probability']:.4f}"
        )
    for name, own in report["customers"].items():
        told = ", ".join(f"{scorer} {own[f'auc_{scorer}']:.4f}" for scorer in evaluation.scores)
        print(f"customers {name}: {own['rows']:,} rows, AUC of {told}")
    other = report["other_customers"]
    print(
        f"models of half of the customers each: AUC {other['auc_of_their_own_past']:.4f} on those they learnt from, "
        f"{other['auc_of_others_past']:.4f} on the others"
    )
    print(f"alarms of a leak: {'; '.join(evaluation.canaries) or 'none'}")


def print_truth(test: LabelledRows, evaluation: Evaluation, *, customers: int, seed: int) -> None:
    """The model's AUC as a share of the way from 0.5 to that of those who know more."""
    horizon = ChurnParameters().horizon_days
    best = best_possible(test.customers, test.days, customers=customers, seed=seed, horizon_days=horizon)
    own = evaluation.scores["model"]["auc"]
    for name, scores in best.items():
        attained = auc(test.outcomes, scores)
        way = (own - 0.5) / (attained - 0.5)
        print(f"AUC of one {name}: {attained:.4f}; the model has {way:.1%} of the way to it")


if __name__ == "__main__":
    sys.exit(main())
