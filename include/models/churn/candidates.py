"""Candidates for the churn model: how each is fitted, before it is calibrated.

`logistic` sees the smooth part and lasts, `boosting` sees thresholds; both read the opinion of BG/NBD as one more
input. `bg_nbd` is that opinion alone, a candidate and a baseline at once: it cannot learn much, and needs little to
learn from. `blend` is the mean of the log-odds of the first two, `blend_of_three` of all three.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from include.models.churn.columns import InputColumns, Matrix, Vector
from include.models.churn.inputs import GROUPS, INPUTS, RECENCY
from include.models.churn.model import SEASON_INPUT, Calibration, ChurnModel, ReasonGroup
from include.models.churn.parts import LinearPart, Part, PurchasePart, TreesPart, histories_of, signed_log1p
from include.models.churn.words import Words
from include.models.lifetime.bg_nbd_fit import fit_bg_nbd
from include.models.lifetime.maximum_likelihood import FitRefused

LOGISTIC, BOOSTING, BG_NBD = "logistic", "boosting", "bg_nbd"
BLEND, BLEND_OF_THREE = "blend", "blend_of_three"
MADE_OF = {
    LOGISTIC: (LOGISTIC,),
    BOOSTING: (BOOSTING,),
    BLEND: (LOGISTIC, BOOSTING),
    BLEND_OF_THREE: (LOGISTIC, BOOSTING, BG_NBD),
    BG_NBD: (BG_NBD,),
}
CANDIDATES = tuple(MADE_OF)
_LEAST_ROWS_OF_A_CATEGORY = 50
_MOST_CUSTOMERS_FOR_BG_NBD = 50_000
_FEW_ROWS = 50_000
_FIRST_ROWS = 1_000
_PURCHASES = ("repeat_purchase_days", RECENCY, "lifetime_age_days")


@dataclass(frozen=True)
class LabelledRows:
    """Rows with features and outcomes: `customer_id`, `at`, `is_churned` and the features."""

    table: pa.Table

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def outcomes(self) -> npt.NDArray[np.bool_]:
        """Whether each churned."""
        return self.table["is_churned"].to_numpy()

    @cached_property
    def customers(self) -> npt.NDArray[np.int64]:
        return self.table["customer_id"].to_numpy()

    @cached_property
    def days(self) -> npt.NDArray[np.int64]:
        """The snapshots as days since 1970-01-01 in UTC."""
        return self.table["at"].cast(pa.timestamp("us")).to_numpy().astype("M8[D]").astype(np.int64)

    def take(self, mask: npt.NDArray[np.bool_]) -> LabelledRows:
        return LabelledRows(self.table.filter(pa.array(mask)))

    def sample(self, most: int, *, seed: int) -> LabelledRows:
        """All rows of so many customers that about `most` rows remain; the same customers each time."""
        if len(self) <= most:
            return self
        drawn = chance_of(self.customers, seed=seed)
        return self.take(drawn <= np.quantile(drawn, most / len(self)))


def chance_of(customers: npt.NDArray[np.int64], *, seed: int) -> Vector:
    """A number of 0 to 1 for each customer, the same whoever else is asked about (the finaliser of SplitMix64)."""
    mixed = customers.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64


def fit_candidate(
    name: str, rows: LabelledRows, *, horizon_days: int, seed: int, versions: dict[str, int] | None = None
) -> ChurnModel:
    """A candidate fitted on rows, not calibrated: its log-odds are those of the season it was trained in.

    It knows no deciles yet.

    :param name: one of `CANDIDATES`.
    :param versions: per view the version whose features these are; by default 1.
    """
    return fit_candidates((name,), rows, horizon_days=horizon_days, seed=seed, versions=versions)[name]


def fit_candidates(
    names: tuple[str, ...],
    rows: LabelledRows,
    *,
    horizon_days: int,
    seed: int,
    versions: dict[str, int] | None = None,
) -> dict[str, ChurnModel]:
    """Several candidates on the same rows; what they share is fitted once."""
    columns = columns_of(rows)
    matrix = columns.matrix(rows.table)
    purchases = _fit_purchases(columns, matrix, rows, horizon_days=horizon_days)
    frame = _frame(columns, matrix, purchases, horizon_days=horizon_days, versions=versions or {})
    seen = frame.seen(matrix, in_place=True)
    needed = {part for name in names for part in MADE_OF[name]}
    fitted: dict[str, Part] = {}
    if LOGISTIC in needed:
        fitted[LOGISTIC] = fit_linear(seen, rows.outcomes)
    if BOOSTING in needed:
        fitted[BOOSTING] = fit_trees(seen, rows.outcomes, seed=seed)
    if BG_NBD in needed:
        fitted[BG_NBD] = _LastColumn() if purchases else _Nothing()
    return {name: _with_parts(frame, tuple(fitted[part] for part in MADE_OF[name])) for name in names}


@dataclass(frozen=True)
class _LastColumn:
    """The opinion that stands in the last column, as it is."""

    def log_odds(self, matrix: Matrix) -> Vector:
        return np.ascontiguousarray(matrix[:, -1])


@dataclass(frozen=True)
class _Nothing:
    """No opinion: there was nothing to fit one on."""

    def log_odds(self, matrix: Matrix) -> Vector:
        return np.zeros(len(matrix))


def columns_of(rows: LabelledRows) -> InputColumns:
    """The inputs with more than one value in these rows, and the season; texts by how many of them churned."""
    names, categories = [], {}
    for each in INPUTS.values():
        if each.name not in rows.table.column_names:
            continue
        if each.type == "text":
            categories[each.name] = _categories(rows, each.name)
            if len(categories[each.name]) > 1:
                names.append(each.name)
        elif each.name == SEASON_INPUT or _varies(rows.table[each.name]):
            names.append(each.name)
    return InputColumns(tuple(names), {name: categories[name] for name in names if name in categories})


def _varies(column: pa.ChunkedArray) -> bool:
    """Whether there are two values, of which unknown may be one; most often the first rows tell."""
    for rows in (column.slice(0, _FIRST_ROWS), column):
        numbers = np.asarray(rows.to_numpy(), dtype=np.float64)
        known = numbers[~np.isnan(numbers)]
        if len(known) > 0 and (len(known) < len(numbers) or bool((known != known[0]).any())):
            return True
    return False


def _categories(rows: LabelledRows, name: str) -> tuple[str, ...]:
    """Texts of enough rows, those whose rows churned least first: a column of their places is a sensible number."""
    own = (
        rows.table.select([name, "is_churned"])
        .group_by(name)
        .aggregate([("is_churned", "count"), ("is_churned", "sum")])
    )
    found = [
        (churned / count, text)
        for text, count, churned in zip(
            own[name].to_pylist(),
            own["is_churned_count"].to_pylist(),
            own["is_churned_sum"].to_pylist(),
            strict=True,
        )
        if text is not None and count >= _LEAST_ROWS_OF_A_CATEGORY
    ]
    return tuple(text for _, text in sorted(found))


def fit_linear(seen: Matrix, outcomes: npt.NDArray[np.bool_]) -> LinearPart:
    """A strongly regularised logistic regression."""
    with np.errstate(all="ignore"):
        fill = np.array([np.median(known) if len(known := own[~np.isnan(own)]) else 0.0 for own in seen.T])
    known = signed_log1p(np.where(np.isnan(seen), fill, seen))
    deviation = known.std(axis=0)
    shape = LinearPart(
        fill=fill,
        mean=known.mean(axis=0),
        deviation=np.where(deviation > 0, deviation, 1.0),
        weights=np.zeros(2 * seen.shape[1]),
        intercept=0.0,
    )
    fitted = logistic().fit(shape.terms(seen), outcomes)
    return LinearPart(
        fill=shape.fill,
        mean=shape.mean,
        deviation=shape.deviation,
        weights=np.ascontiguousarray(fitted.coef_[0]),
        intercept=float(fitted.intercept_[0]),
    )


def logistic() -> LogisticRegression:
    """The logistic regression as scikit-learn knows it, not fitted."""
    return LogisticRegression(C=0.01, solver="newton-cholesky", max_iter=200)


def fit_trees(seen: Matrix, outcomes: npt.NDArray[np.bool_], *, seed: int) -> TreesPart:
    """A small gradient boosting of shallow trees.

    On few rows one thread is faster than many, and does not wait for cores that others use.
    """
    threads = 1 if len(seen) < _FEW_ROWS else None
    with threadpool_limits(limits=threads, user_api="openmp"):
        return TreesPart(boosting(seed=seed).fit(seen, outcomes))


def boosting(*, seed: int) -> HistGradientBoostingClassifier:
    """The boosting as scikit-learn knows it, not fitted."""
    return HistGradientBoostingClassifier(
        learning_rate=0.03, max_iter=120, max_leaf_nodes=8, min_samples_leaf=100, l2_regularization=10.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def _fit_purchases(
    columns: InputColumns, matrix: Matrix, rows: LabelledRows, *, horizon_days: int
) -> PurchasePart | None:
    """BG/NBD on the customers of the newest snapshot among the rows, as they were then; None where they cannot tell."""
    if not set(_PURCHASES) <= set(columns.names):
        return None
    repeats_at, last_at, age_at = (columns.names.index(name) for name in _PURCHASES)
    places = (repeats_at, last_at, age_at)
    newest = rows.days == rows.days.max()
    drawn = chance_of(rows.customers, seed=0)
    most = np.quantile(drawn[newest], min(1.0, _MOST_CUSTOMERS_FOR_BG_NBD / newest.sum()))
    own = matrix[newest & (drawn <= most)][:, places]
    is_known, repeats, last, age = histories_of(own)
    try:
        fit = fit_bg_nbd(repeats[is_known], last[is_known], age[is_known])
    except FitRefused:
        return None
    return PurchasePart(fit.model, horizon_days, places)


def _frame(
    columns: InputColumns,
    matrix: Matrix,
    purchases: PurchasePart | None,
    *,
    horizon_days: int,
    versions: dict[str, int],
) -> ChurnModel:
    """All of a model but its parts."""
    is_text = [name in columns.categories for name in columns.names]
    with ThreadPoolExecutor() as threads:
        reference = tuple(threads.map(_reference, matrix.T, is_text))
    model = ChurnModel(
        wanted=tuple(_wanted(name, versions) for name in columns.names),
        columns=columns,
        horizon_days=horizon_days,
        decile_bounds=(),
        parts=(),
        weights=(),
        purchases=purchases,
        calibration=Calibration(),
        reference=reference,
        groups=_groups(columns),
        words={},
    )
    words = {
        name: Words(INPUTS[name].description, INPUTS[name].unit, model.value_of(name, reference[place]))
        for place, name in enumerate(columns.names)
    }
    return replace(model, words=words)


def _reference(own: Vector, is_text: bool) -> float:
    """The commonest text, else the median of what is known."""
    known = own[~np.isnan(own)]
    if not len(known):
        return float("nan")
    return float(np.bincount(known.astype(np.int64)).argmax() if is_text else np.median(known, overwrite_input=True))


def _groups(columns: InputColumns) -> tuple[ReasonGroup, ...]:
    found = []
    for members in GROUPS.values():
        own = [name for name in members if name in columns.names]
        if own:
            found.append(ReasonGroup(own[0], tuple(columns.names.index(name) for name in own)))
    return tuple(found)


def _wanted(name: str, versions: dict[str, int]) -> str:
    view = INPUTS[name].view
    return f"{view}@{versions.get(view, 1)}:{name}" if view else name


def _with_parts(frame: ChurnModel, parts: tuple[Part, ...]) -> ChurnModel:
    return replace(frame, parts=parts, weights=(1 / len(parts),) * len(parts))
