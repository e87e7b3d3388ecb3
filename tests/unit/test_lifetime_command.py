"""The command that fits a file of purchases."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from include.models.lifetime.__main__ import main
from include.models.lifetime.bg_nbd import BgNbd
from include.models.lifetime.cdnow import read_purchases
from tests.unit.lifetime_story import simulate_purchases


def lines_of(purchases: list[tuple[int, date, float]]) -> str:
    return "".join(f" {who + 7:05} {who:04} {day:%Y%m%d} 1 {amount:7.2f}\n" for who, day, amount in purchases)


def test_purchases_of_one_day_are_one_and_what_comes_later_does_not_count(tmp_path) -> None:
    start = date(1997, 1, 1)
    file = tmp_path / "purchases.txt"
    file.write_text(
        lines_of(
            [
                (1, start, 10), (1, start, 5), (1, start + timedelta(14), 20), (1, start + timedelta(14), 10),
                (1, start + timedelta(70), 50), (2, start + timedelta(7), 8), (2, date(1998, 1, 1), 99),
            ]
        )
    )  # fmt: skip
    found = read_purchases(file, until="1997-09-30")
    assert found.x.tolist() == [2, 0]
    assert found.t_x.tolist() == [10, 0]
    assert found.T.tolist() == [272 / 7, 265 / 7]
    assert found.average_value.tolist() == [40, 0]


def test_the_command_prints_the_figures_of_both_models(tmp_path, capsys) -> None:
    rng = np.random.default_rng(39)
    ages = np.full(1500, 270.0)
    purchases = [(who, date(1997, 1, 3), 30.0) for who in range(1500)]
    x, t_x, _ = simulate_purchases(BgNbd(r=1, alpha=30, a=0.8, b=2.5), ages, horizon=0.0, rng=rng)
    for who in np.flatnonzero(x):
        days = {int(np.ceil(t_x[who])), *(int(day) for day in rng.uniform(1, t_x[who] + 1, int(x[who]) - 1))}
        purchases += [(int(who), date(1997, 1, 3) + timedelta(day), rng.gamma(4, 9)) for day in days]
    file = tmp_path / "purchases.txt"
    file.write_text(lines_of(purchases))
    assert main(["--cdnow", str(file)]) == 0
    head, bg_nbd, gamma_gamma = capsys.readouterr().out.splitlines()
    assert head == f"1500 customers up to 1997-09-30, {(x > 0).sum()} with a repeat purchase; times in weeks"
    assert bg_nbd.startswith("BG/NBD       r=") and "log-likelihood=-" in bg_nbd
    assert gamma_gamma.startswith("Gamma-Gamma  p=") and "mean=" in gamma_gamma


@pytest.mark.parametrize(
    ("text", "said"), [("1 2 3\n", "3 columns"), ("1 2 19970101 1 5.0\n", "too few"), (None, "No such")]
)
def test_a_file_that_cannot_be_used_is_told(tmp_path, capsys, text, said) -> None:
    file = tmp_path / "purchases.txt"
    if text is not None:
        file.write_text(text)
    assert main(["--cdnow", str(file)]) == 1
    assert said in capsys.readouterr().err
