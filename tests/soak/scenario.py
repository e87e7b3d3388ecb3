"""What one randomised run does, drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.entities.registry import ENTITIES
from include.entities.window import Window
from tests.integration.ingestion_shop import PATHS, TABLES
from tests.soak.world import World
from tests.wire_rows import instant

EDITABLE = ("customers", "products", "orders")
FIELDS: Mapping[str, Sequence[str | None]] = {
    "customers": (None, "date_created_gmt", "email"),
    "products": (None, "name", "categories", "price"),
    "orders": (None, "total", "currency", "line_items", "date_modified_gmt"),
    "refunds": (None, "amount", "date_created_gmt", "fee_lines"),
    "events": (None, "receivedAt", "event"),
    "weather_daily": (None, "precipitation_sum"),
    "stock_prices_daily": (None, "4. close", "5. volume"),
}
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)

Fault = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """One load of a window at an instant of the shop's clock."""

    window: Window
    clock: datetime


@dataclass(frozen=True)
class Scenario:
    """One run.

    :param before: loads without faults that the warehouse has seen already.
    :param main: the load under faults.
    :param edits: what somebody changes in the shop meanwhile, each at an instant after the window and before the clock.
    :param attempts: tries per request; `failures` in a row open the host's circuit, for `rest_seconds`.
    """

    seed: int
    entity: str
    before: tuple[Reading, ...]
    main: Reading
    faults: tuple[Fault, ...]
    edits: tuple[dict[str, Any], ...]
    attempts: int
    failures: int
    rest_seconds: float

    @property
    def kinds(self) -> list[str]:
        """Kinds of fault, edits among them."""
        return sorted({fault["kind"] for fault in self.faults})

    def __str__(self) -> str:
        return (
            f"seed={self.seed} entity={self.entity} window={self.main.window} before={len(self.before)} "
            f"faults={','.join(self.kinds) or 'none'} edits={len(self.edits)}"
        )


def draw(seed: int, world: World) -> Scenario:
    """The run of a seed. It looks at the world to choose what is edited, so edits of other runs must be forgotten."""
    dice = random.Random(seed)
    entity = dice.choice([*TABLES, "orders", "events"])
    main = _reading(dice, world)
    world.set_clock(main.clock)
    edits = _edits(dice, world, entity, main) if entity in EDITABLE and dice.random() < 0.6 else ()
    before = _before(dice, main)
    faults = [_fault(dice, kind, entity) for kind in _kinds(dice)]
    for fault in faults:
        if fault["kind"] == "stale_page" and dice.random() < 0.3:
            fault["is_whole"] = _looks_old(world, entity, before, main)
    for first in range(0, len(edits), 2):
        at_once = {"collection": entity, "edits": list(edits[first : first + 2])}
        moment = {"skip": dice.choice([0, 1, 1, 2, 3, 5]), "times": 1, "path": PATHS[entity]}
        faults.insert(dice.randint(0, len(faults)), {"kind": "edit_records", **at_once, **moment})
    return Scenario(
        seed=seed,
        entity=entity,
        before=before,
        main=main,
        faults=tuple(faults),
        edits=edits,
        attempts=dice.choice([2, 4, 8]),
        failures=dice.choice([3, 8, 20]),
        rest_seconds=dice.choice([0.02, 0.2, 60.0]),
    )


def _reading(dice: random.Random, world: World) -> Reading:
    """A window somewhere in the shop's two years, read some time after its end."""
    length = dice.choice([DAY, 3 * DAY, 30 * DAY, 120 * DAY, 240 * DAY, world.end - world.start])
    latest = world.end - length
    start = world.start + timedelta(days=dice.randint(0, (latest - world.start).days))
    if dice.random() < 0.3 and start + length < latest:
        start += timedelta(seconds=dice.randint(1, 86_399))
    window = Window(start, start + length)
    return Reading(window, window.end + timedelta(seconds=dice.choice([60, 3_600, 86_400, 3 * 86_400])))


def _before(dice: random.Random, main: Reading) -> tuple[Reading, ...]:
    """What was loaded already: nothing, the same window, or windows beside and across it, each at its own time."""
    kind = dice.choice(["nothing", "nothing", "same", "day before", "overlapping"])
    start, end = main.window.start, main.window.end
    if kind == "same":
        return (Reading(main.window, end + SECOND),)
    if kind == "day before":
        return (Reading(Window(start - DAY, start), start + SECOND),)
    if kind == "overlapping":
        middle = start + (end - start) / 2
        middle = middle.replace(microsecond=0)
        return (Reading(Window(start - DAY, middle), middle + SECOND),)
    return ()


def _looks_old(world: World, entity: str, before: Sequence[Reading], main: Reading) -> bool:
    """Whether an answer to an earlier reading can be told from one to this: by when its rows were modified, or made.

    Customers are listed whole.
    """
    reach = main.window.widened(back=ENTITIES[entity].look_back)
    for reading in before:
        world.set_clock(reading.clock)
        if entity in ("orders", "products", "refunds"):
            name = "date_created_gmt" if entity == "refunds" else "date_modified_gmt"
            versions = [instant(wire[name]) for wire, _ in world.wires(entity, reading.window)]
            if all(reach.start <= version < reach.end for version in versions if version):
                return False
    return entity != "customers"


def _kinds(dice: random.Random) -> list[str]:
    """None, one, or several at once; each kind as likely as any other."""
    return dice.sample(sorted(_MAKERS), dice.choice([0, 1, 1, 2, 3, 5, 8]))


def _fault(dice: random.Random, kind: str, entity: str) -> Fault:
    fault = {"kind": kind, "path": PATHS[entity], **_MAKERS[kind](dice, entity)}
    if entity in ("products", "refunds") and dice.random() < 0.3:
        fault["path"] = "/wp-json"  # the currency suffers too
    how = dice.choice(["once", "some", "now and then", "always"])
    if how == "always" and kind not in ("malformed_rows", "unknown_fields", "duplicate_page"):
        how = dice.choice(["some", "always"])
    if (kind, entity) == ("empty_body", "events"):
        how = "once"  # nothing at all twice, from an export without a total, looks like a quiet night
    if how == "once":
        fault |= {"skip": dice.choice([0, 0, 1, 2, 5]), "times": 1}
    elif how == "some":
        fault |= {"skip": dice.choice([0, 0, 1, 2]), "times": dice.randint(2, 6)}
    elif how == "now and then":
        fault |= {"probability": dice.choice([0.05, 0.2, 0.5]), "seed": dice.randint(0, 10**6)}
    return fault


def _malformed(dice: random.Random, entity: str) -> Fault:
    damage = dice.choice(["wrong_type", "wrong_type", "missing_field", "broken_json"])
    field = dice.choice(FIELDS[entity]) if damage == "wrong_type" else None
    return {"rows": dice.choice([1, 1, 3, 40]), "damage": damage, "field": field}


_MAKERS = {
    "rate_limit": lambda dice, entity: {"retry_after": dice.choice([0, 0, 86_400]), "as_date": dice.random() < 0.5},
    "server_error": lambda dice, entity: {"status": dice.choice([500, 502, 503, 504, 404])},
    "timeout": lambda dice, entity: {"seconds": 60},
    "cut_off": lambda dice, entity: {"share": dice.choice([0.0, 0.3, 0.99])},
    "slow_body": lambda dice, entity: {"seconds": dice.choice([0.02, 0.02, 5])},
    "empty_body": lambda dice, entity: {},
    "gzip_bomb": lambda dice, entity: {"megabytes": 40},
    "redirect": lambda dice, entity: {"status": dice.choice([301, 302, 307])},
    "malformed_rows": _malformed,
    "unknown_fields": lambda dice, entity: {},
    "duplicate_page": lambda dice, entity: {},
    "stale_page": lambda dice, entity: {},
    "wrong_content_type": lambda dice, entity: {},
    "stock_limit": lambda dice, entity: {"notice": dice.choice(["Information", "Note"])},
}


def _edits(dice: random.Random, world: World, entity: str, main: Reading) -> tuple[dict[str, Any], ...]:
    """Changes to some records of the window, each at a second of its own between its end and the clock."""
    keys = world.keys_in(entity, main.window)
    room = int((main.clock - main.window.end) / SECOND)
    count = min(len(keys), dice.randint(1, 6), room - 1)
    instants = sorted(dice.sample(range(1, room), count)) if count > 0 else []
    changes = {
        "orders": lambda: {"status": dice.choice(["refunded", "cancelled", "on-hold"])},
        "products": lambda: {"price": f"{dice.randint(100, 9_999) / 100:.2f}", "name": f"Renamed {dice.random():.9f}"},
        "customers": lambda: {"first_name": f"Renamed {dice.random():.9f}"},
    }
    return tuple(
        {
            "key": key,
            "modified_at": (main.window.end + timedelta(seconds=second)).isoformat(),
            "set": changes[entity](),
        }
        for key, second in zip(dice.sample(keys, len(instants)), instants, strict=True)
    )
