"""`make bench`: run every benchmark, print each ratio beside what it is measured against, keep them as JSON.

Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench import (
    churn_training,
    customer_scores,
    dag_parsing,
    extraction,
    features_build,
    features_history,
    features_online,
    landing_to_table,
    lifetime_fit,
    lifetime_models,
    market_basket,
    marts,
    memory,
    recommendations,
    serving,
    upsert,
)
from bench.result import Result

BENCHMARKS = {
    "extraction": extraction.run,
    "landing_to_table": landing_to_table.run,
    "memory": memory.run,
    "upsert": upsert.run,
    "dag_parsing": dag_parsing.run,
    "features_build": features_build.run,
    "features_history": features_history.run,
    "features_online": features_online.run,
    "churn_training": churn_training.run,
    "lifetime_fit": lifetime_fit.run,
    "lifetime_models": lifetime_models.run,
    "customer_scores": customer_scores.run,
    "serving": serving.run,
    "recommendations": recommendations.run,
    "market_basket": market_basket.run,
    "marts": marts.run,
}
OUTPUT = Path(".local/bench.json")


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(wanted) - set(BENCHMARKS):
        print(f"bench: no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
        return 2
    results: list[Result] = []
    for name in wanted:
        print(f"bench: {name} …", flush=True)
        started = time.monotonic()
        results += BENCHMARKS[name]()
        print(f"bench: {name} took {time.monotonic() - started:.0f} s", flush=True)
    print()
    for result in results:
        print(_line(result))
    OUTPUT.parent.mkdir(exist_ok=True)
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    known |= {result.name: result.as_json() for result in results}
    OUTPUT.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")
    return 0 if all(result.holds is not False for result in results) else 1


def _line(result: Result) -> str:
    verdict = {True: "holds", False: "MISSED", None: ""}[result.holds]
    goal = f"goal {result.goal}" if result.goal else ""
    figure = f"{result.name:42} {result.value:9.2f} {result.unit:8} {goal:12} {verdict:7}"
    return f"{figure} against {result.against}\n{'':42} {result.detail}"


if __name__ == "__main__":
    sys.exit(main())
