"""BG/NBD: how often a customer buys while they are one, and when they silently cease to be.

While alive, a customer buys at a rate of their own, drawn for each from a gamma distribution (`r`, `alpha`); after each
repeat purchase they leave with a chance of their own, drawn from a beta distribution (`a`, `b`).

P. Fader, B. Hardie, K. Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
Marketing Science 24(2), named [FHL] below. The chance of being alive: P. Fader, B. Hardie (2008), Computing P(alive)
Using the BG/NBD Model, named [FH].

A history is `x` repeat purchases, the last of them `t_x` after the first purchase; `T` after it the observation ends.
All times are in one unit, in the platform days; `alpha` is in that unit. Nothing here depends on the other rows: the
same row gives the same bits alone and among millions. An unknown history (NaN) gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from include.models.lifetime.beta_mean import beta_nodes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four parameters, all positive; `alpha` in the unit of the times (days)."""

    r: float
    alpha: float
    a: float
    b: float

    def __post_init__(self) -> None:
        for name in ("r", "alpha", "a", "b"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"the BG/NBD parameter {name} is {value}; it must be positive and finite")

    def probability_alive(self, x: npt.ArrayLike, t_x: npt.ArrayLike, T: npt.ArrayLike) -> Floats:
        """The chance that the customer has not left yet ([FH] eq. 1); 1 for those who never came back."""
        x, t_x, T = _arrays(x, t_x, T)
        return special.expit(-left_log_odds(self, x, t_x, T))

    def probability_of_purchase(
        self, horizon_days: float, x: npt.ArrayLike, t_x: npt.ArrayLike, T: npt.ArrayLike
    ) -> Floats:
        """The chance of at least one purchase in the `horizon_days` after the observation.

        A customer who is alive buys at a rate with the gamma distribution (`r + x`, `alpha + T`), so the time without a
        purchase has the Laplace transform of that at the horizon ([FHL] eq. 5, given the history).
        """
        x, t_x, T = _arrays(x, t_x, T)
        none_while_alive = -(self.r + x) * special.log1p(_checked(horizon_days) / (self.alpha + T))
        return self.probability_alive(x, t_x, T) * -special.expm1(none_while_alive)

    def expected_purchases(self, horizon_days: float, x: npt.ArrayLike, t_x: npt.ArrayLike, T: npt.ArrayLike) -> Floats:
        """How many purchases to expect in the `horizon_days` after the observation ([FHL] eq. 10)."""
        x, t_x, T = _arrays(x, t_x, T)
        return self.probability_alive(x, t_x, T) * self.expected_purchases_if_alive(horizon_days, x, T)

    def expected_purchases_if_alive(self, horizon_days: float, x: npt.ArrayLike, T: npt.ArrayLike) -> Floats:
        """[FHL] eq. 10 for a customer known to be alive.

        Its Gauss hypergeometric function is taken as what it stands for: the mean over the chance `p` of leaving, beta
        distributed with `a` and `b + x`, of the purchases to expect given `p`. As a mean of positive terms it has
        neither the loss of digits of the difference in eq. 10 nor its pole at `a = 1`.
        """
        x, T = _arrays(x, T)
        shape, x, T = x.shape, x.ravel(), T.ravel()
        expected = np.full(len(x), np.nan)
        reach = _checked(horizon_days) / (self.alpha + T)
        for count in np.unique(x[~np.isnan(x)]):
            rows = np.flatnonzero(x == count)
            points = _points(reach[rows], self.r + count)
            for number in np.unique(points):
                chosen = rows[points == number]
                expected[chosen] = self._if_alive(float(count), reach[chosen], int(number))
        return expected.reshape(shape)

    def _if_alive(self, x: float, reach: Floats, node_count: int) -> Floats:
        shape = self.r + x
        total = np.zeros_like(reach)
        for chance, weight in zip(*beta_nodes(self.a, self.b + x, node_count), strict=True):
            total += weight / chance * -special.expm1(-shape * special.log1p(chance * reach))
        return total


def _points(reach: Floats, shape: float) -> npt.NDArray[np.intp]:
    """How many points a mean needs: the further the horizon reaches beyond what was seen, the sharper is the bend."""
    is_near = (reach <= 0.5) & (shape * reach <= 5)
    return np.where(is_near, 12, np.where(reach <= 4, 32, np.where(reach <= 50, 96, 256)))


def left_log_odds(model: BgNbd, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Logarithm of the odds of having left against being alive; minus infinity without a repeat purchase."""
    came_back = x > 0
    waited = special.log1p((T - t_x) / (model.alpha + t_x))
    odds = np.log(model.a) - np.log(np.where(came_back, model.b + x - 1, 1.0)) + (model.r + x) * waited
    return np.where(x == 0, np.where(np.isnan(waited), np.nan, -np.inf), odds)


def _arrays(*values: npt.ArrayLike) -> list[Floats]:
    return [np.array(value, dtype=np.float64) for value in np.broadcast_arrays(*values)]


def _checked(horizon_days: float) -> float:
    if not (np.isfinite(horizon_days) and horizon_days >= 0):
        raise ValueError(f"the horizon is {horizon_days} days; it must be 0 or more, and finite")
    return float(horizon_days)
