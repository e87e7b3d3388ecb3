"""Tell what some days brought in, what was rejected and why, and what the sources changed.

  --start 2024-06-01 --end 2024-06-02
      that day: one line per entity, one more per reason and per change of what a source sends

Counts are of the windows inside the range, each as it was validated last. `open` are the rows of theirs that are in
quarantine now.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.commands.environment import warehouse_in
from include.ingestion.commands.replay import instant
from include.ingestion.daily_summary import summarize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--start", type=instant, required=True, metavar="TIME", help="first instant, UTC unless it says"
    )
    parser.add_argument("--end", type=instant, required=True, metavar="TIME", help="first instant after the range")
    parser.add_argument("--entity", choices=sorted(ENTITIES), help="only this one and its lines")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the summary.

    :raises BadSetting: a setting is missing or wrong.
    """
    span = Window(arguments.start, arguments.end)
    with warehouse_in(environment) as conn:
        found = summarize(conn, span, entities=[arguments.entity] if arguments.entity else None)
    for each in found:
        print("\n".join(each.lines()))
    if not found:
        print(f"daily_summary window={span}: nothing was validated, and nothing of it is in quarantine")
    return 0
