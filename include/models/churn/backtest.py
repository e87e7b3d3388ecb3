"""The rolling-origin backtest: what each candidate would have said at snapshots before the test, and what came."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from include.models.churn.calibration import OriginRows, calibration_for, exposure_of_training, fit_line
from include.models.churn.candidates import BLEND_OF_THREE, CANDIDATES, LabelledRows, fit_candidates
from include.models.churn.model import Calibration, ChurnModel
from include.models.churn.parts import probability_of
from include.models.churn.season import Week, fit_season
from include.models.metrics import judge

MOST_ORIGINS = 4
MOST_ROWS = 20_000
"""A backtest looks at customers with so many training rows together, so that its time does not grow with the shop."""
_LEAST_ROWS = 50


@dataclass(frozen=True)
class Backtest:
    """What came out.

    :param lines: per candidate slope and intercept of its calibration.
    :param log_loss: per candidate the mean over the origins, at each with the line through its log-odds that is best
        there: how well it tells customers apart. The level is the season's and the calibration's to find, and at a
        few origins it is mostly chance.
    :param origins: per origin and candidate what was said.
    :param figures: one row per origin and candidate, for the report.
    """

    lines: dict[str, tuple[float, float]]
    log_loss: dict[str, float]
    origins: dict[str, list[OriginRows]]
    figures: list[OriginFigures]

    @property
    def chosen(self) -> str:
        """The candidate with the least log loss; the blend where there was nothing to compare."""
        return min(self.log_loss, key=lambda name: self.log_loss[name]) if self.log_loss else BLEND_OF_THREE


def run_backtest(
    rows: LabelledRows,
    weeks: Sequence[Week],
    *,
    horizon_days: int,
    seed: int,
    most_origins: int = MOST_ORIGINS,
) -> Backtest:
    """At each origin candidates learn from snapshots whose label windows ended by then, and judge the origin's rows.

    The season, too, is estimated at each origin from the weeks before it. Origins are looked at beside each other: a
    fit on so few rows keeps one core busy.

    :param rows: training rows; the test's are not among them.
    """
    rows = rows.sample(MOST_ROWS, seed=seed)
    days = origins_of(rows, horizon_days=horizon_days, most=most_origins)
    with ThreadPoolExecutor() as threads:
        at_origins = threads.map(lambda day: _said_at(day, rows, weeks, horizon_days=horizon_days, seed=seed), days)
    origins = list(at_origins)
    said = {name: [each[name] for each in origins] for name in CANDIDATES}
    lines = {name: fit_line(own, horizon_days=horizon_days) for name, own in said.items()}
    figures = [_figures(name, own, lines[name]) for name in CANDIDATES for own in said[name]]
    losses = {name: float(np.mean([least_log_loss(each) for each in own])) for name, own in said.items() if own}
    return Backtest(lines, losses, said, figures)


def _said_at(
    day: int, rows: LabelledRows, weeks: Sequence[Week], *, horizon_days: int, seed: int
) -> dict[str, OriginRows]:
    """What each candidate that knows what was known on a day says about that day's rows."""
    known = rows.take(rows.days + horizon_days <= day)
    at_origin = rows.take(rows.days == day)
    season = fit_season(weeks, before_day=day)
    usual = exposure_of_training(season, known.days, horizon_days=horizon_days)
    exposure = season.exposure(day, days=horizon_days) / usual
    models = fit_candidates(CANDIDATES, known, horizon_days=horizon_days, seed=seed)
    return {
        name: OriginRows(day, model.raw_log_odds(model.columns.matrix(at_origin.table)), at_origin.outcomes, exposure)
        for name, model in models.items()
    }


def least_log_loss(own: OriginRows) -> float:
    """The log loss of the best line through the log-odds: a logistic regression of one input."""
    fitted = LogisticRegression(C=1e6).fit(own.log_odds[:, None], own.outcomes)
    return judge(own.outcomes, fitted.predict_proba(own.log_odds[:, None])[:, 1])["log_loss"]


def origins_of(rows: LabelledRows, *, horizon_days: int, most: int) -> list[int]:
    """Snapshots with enough rows of both outcomes that are labelled before them, evenly chosen, the newest included."""
    days = np.unique(rows.days)

    def is_enough(part: LabelledRows) -> bool:
        return len(part) >= _LEAST_ROWS and 0 < part.outcomes.sum() < len(part)

    possible = [
        int(day)
        for day in days
        if is_enough(rows.take(rows.days + horizon_days <= day)) and is_enough(rows.take(rows.days == day))
    ]
    places = np.unique(np.linspace(len(possible) - 1, 0, min(most, len(possible))).round().astype(int))
    return [possible[place] for place in places]


def fit_chosen(
    rows: LabelledRows,
    weeks: Sequence[Week],
    backtest: Backtest,
    *,
    test_day: int,
    horizon_days: int,
    seed: int,
    versions: dict[str, int] | None = None,
) -> ChurnModel:
    """The chosen candidate fitted on all training rows, with its calibration and the season as known at the test."""
    name = backtest.chosen
    model = fit_candidates((name,), rows, horizon_days=horizon_days, seed=seed, versions=versions)[name]
    season = fit_season(weeks, before_day=test_day)
    line = backtest.lines.get(name, (1.0, 0.0))
    calibration = calibration_for(line, season, rows.days, from_day=test_day, horizon_days=horizon_days)
    return model.calibrated(calibration).with_deciles(rows.table)


@dataclass(frozen=True, slots=True)
class OriginFigures:
    """How a candidate did at one snapshot before the test; columns of `ml.churn_backtests`."""

    candidate: str
    snapshot_on: date
    row_count: int
    churn_rate: float
    exposure: float
    auc: float
    log_loss: float
    calibration_error: float
    calibration_error_as_trained: float
    calibration_error_with_season: float
    mean_probability_as_trained: float
    mean_probability_with_season: float


def _figures(name: str, own: OriginRows, line: tuple[float, float]) -> OriginFigures:
    season = (own.exposure,) * 366
    as_trained = _probabilities(Calibration(), own)
    with_season = _probabilities(Calibration(exposures=season), own)
    metrics = judge(own.outcomes, _probabilities(Calibration(line[0], line[1], season), own))
    return OriginFigures(
        candidate=name,
        snapshot_on=date.fromordinal(date(1970, 1, 1).toordinal() + own.day),
        row_count=len(own.outcomes),
        churn_rate=float(own.outcomes.mean()),
        exposure=own.exposure,
        auc=metrics["auc"],
        log_loss=metrics["log_loss"],
        calibration_error=metrics["expected_calibration_error"],
        calibration_error_as_trained=judge(own.outcomes, as_trained)["expected_calibration_error"],
        calibration_error_with_season=judge(own.outcomes, with_season)["expected_calibration_error"],
        mean_probability_as_trained=float(as_trained.mean()),
        mean_probability_with_season=float(with_season.mean()),
    )


def _probabilities(calibration: Calibration, own: OriginRows) -> npt.NDArray[np.float64]:
    return probability_of(calibration.log_odds(own.log_odds, np.ones(len(own.log_odds))))
