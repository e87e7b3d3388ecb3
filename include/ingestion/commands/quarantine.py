"""Look into quarantine, and load what passes after a fix.

  list                        what is held back: how many rows by entity and rule, an example of the reason, since when
  list --rows 5               and the last five rows of each, with their payload and where they lie in landing
  replay                      judge every open row again by today's code and rules, and load those that now pass
  replay --entity orders --rule money --start 2024-06-01 --end 2024-06-08
                              only orders and their lines, of this rule, of windows that overlap that week

Rows that still fail keep their place with the newest reason. Exit code 1: some do, or could not be tried.
docs/quarantine.md tells how to work with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.commands.environment import reader_in, warehouse_in
from include.ingestion.commands.replay import instant
from include.ingestion.quarantine import Quarantine, RejectedRow, RuleCount, Selection
from include.ingestion.quarantine_in_postgres import PostgresQuarantine
from include.ingestion.quarantine_replay import QuarantineReplay, family_of
from include.ingestion.receipts import PostgresReceipts
from include.ingestion.settings import landing_of
from include.warehouse.repository import PostgresRepository

PAYLOAD_LENGTH = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("action", choices=["list", "replay"])
    entities = sorted({each.name for one in ENTITIES.values() for each in (one, one.child) if each is not None})
    parser.add_argument("--entity", choices=entities, help="only this one; of a parent its lines too")
    parser.add_argument("--rule", metavar="RULE", help="only rows that this rule holds back, such as money")
    parser.add_argument("--start", type=instant, metavar="TIME", help="only windows that end after it")
    parser.add_argument("--end", type=instant, metavar="TIME", help="only windows that begin before it")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="list: show the last N rows of each rule")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List or replay.

    :raises BadSetting: a setting is missing or wrong.
    :raises EmptyWindow: the range holds no instant.
    """
    if arguments.start and arguments.end:
        Window(arguments.start, arguments.end)
    selection = Selection(
        entities=family_of(arguments.entity) if arguments.entity else None,
        rule_id=arguments.rule,
        start=arguments.start,
        end=arguments.end,
    )
    if arguments.action == "replay":
        return _replay(selection, environment)
    with warehouse_in(environment) as conn:
        _list(PostgresQuarantine(conn), selection, rows=arguments.rows)
    return 0


def _replay(selection: Selection, environment: Mapping[str, str]) -> int:
    landing = landing_of(environment)
    is_complete = True
    count = 0
    with warehouse_in(environment) as conn:
        replay = QuarantineReplay(
            PostgresRepository(conn),
            PostgresQuarantine(conn),
            PostgresReceipts(conn),
            lambda: datetime.now(UTC),
            landing=landing,
            source_of=lambda entity: reader_in(environment, entity),
            run="quarantine replay",
        )
        for replayed in replay.run(selection):
            print("\n".join(replayed.lines()))
            is_complete &= replayed.is_complete
            count += 1
    if not count:
        print("quarantine_replay: nothing is open")
    return 0 if is_complete else 1


def _list(quarantine: Quarantine, selection: Selection, *, rows: int) -> None:
    counts = quarantine.counts(selection)
    if not counts:
        print("quarantine: empty")
        return
    print(
        f"{'ENTITY':<20} {'RULE':<28} {'OPEN':>9} {'RESOLVED':>9}  {'FIRST REJECTED':<20} {'LAST REJECTED':<20} REASON"
    )
    for each in counts:
        print(_line(each))
        if rows and each.open_count:
            own = Selection(
                entities=frozenset({each.entity}), rule_id=each.rule_id, start=selection.start, end=selection.end
            )
            for row, payload in quarantine.rows(own, limit=rows):
                print(_told(row, payload))


def _line(each: RuleCount) -> str:
    return (
        f"{each.entity:<20} {each.rule_id:<28} {each.open_count:>9,} {each.resolved_count:>9,}  "
        f"{each.first_rejected_at:%Y-%m-%dT%H:%M:%SZ} {each.last_rejected_at:%Y-%m-%dT%H:%M:%SZ} {each.reason[:160]}"
    )


def _told(row: RejectedRow, payload: str) -> str:
    cut = payload if len(payload) <= PAYLOAD_LENGTH else f"{payload[:PAYLOAD_LENGTH]}… ({len(payload):,} characters)"
    return (
        f"    {row.reason}\n"
        f"      landing {row.batch}/{row.file} position {row.position}, window {row.window}, run {row.run or '-'}\n"
        f"      {cut}"
    )
