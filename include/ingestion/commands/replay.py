"""Load again from landing, without asking any API.

Say what to load in one of two ways:

  --entity orders --start 2024-06-01 --end 2024-06-08
      every batch of orders whose window overlaps that week, oldest first; with --newest only the batch that was
      read last for exactly that window
  --batch shop_api/orders/20240601T000000Z_20240602T000000Z/20240602T001500123456Z-0a1b2c
      that one batch (receipts in ops.receipts name the batch of each load)

Rows are validated by today's rules and merged as with any load: what is there already stays untouched. Run it after a
table was lost, or after a rule was mended. Features follow with their next build.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime

from include.entities.window import Window
from include.ingestion.commands.environment import reader_in, warehouse_in
from include.ingestion.replay import newest_batch, overlapping_batches, replay
from include.ingestion.service import service_in_postgres
from include.ingestion.settings import BadSetting, landing_of
from include.sources.factory import SOURCES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--entity", choices=sorted(SOURCES), help="what to load")
    parser.add_argument("--start", type=instant, metavar="TIME", help="first instant of the range, UTC unless it says")
    parser.add_argument("--end", type=instant, metavar="TIME", help="first instant after the range")
    parser.add_argument("--newest", action="store_true", help="only the newest batch of exactly that window")
    parser.add_argument("--batch", metavar="NAME", help="one batch, by its name in landing")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Replay, and print every receipt.

    :raises BadSetting: an argument or a setting is missing or wrong.
    """
    landing = landing_of(environment)
    entity = _entity(arguments)
    source = reader_in(environment, entity)
    if arguments.batch:
        batches = [arguments.batch]
    else:
        span = Window(arguments.start, arguments.end)
        if arguments.newest:
            batches = [newest_batch(landing, source=source.name, entity=entity, window=span)]
        else:
            batches = overlapping_batches(landing, source=source.name, entity=entity, span=span)
    with warehouse_in(environment) as conn:
        service = service_in_postgres(conn, source, landing=landing, run="replay")
        for batch in batches:
            print(f"replay batch={batch}")
            for receipt in replay(service, landing, [batch]):
                print(receipt)
    return 0


def _entity(arguments: argparse.Namespace) -> str:
    given = (arguments.entity, arguments.start, arguments.end)
    if arguments.batch:
        parts = arguments.batch.split("/")
        if any(given) or arguments.newest or len(parts) != 4 or parts[1] not in SOURCES:
            raise BadSetting(
                "--batch is a name such as shop_api/orders/<window>/<batch>, and goes without --entity, --start, --end."
            )
        return parts[1]
    if not all(given):
        raise BadSetting("Give --entity, --start and --end, or --batch; --help shows an example of each.")
    return arguments.entity


def instant(text: str) -> datetime:
    """A date or time in ISO 8601; without a time zone it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date or time such as 2024-06-01 or 2024-06-01T12:00:00Z"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
