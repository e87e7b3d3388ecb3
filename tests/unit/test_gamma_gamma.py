"""Gamma-Gamma against its own story, brute-force integration and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from include.models.lifetime.gamma_gamma import GammaGamma, fit_gamma_gamma, log_likelihood_of
from include.models.lifetime.maximum_likelihood import FitRefused

MODEL = GammaGamma(p=6.25, q=3.74, v=15.44)
models = st.builds(GammaGamma, p=st.floats(0.2, 20), q=st.floats(1.1, 20), v=st.floats(0.5, 500))


def shop(model: GammaGamma, customers: int, seed: int):
    """(x, mean amount, amount of one more purchase) by the assumptions of the model, purchase by purchase."""
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.4, customers)
    scales = 1 / rng.gamma(model.q, 1 / model.v, customers)
    amounts = [rng.gamma(model.p, scale, count + 1) for count, scale in zip(x, scales, strict=True)]
    return x.astype(float), np.array([each[:-1].mean() for each in amounts]), np.array([each[-1] for each in amounts])


@pytest.mark.parametrize(("x", "m"), [(1.0, 20.0), (3.0, 55.0), (12.0, 8.0)])
def test_likelihood_and_expected_value_are_integrals_over_all_customers(x, m) -> None:
    """Given the scale of a customer, the mean of x amounts is gamma distributed with shape p x and scale scale / x."""

    def joint(inverse_scale: float) -> float:
        of_mean = stats.gamma.pdf(m, MODEL.p * x, scale=1 / (inverse_scale * x))
        return of_mean * stats.gamma.pdf(inverse_scale, MODEL.q, scale=1 / MODEL.v)

    likelihood = integrate.quad(joint, 0, np.inf, epsrel=1e-11)[0]
    amount = integrate.quad(lambda inverse: MODEL.p / inverse * joint(inverse), 0, np.inf, epsrel=1e-11)[0] / likelihood
    function = log_likelihood_of(np.array([x]), np.array([m]), np.array([3.0]))
    assert function(np.array([MODEL.p, MODEL.q, MODEL.v]))[0] == pytest.approx(3 * np.log(likelihood), rel=1e-9)
    assert float(MODEL.expected_value(x, m)) == pytest.approx(amount, rel=1e-9)


def test_the_next_purchases_of_a_simulated_shop_are_worth_what_is_foretold() -> None:
    x, m, following = shop(GammaGamma(p=4, q=5, v=60), 40_000, seed=11)
    expected = GammaGamma(p=4, q=5, v=60).expected_value(x, m)
    for rows in (x == 1, x >= 3, m > 25, m < 10):
        error = following[rows] - expected[rows]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(rows.sum())


def test_the_parameters_of_a_simulated_shop_are_found_again_within_their_own_uncertainty() -> None:
    truth = GammaGamma(p=4, q=5, v=60)
    x, m, _ = shop(truth, 20_000, seed=12)
    fit = fit_gamma_gamma(np.r_[x, 0.0], np.r_[m, np.nan])
    off = np.log([fit.model.p, fit.model.q, fit.model.v]) - np.log([truth.p, truth.q, truth.v])
    assert (np.sqrt(np.diag(fit.covariance)) < 0.1).all()
    # Chi-squared with three degrees of freedom: above 21.1 once in ten thousand.
    assert off @ np.linalg.solve(fit.covariance, off) < 21.1
    assert (fit.customers, fit.left_out, fit.at_bound) == (20_000, 0, ())
    assert abs(fit.correlation) < 0.05


@given(models, st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 5000)), min_size=1, max_size=30))
def test_the_gradient_is_that_of_finite_differences(model, rows) -> None:
    x, m = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    function = log_likelihood_of(x, m, np.arange(1.0, len(x) + 1))
    at = np.array([model.p, model.q, model.v])
    value, gradient = function(at)
    for position in range(3):
        step = np.zeros(3)
        step[position] = 1e-4 * at[position]
        difference = (function(at + step)[0] - function(at - step)[0]) / (2 * step[position])
        room = 1e-5 * (1 + abs(difference)) + 1e-11 * (abs(value) + 1e4) / step[position]
        assert gradient[position] == pytest.approx(difference, abs=room)


@given(models, st.integers(1, 200), st.floats(0.01, 5000))
def test_an_expected_value_lies_between_the_customers_own_mean_and_that_of_all(model, x, m) -> None:
    ends = sorted([m, model.mean_value()])
    assert ends[0] * (1 - 1e-9) <= float(model.expected_value(x, m)) <= ends[1] * (1 + 1e-9)


def test_without_repeat_purchases_the_mean_of_all_counts_whatever_the_amount() -> None:
    values = MODEL.expected_value([0, 0, np.nan], [np.nan, 5.0, 5.0])
    assert values[:2] == pytest.approx([MODEL.mean_value()] * 2)
    assert np.isnan(values[2])
    endless = GammaGamma(p=2, q=0.9, v=10)
    assert np.isnan(endless.mean_value()) and np.isnan(endless.expected_value(0, 0))


def test_free_orders_are_left_out_and_counted() -> None:
    x, m, _ = shop(MODEL, 2000, seed=13)
    with_free = fit_gamma_gamma(np.r_[x, 2, 1], np.r_[m, 0, 0])
    assert (with_free.left_out, with_free.customers) == (2, 2000)
    assert with_free.model == fit_gamma_gamma(x, m).model


def test_weights_are_customers() -> None:
    x, m, _ = shop(MODEL, 500, seed=14)
    weights = np.random.default_rng(14).integers(0, 3, 500)
    once, spelled = fit_gamma_gamma(x, m, weights), fit_gamma_gamma(np.repeat(x, weights), np.repeat(m, weights))
    assert (once.model.p, once.model.q, once.model.v) == pytest.approx(
        (spelled.model.p, spelled.model.q, spelled.model.v), rel=1e-6
    )
    assert once.customers == spelled.customers == weights.sum()


@pytest.mark.parametrize(
    ("x", "m", "said"),
    [
        ([0] * 100, [float("nan")] * 100, "0 customers came back and paid"),
        ([2] * 100, [0.0] * 100, "0 customers came back and paid"),
        ([2] * 100, [7.0] * 100, "1 different mean amounts"),
        ([2] * 100, [-7.0] * 100, "100 of 100 customers who came back have a mean amount below 0"),
        ([2] * 100, [float("nan")] * 100, "mean amount below 0, or none"),
        ([2] * 99, [7.0] * 100, "shapes"),
    ],
)
def test_amounts_that_tell_nothing_are_refused(x, m, said) -> None:
    with pytest.raises(FitRefused, match=said):
        fit_gamma_gamma(x, m)


@pytest.mark.parametrize("parameters", [(0, 1, 1), (1, float("nan"), 1), (1, 1, -1)])
def test_parameters_that_are_not_positive_are_refused(parameters) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        GammaGamma(*parameters)
