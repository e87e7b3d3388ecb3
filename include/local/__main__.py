"""The commands behind the Makefile: `python -m include.local demo|up|down|dsn|doctor`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from include.local.commands import down, dsn, up
from include.local.errors import LocalStackError
from include.local.places import Places
from include.local.progress import Progress
from include.local.shop import choose_shop, last_shop
from include.warehouse.connection import WarehouseUnreachable
from include.warehouse.migrations import MigrationChanged


def main(arguments: list[str] | None = None) -> int:
    """Run one command; every foreseen failure ends in one message on stderr and exit code 1."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(chosen)
    except (LocalStackError, WarehouseUnreachable, MigrationChanged) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"\n{error.strerror or error}: {error.filename or ''} Everything is kept under {chosen.home}: see that it "
            "is writable and the disk has room (make doctor).",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; Airflow and the sandbox are stopped. Run it again any time: it goes on.", file=sys.stderr)
        return 130


def _run(chosen: argparse.Namespace) -> int:
    places = Places(home=chosen.home.resolve(), dags=chosen.dags.resolve())
    progress = Progress()
    if chosen.command == "demo":
        from include.local.demo import demo

        shop = choose_shop(data=chosen.data, customers=chosen.customers)
        return 0 if demo(places=places, shop=shop, progress=progress) else 1
    if chosen.command == "up":
        is_told = chosen.data is not None or chosen.customers is not None
        shop = choose_shop(data=chosen.data, customers=chosen.customers) if is_told else last_shop(places.shop)
        up(places=places, shop=shop, progress=progress)
    elif chosen.command == "down":
        down(places=places, progress=progress)
    elif chosen.command == "dsn":
        print(dsn(places=places))
    elif chosen.command == "doctor":
        from include.local.doctor import doctor

        return 0 if doctor(places=places, progress=progress) else 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.local", description=__doc__)
    parser.add_argument("command", choices=["demo", "up", "down", "dsn", "doctor"])
    parser.add_argument("--data", help="an Online Retail export to replay (.csv, .csv.gz, .csv.xz, .csv.zst)")
    parser.add_argument("--customers", type=int, help="size of the simulated shop")
    parser.add_argument("--home", type=Path, default=Places().home, help="where everything is kept")
    parser.add_argument("--dags", type=Path, default=Places().dags, help="folder of DAG files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
