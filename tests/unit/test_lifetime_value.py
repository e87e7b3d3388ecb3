"""Values against brute force: integrals for the discount, draws of the parameters for the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from include.models.lifetime.bg_nbd import BgNbd
from include.models.lifetime.gamma_gamma import GammaGamma
from include.models.lifetime.value import LifetimeModel, discounted_purchases_if_alive, lifetime_values
from tests.properties import examples

BG_NBD = BgNbd(r=0.8, alpha=60.0, a=0.9, b=3.0)
GAMMA_GAMMA = GammaGamma(p=6.25, q=3.74, v=15.44)
SPREAD = np.array([[4, 3, 0, 0], [3, 6, 0, 0], [0, 0, 20, 18], [0, 0, 18, 24]]) * 1e-4
AMOUNT_SPREAD = np.array([[36, -9, -45], [-9, 8, 17], [-45, 17, 72]]) * 1e-4
HISTORIES = (
    np.array([0.0, 0.0, 3.0, 12.0, 40.0]), np.array([0.0, 0.0, 80.0, 290.0, 100.0]),
    np.array([5.0, 300.0, 200.0, 300.0, 400.0]), np.array([np.nan, np.nan, 20.0, 55.0, 9.0]),
)  # fmt: skip


def model(**changes) -> LifetimeModel:
    return LifetimeModel(
        **{
            "bg_nbd": BG_NBD, "gamma_gamma": GAMMA_GAMMA, "bg_nbd_covariance": SPREAD,
            "gamma_gamma_covariance": AMOUNT_SPREAD, "horizon_days": 365, "annual_discount_rate": 0.1,
        } | changes
    )  # fmt: skip


@pytest.mark.parametrize(("x", "age"), [(0.0, 0.0), (0.0, 200.0), (7.0, 60.0), (30.0, 900.0)])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_discounted_purchases_are_the_integral_of_the_discount_over_the_purchases_of_each_day(x, age, rate) -> None:
    days = 365 * np.linspace(0, 1, 2001) ** 2
    expected = np.array([BG_NBD.expected_purchases_if_alive(day, x, age) for day in days])
    middles = (days[1:] + days[:-1]) / 2
    brute = (np.diff(expected) * (1 + rate) ** (-middles / 365)).sum()
    found = float(discounted_purchases_if_alive(BG_NBD, 365, rate, np.array(x), np.array(age)))
    assert found == pytest.approx(brute, rel=2e-5)


def test_a_value_is_purchases_times_their_worth() -> None:
    values = lifetime_values(model(annual_discount_rate=0.0), *HISTORIES)
    x, t_x, age, m = HISTORIES
    assert values.value == pytest.approx(BG_NBD.expected_purchases(365, x, t_x, age) * GAMMA_GAMMA.expected_value(x, m))
    assert values.expected_purchases == pytest.approx(BG_NBD.expected_purchases(365, x, t_x, age))
    assert values.probability_alive == pytest.approx(BG_NBD.probability_alive(x, t_x, age))
    discounted = lifetime_values(model(), *HISTORIES)
    assert (discounted.value < values.value).all() and (discounted.value > values.value / 1.1).all()


def test_intervals_are_those_of_parameters_drawn_from_their_uncertainty() -> None:
    rng = np.random.default_rng(5)
    x, t_x, age, m = (column[:4] for column in HISTORIES)
    values = lifetime_values(model(), x, t_x, age, m, confidence=0.9)
    at = np.log([BG_NBD.r, BG_NBD.alpha, BG_NBD.a, BG_NBD.b])
    amounts_at = np.log([GAMMA_GAMMA.p, GAMMA_GAMMA.q, GAMMA_GAMMA.v])
    drawn = []
    for one, other in zip(
        rng.multivariate_normal(at, SPREAD, 300), rng.multivariate_normal(amounts_at, AMOUNT_SPREAD, 300), strict=True
    ):
        varied = BgNbd(*np.exp(one))
        purchases = varied.probability_alive(x, t_x, age) * discounted_purchases_if_alive(varied, 365, 0.1, x, age)
        drawn.append(purchases * GammaGamma(*np.exp(other)).expected_value(x, m))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    assert values.low == pytest.approx(low, rel=0.05)
    assert values.high == pytest.approx(high, rel=0.05)


def test_parameters_that_are_known_leave_no_interval() -> None:
    certain = model(bg_nbd_covariance=np.zeros((4, 4)), gamma_gamma_covariance=np.zeros((3, 3)))
    values = lifetime_values(certain, *HISTORIES)
    assert (values.low == values.value).all() and (values.high == values.value).all()


def test_a_customer_who_is_surely_gone_is_worth_nothing_and_that_is_no_error() -> None:
    values = lifetime_values(model(), [300.0], [300.0], [2000.0], [20.0])
    assert values.value[0] < 1e-30
    assert values.low[0] <= values.value[0] <= values.high[0] < 1e-20


def test_an_unknown_history_has_no_value() -> None:
    values = lifetime_values(model(), [np.nan, 1.0], [np.nan, 3.0], [np.nan, 9.0], [np.nan, 20.0])
    for column in (values.value, values.low, values.high, values.probability_alive, values.expected_purchases):
        assert np.isnan(column).tolist() == [True, False]


@examples(30)
@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1), st.integers(41, 900), st.floats(0.5, 300)), max_size=30))
def test_a_row_gives_the_same_bits_alone_and_among_others(rows) -> None:
    rows = [(float(x), share * age if x else 0.0, float(age), m) for x, share, age, m in rows] + [(0.0, 0.0, 9.0, 1.0)]
    together = lifetime_values(model(), *(np.array(column) for column in zip(*rows, strict=True)))
    for position, row in enumerate(rows):
        alone = lifetime_values(model(), *([each] for each in row))
        for name in ("value", "low", "high", "expected_purchases"):
            assert getattr(together, name)[position] == getattr(alone, name)[0]


@pytest.mark.parametrize("wrong", [{"horizon_days": 0}, {"horizon_days": float("nan")}, {"annual_discount_rate": -0.1}])
def test_a_horizon_or_a_rate_that_makes_no_sense_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="the first must be above 0"):
        model(**wrong)


def test_the_discount_over_two_years_of_a_new_customer_is_that_of_an_adaptive_integration() -> None:

    def share(day: float) -> float:
        return 1.1 ** (-day / 365) * float(BG_NBD.expected_purchases_if_alive(day, 0.0, 0.0))

    rate = np.log(1.1) / 365
    rest = rate * integrate.quad(share, 0, 730, epsrel=1e-10, points=[1, 10, 100])[0]
    whole = 1.1**-2 * float(BG_NBD.expected_purchases_if_alive(730, 0.0, 0.0)) + rest
    found = float(discounted_purchases_if_alive(BG_NBD, 730, 0.1, np.array(0.0), np.array(0.0)))
    assert found == pytest.approx(whole, rel=2e-5)
