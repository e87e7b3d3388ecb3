"""BG/NBD against its own story, brute-force integration, the paper's closed form and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from include.models.lifetime.bg_nbd import BgNbd
from include.models.lifetime.bg_nbd_fit import fit_bg_nbd, log_likelihood_of
from include.models.lifetime.histories import group
from include.models.lifetime.maximum_likelihood import FitRefused
from tests.unit.lifetime_story import simulate_purchases

CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)

models = st.builds(
    BgNbd, r=st.floats(0.05, 20), alpha=st.floats(0.5, 200), a=st.floats(0.02, 20), b=st.floats(0.05, 50)
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[float, float, float]:
    """Days, of which each has at most one purchase."""
    age = draw(st.floats(1.0, 900.0))
    x = draw(st.integers(0, min(int(age), 300)))
    return float(x), draw(st.floats(0.01, 1.0)) * age if x else 0.0, age


def over_rate_and_leaving(model: BgNbd, history: tuple[float, float, float]) -> tuple[float, float]:
    """(likelihood, likelihood of being alive as well), each an integral over the rate and the chance of leaving."""
    x, t_x, age = history
    leaving = special.beta(model.a, model.b)

    def over_rate(until: float) -> float:
        def density(logarithm: float) -> float:
            exponent = (x + model.r) * logarithm - np.exp(logarithm) * (until + model.alpha)
            return np.exp(exponent) * model.alpha**model.r / special.gamma(model.r)

        return integrate.quad(density, -150, 10, points=[-20, -5, 0], epsabs=0, epsrel=1e-11, limit=500)[0]

    def over_leaving(powers: tuple[float, float]) -> float:
        weight = (model.a - 1 + powers[0], model.b - 1 + powers[1])
        return integrate.quad(lambda _: 1.0, 0, 1, weight="alg", wvar=weight, epsabs=0, epsrel=1e-11)[0] / leaving

    alive = over_leaving((0, x)) * over_rate(age)
    gone = over_leaving((1, x - 1)) * over_rate(t_x) if x else 0.0
    return alive + gone, alive


@pytest.mark.parametrize("history", [(0.0, 0.0, 38.86), (1.0, 3.0, 30.0), (2.0, 30.43, 38.86), (7.0, 12.0, 39.0)])
def test_likelihood_and_chance_of_being_alive_are_the_integrals_over_all_customers(history) -> None:
    both, alive = over_rate_and_leaving(CDNOW, history)
    repeated = [[value] * 60 for value in history]
    padding = [[1.0] * 20, [1.0] * 20, [2.0] * 20]
    value_of = [
        log_likelihood_of(group(*(one + other for one, other in zip(repeated, padding, strict=True)), weights))(
            np.array([CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b])
        )[0]
        for weights in ([1.0] * 80, [2.0] * 60 + [1.0] * 20)
    ]
    assert (value_of[1] - value_of[0]) / 60 == pytest.approx(np.log(both), rel=1e-9)
    assert float(CDNOW.probability_alive(*history)) == pytest.approx(alive / both, rel=1e-9)


@given(models, histories(), st.floats(0.5, 800.0))
def test_expected_purchases_are_those_of_an_integration_over_the_chance_of_leaving(model, history, horizon) -> None:
    x, _, age = history
    reach, shape, near = horizon / (model.alpha + age), model.r + x, 0.2 / (1 + horizon / (model.alpha + age))

    def given_leaving(chance: float) -> float:
        return -np.expm1(-shape * np.log1p(chance * reach)) / chance if chance > 1e-300 else shape * reach

    close = integrate.quad(
        lambda p: given_leaving(p) * (1 - p) ** (model.b + x - 1), 0, near, weight="alg", wvar=(model.a - 1, 0),
        epsabs=0, epsrel=1e-11, limit=500,
    )[0]  # fmt: skip
    far = integrate.quad(
        lambda p: given_leaving(p) * p ** (model.a - 1), near, 1, weight="alg", wvar=(0, model.b + x - 1),
        epsabs=0, epsrel=1e-11, limit=500,
    )[0]  # fmt: skip
    if_alive = (close + far) / special.beta(model.a, model.b + x)
    assert float(model.expected_purchases_if_alive(horizon, x, age)) == pytest.approx(if_alive, rel=1e-7)
    assert float(model.expected_purchases(horizon, *history)) == pytest.approx(
        if_alive * float(model.probability_alive(*history)), rel=1e-7
    )


@pytest.mark.parametrize("history", [(0.0, 0.0, 38.86), (2.0, 30.43, 38.86), (26.0, 30.0, 31.0)])
def test_expected_purchases_are_the_papers_equation_ten(history) -> None:
    x, t_x, age = history
    r, alpha, a, b = CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b
    share = 39 / (alpha + age + 39)
    series = special.hyp2f1(r + x, b + x, a + b + x - 1, share)
    above = (a + b + x - 1) / (a - 1) * (1 - (1 - share) ** (r + x) * series)
    below = 1 + (x > 0) * a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x)
    assert float(CDNOW.expected_purchases(39, *history)) == pytest.approx(above / below, rel=1e-9)


def test_a_shop_simulated_customer_by_customer_buys_as_foretold() -> None:
    rng = np.random.default_rng(20110901)
    ages = rng.uniform(100, 400, 60_000)
    model = BgNbd(r=0.8, alpha=60.0, a=0.9, b=3.0)
    x, t_x, later = simulate_purchases(model, ages, horizon=90.0, rng=rng)
    expected, chance = (
        model.expected_purchases(90, x, t_x, ages), model.probability_of_purchase(90, x, t_x, ages)
    )  # fmt: skip
    for group_of in (x == 0, x == 1, (x >= 2) & (x < 5), x >= 5, ages - t_x > 90):
        for foretold, came in ((expected, later), (chance, later > 0)):
            error = (came[group_of] - foretold[group_of]).mean()
            assert abs(error) < 4 * came[group_of].std() / np.sqrt(group_of.sum())


def test_the_parameters_of_a_simulated_shop_are_found_again_within_their_own_uncertainty() -> None:
    rng = np.random.default_rng(7)
    ages = rng.uniform(50, 500, 30_000)
    truth = BgNbd(r=0.8, alpha=60.0, a=0.9, b=3.0)
    x, t_x, _ = simulate_purchases(truth, ages, horizon=0.0, rng=rng)
    fit = fit_bg_nbd(x, t_x, ages)
    off = np.log([fit.model.r, fit.model.alpha, fit.model.a, fit.model.b])
    off -= np.log([truth.r, truth.alpha, truth.a, truth.b])
    deviation = np.sqrt(np.diag(fit.covariance))
    assert (deviation > 0).all() and (deviation < 0.25).all()
    # Chi-squared with four degrees of freedom: above 23.5 once in ten thousand.
    assert off @ np.linalg.solve(fit.covariance, off) < 23.5
    assert fit.at_bound == ()


@given(models, st.lists(histories(), min_size=60, max_size=60))
def test_the_gradient_is_that_of_finite_differences(model, rows) -> None:
    x, t_x, age = (np.array(column) for column in zip(*rows, strict=True))
    x[:10], t_x[:10] = 3.0, age[:10] / 2
    function = log_likelihood_of(group(x, t_x, age, None))
    at = np.array([model.r, model.alpha, model.a, model.b])
    value, gradient = function(at)
    for position in range(4):
        step = np.zeros(4)
        step[position] = 1e-4 * at[position]
        difference = (function(at + step)[0] - function(at - step)[0]) / (2 * step[position])
        room = 1e-6 * (1 + abs(difference)) + 1e-11 * abs(value) / step[position]
        assert gradient[position] == pytest.approx(difference, abs=room)


def test_weights_are_customers() -> None:
    rng = np.random.default_rng(3)
    ages = np.ceil(rng.uniform(50, 200, 400))
    x, t_x, _ = simulate_purchases(CDNOW, ages, horizon=0.0, rng=rng)
    weights = rng.integers(0, 4, 400)
    once = fit_bg_nbd(x, t_x, ages, weights)
    spelled = fit_bg_nbd(*(np.repeat(values, weights) for values in (x, t_x, ages)))
    assert spelled.log_likelihood == pytest.approx(once.log_likelihood, rel=1e-12)
    assert spelled.model.alpha == pytest.approx(once.model.alpha, rel=1e-6)
    assert spelled.customers == once.customers == weights.sum()


def test_the_unit_of_time_changes_alpha_alone() -> None:
    rng = np.random.default_rng(4)
    ages = rng.uniform(20, 39, 3000)
    x, t_x, _ = simulate_purchases(CDNOW, ages, horizon=0.0, rng=rng)
    weeks, days = fit_bg_nbd(x, t_x, ages).model, fit_bg_nbd(x, 7 * t_x, 7 * ages).model
    assert (days.r, days.alpha / 7, days.a, days.b) == pytest.approx((weeks.r, weeks.alpha, weeks.a, weeks.b), rel=1e-5)


@given(models, st.lists(histories(), min_size=1, max_size=40), st.floats(1, 500))
def test_a_row_gives_the_same_bits_alone_and_among_others(model, rows, horizon) -> None:
    x, t_x, age = (np.array(column) for column in zip(*rows, strict=True))
    for answer in (model.probability_of_purchase, model.expected_purchases):
        together = answer(horizon, x, t_x, age)
        alone = [float(answer(horizon, *row)) for row in rows]
        assert together.tolist() == alone


def test_an_unknown_history_has_no_figures() -> None:
    unknown = (np.array([np.nan, 1.0, 0.0]), np.array([0.0, np.nan, 0.0]), np.array([5.0, 5.0, np.nan]))
    assert np.isnan(CDNOW.probability_alive(*unknown)).all()
    assert np.isnan(CDNOW.probability_of_purchase(9, *unknown)).all()
    assert np.isnan(CDNOW.expected_purchases(9, *unknown)).all()


def test_a_horizon_of_nothing_brings_nothing_and_one_without_end_brings_everybody_who_is_alive() -> None:
    history = (np.array([0.0, 3.0]), np.array([0.0, 10.0]), np.array([20.0, 20.0]))
    assert CDNOW.expected_purchases(0, *history).tolist() == [0, 0]
    assert CDNOW.probability_of_purchase(0, *history).tolist() == [0, 0]
    assert CDNOW.probability_of_purchase(1e300, *history) == pytest.approx(CDNOW.probability_alive(*history))


@pytest.mark.parametrize(
    ("x", "t_x", "age", "said"),
    [
        ([0] * 100, [0] * 100, [9] * 100, "0 of whom came back"),
        ([1] * 20, [2] * 20, [9] * 20, "20 customers"),
        ([1] * 100, [10] * 100, [9] * 100, "outside of their observation"),
        ([0] * 100, [1] * 100, [9] * 100, "recency without a repeat purchase"),
        ([1.5] * 100, [1] * 100, [9] * 100, "not a count"),
        ([float("nan")] * 100, [1] * 100, [9] * 100, "lack a number"),
        ([1] * 99, [1] * 100, [9] * 100, "shapes"),
    ],
)  # fmt: skip
def test_histories_that_tell_nothing_are_refused(x, t_x, age, said) -> None:
    with pytest.raises(FitRefused, match=said):
        fit_bg_nbd(x, t_x, age)


@pytest.mark.parametrize("parameters", [(0, 1, 1, 1), (1, float("nan"), 1, 1), (1, 1, -1, 1), (1, 1, 1, float("inf"))])
def test_parameters_that_are_not_positive_are_refused(parameters) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        BgNbd(*parameters)


@pytest.mark.parametrize("seed", range(4))
def test_customers_who_all_leave_with_one_chance_are_fitted(seed):
    """Nothing tells the spread of the chance from none, so that a and b would grow without end."""
    random, count, chance = np.random.default_rng(seed), 20_000, 0.2
    rate, age = random.gamma(1.0, 1 / 50, count), random.integers(30, 700, count).astype(float)
    frequency, recency = np.zeros(count), np.zeros(count)
    stays = random.random(count) > chance
    instant = np.zeros(count)
    while stays.any():
        instant = np.where(stays, instant + random.exponential(1 / rate), instant)
        bought = stays & (instant < age)
        frequency[bought] += 1
        recency[bought] = instant[bought]
        stays = bought & (random.random(count) > chance)
    model = fit_bg_nbd(frequency, recency, age).model
    assert model.a / (model.a + model.b) == pytest.approx(chance, abs=0.03)
