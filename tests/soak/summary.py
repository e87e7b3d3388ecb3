"""What many runs came to, for a person, and what none of them showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from include.local.sandbox.damage import KINDS
from tests.soak.harness import Outcome


def summary(outcomes: Iterable[Outcome], *, seconds: float) -> str:
    """Runs by outcome and by kind of fault, for a person."""
    outcomes = list(outcomes)
    lines = [
        f"{len(outcomes)} runs in {seconds:.0f} s ({seconds / max(1, len(outcomes)):.2f} s each)",
        "",
        "ended with",
    ]
    lines += [f"  {count:6} {ended}" for ended, count in Counter(each.ended for each in outcomes).most_common()]
    lines += ["", "  runs  struck  failed  fault"]
    kinds = sorted({kind for each in outcomes for kind in each.scenario.kinds})
    for kind in kinds:
        hit = [each for each in outcomes if each.struck[kind]]
        failed = sum(not each.ended.startswith("truth") for each in hit)
        lines.append(f"  {len(hit):4}  {sum(each.struck[kind] for each in hit):6}  {failed:6}  {kind}")
    by_entity = Counter(each.scenario.entity for each in outcomes)
    lines += ["", "  runs  seconds  entity"]
    for entity, count in by_entity.most_common():
        spent = sum(each.seconds for each in outcomes if each.scenario.entity == entity)
        lines.append(f"  {count:4}  {spent / count:7.2f}  {entity}")
    return "\n".join(lines)


def never_struck(outcomes: Iterable[Outcome]) -> list[str]:
    """Kinds of fault that struck in no run in which they were alone, or in none with others beside them."""
    missing = {f"{kind} {how}" for kind in KINDS for how in ("alone", "among others")}
    for outcome in outcomes:
        how = "alone" if len(outcome.scenario.kinds) == 1 else "among others"
        missing -= {f"{kind} {how}" for kind in outcome.struck}
    return sorted(missing)
