"""Seconds and peak memory of a fit of lifetime value: BG/NBD and Gamma-Gamma on LIFETIME_CUSTOMERS simulated customers
(1,000,000 unless given), whose histories are in whole days, as the platform's are."""

from __future__ import annotations

import os

from bench.peak import in_own_process
from bench.result import Result

CUSTOMERS = int(os.environ.get("LIFETIME_CUSTOMERS", "1000000"))


def run() -> list[Result]:
    found = in_own_process("bench.lifetime_fit_probe", customers=CUSTOMERS)
    r, alpha, a, b = found.answer["bg_nbd"]
    p, q, v = found.answer["gamma_gamma"]
    return [
        Result(
            name="models.lifetime_fit",
            value=found.seconds,
            unit="s",
            against=f"both models on {CUSTOMERS:,} customers, {found.answer['returned']:,.0f} of whom came back",
            goal="≤ 60",
            detail=f"peak {found.megabytes:,.0f} MB with the data; r={r:.3f} alpha={alpha:.2f} a={a:.3f} b={b:.3f} "
            f"(true 0.8, 60, 0.9, 3.0; days are whole), p={p:.2f} q={q:.2f} v={v:.2f} (true 6.25, 3.74, 15.44)",
        )
    ]
