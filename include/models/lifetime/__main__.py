"""Fit lifetime value to a file: `python -m include.models.lifetime --cdnow FILE` prints what came out, to be laid
beside published figures.

The layout is that of the CDNOW sample of Fader, Hardie and Lee (2005): per line the customer in the master data, the
customer in the sample, the day as yyyymmdd, how many pieces and for how much. Exit code 0: done; 1: the file cannot be
read or fitted, and the message says why.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from include.models.lifetime.bg_nbd_fit import fit_bg_nbd
from include.models.lifetime.cdnow import read_purchases
from include.models.lifetime.gamma_gamma import fit_gamma_gamma
from include.models.lifetime.maximum_likelihood import FitRefused


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        for line in figures(chosen.cdnow, until=chosen.until):
            print(line)
    except (OSError, ValueError, FitRefused) as error:
        print(f"lifetime: {error}", file=sys.stderr)
        return 1
    return 0


def figures(path: Path, *, until: str) -> list[str]:
    """What both models say of the purchases in `path` up to the day `until`, times in weeks."""
    purchases = read_purchases(path, until=until)
    bg_nbd = fit_bg_nbd(purchases.x, purchases.t_x, purchases.T)
    gamma_gamma = fit_gamma_gamma(purchases.x, purchases.average_value)
    model, amounts = bg_nbd.model, gamma_gamma.model
    return [
        f"{bg_nbd.customers:.0f} customers up to {until}, {bg_nbd.returned:.0f} with a repeat purchase; times in weeks",
        f"BG/NBD       r={model.r:.3f} alpha={model.alpha:.3f} a={model.a:.3f} b={model.b:.3f} "
        f"log-likelihood={bg_nbd.log_likelihood:.1f}",
        f"Gamma-Gamma  p={amounts.p:.2f} q={amounts.q:.2f} v={amounts.v:.2f} "
        f"log-likelihood={gamma_gamma.log_likelihood:.1f} mean={amounts.mean_value():.2f} "
        f"correlation of number and amount={gamma_gamma.correlation:.2f}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.models.lifetime", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--cdnow", type=Path, required=True, metavar="FILE", help="purchases in the layout above")
    parser.add_argument("--until", default="1997-09-30", help="last day observed; week 39 of 1997 unless given")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
