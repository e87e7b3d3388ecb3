"""What the sandbox holds, known from its own simulator: which rows a window has at an instant, and what tables follow.

The shop is made a second time in this process from the same seed, so nothing that the sandbox sends is believed. Only
weather and prices, which have no state, are asked for over plain HTTP while no fault is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import requests

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.local.sandbox.__main__ import load_shop
from include.local.sandbox.edits import edit_record
from include.local.sandbox.instants import seconds_of
from tests.integration.ingestion_shop import PLACES, SYMBOLS, TABLES
from tests.integration.sandbox_process import SandboxProcess
from tests.wire_rows import KEYS, Row, Rows, read_json, rows_of_wire

LISTS = ("customers", "products", "orders", "refunds")
KEEPS_LAST_KNOWN = {"shop.customers": ("email", "country")}
KEEPS_FIRST = {"shop.customers": ("registered_at",), "shop.products": ("created_at",)}
MERGES = {"shop.products": ("attributes",)}

Wire = tuple[dict[str, Any], dict[str, Any]]
"""A row as it goes over the wire, and what its page knows beside it."""


class World:
    """The sandbox's truth.

    :param customers: and `seed`, as the sandbox was started with.
    """

    def __init__(self, box: SandboxProcess, *, customers: int, seed: int) -> None:
        self._box = box
        self._shop = load_shop(data=None, customers=customers, seed=seed)
        self._wires: dict[tuple[str, int], dict[str, Any]] = {}
        self._http = requests.Session()

    @property
    def start(self) -> datetime:
        """Where the shop's data begins."""
        return datetime.fromtimestamp(self._shop.start, UTC)

    @property
    def end(self) -> datetime:
        """Where the shop's data ends."""
        return datetime.fromtimestamp(self._shop.end, UTC)

    def edit(self, collection: str, change: Mapping[str, Any]) -> None:
        """Make the edit that the sandbox made."""
        edit_record(getattr(self._shop, collection), change["key"], change=change, now=self._shop.now)

    def forget_edits(self) -> None:
        """Take all edits back, as the sandbox does."""
        for name in LISTS:
            getattr(self._shop, name).forget_edits()
        known = {name: getattr(self._shop, name) for name in LISTS}
        for name, position in [*self._wires]:
            if position >= len(known[name].keys):
                del self._wires[name, position]

    def set_clock(self, clock: datetime) -> None:
        """Look at the world as it is at this instant."""
        self._shop.now = seconds_of(clock)

    def keys_in(self, entity: str, window: Window) -> list[int]:
        """Keys of a list whose newest version lies in the window."""
        return [wire["id"] for wire, _ in self._list(entity, window)]

    def wires(self, entity: str, window: Window) -> list[Wire]:
        """The rows that the sandbox holds for the window and its look-back, now."""
        reach = window.widened(back=ENTITIES[entity].look_back)
        if entity in LISTS:
            return list(self._list(entity, reach))
        if entity == "events":
            return [(wire, {}) for wire in self._events(reach)]
        return list(self._weather(reach) if entity == "weather_daily" else self._prices(reach))

    def _list(self, entity: str, reach: Window) -> Iterator[Wire]:
        collection = getattr(self._shop, entity)
        keep = collection.visible(self._shop.now)
        if entity != "customers":
            keep &= (collection.modified >= seconds_of(reach.start)) & (collection.modified < seconds_of(reach.end))
        for position in np.flatnonzero(keep).tolist():
            if (entity, position) not in self._wires:
                encoded = msgspec.json.encode(collection.item(position))
                self._wires[entity, position] = read_json(encoded)
            yield self._wires[entity, position], {"currency": self._shop.currency}

    def _events(self, reach: Window) -> Iterator[dict[str, Any]]:
        stream = self._shop.events
        end = min(reach.end.timestamp(), self._shop.now)
        inside = (stream.received >= reach.start.timestamp() * 1_000) & (stream.received < end * 1_000)
        for position in np.flatnonzero(inside).tolist():
            yield read_json(stream.lines[position])

    def _weather(self, reach: Window) -> Iterator[Wire]:
        midnights = list(_midnights(reach))
        for place in PLACES if midnights else []:
            asked = {
                "latitude": place["latitude"],
                "longitude": place["longitude"],
                "start_date": midnights[0].date().isoformat(),
                "end_date": midnights[-1].date().isoformat(),
                "daily": "temperature_2m_max,temperature_2m_min,precipitation_sum,wind_speed_10m_max",
            }
            daily = self._ask("/v1/archive", asked)["daily"]
            for values in zip(*daily.values(), strict=True):
                yield dict(zip(daily, values, strict=True)), place

    def _prices(self, reach: Window) -> Iterator[Wire]:
        wanted = {midnight.date().isoformat() for midnight in _midnights(reach)}
        for symbol in SYMBOLS:
            asked = {"function": "TIME_SERIES_DAILY", "symbol": symbol, "outputsize": "full"}
            series = self._ask("/query", {**asked, "apikey": self._box.stock_key})["Time Series (Daily)"]
            for day in sorted(wanted & series.keys()):
                yield {**series[day], "day": day}, {"symbol": symbol, "currency": "USD"}

    def _ask(self, path: str, asked: Mapping[str, Any]) -> Any:
        answer = self._http.get(self._box.base_url + path, params=asked, timeout=60)
        answer.raise_for_status()
        return read_json(answer.text)


def _midnights(window: Window) -> Iterator[datetime]:
    day = datetime.combine(window.start.date(), datetime.min.time(), UTC)
    while day < window.end:
        if day >= window.start:
            yield day
        day += timedelta(days=1)


class Tables:
    """What the tables of an entity must hold after readings one after the other."""

    def __init__(self, entity: str) -> None:
        self._entity = entity
        self._rows: dict[str, dict[tuple[Any, ...], Row]] = {table: {} for table in TABLES[entity]}

    def read(self, wires: Iterable[Wire]) -> None:
        """One reading: the newer version of each row stands; what is observed is as it was read last."""
        for wire, context in wires:
            rows = rows_of_wire(self._entity, wire, context)
            main, *lines = TABLES[self._entity]
            (row,) = rows[main]
            key = _key(main, row)
            known = self._rows[main].get(key)
            if known is not None and row.get("source_updated_at", 1) <= known.get("source_updated_at", 0):
                continue
            self._rows[main][key] = _resolved(main, row, known)
            for table in lines:
                kept = {other: line for other, line in self._rows[table].items() if other[0] != key[0]}
                self._rows[table] = kept | {_key(table, line): line for line in rows[table]}

    def contents(self) -> Rows:
        """Rows of each table, sorted."""
        return {table: sorted(rows.values(), key=repr) for table, rows in self._rows.items()}


def _resolved(table: str, row: Row, known: Row | None) -> Row:
    if known is None:
        return row
    resolved = dict(row)
    for column in KEEPS_LAST_KNOWN.get(table, ()):
        resolved[column] = row[column] if row[column] is not None else known[column]
    for column in KEEPS_FIRST.get(table, ()):
        resolved[column] = known[column] if known[column] is not None else row[column]
    for column in MERGES.get(table, ()):
        resolved[column] = {**known[column], **row[column]}
    return resolved


def _key(table: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in KEYS[table])


def difference(found: Rows, expected: Rows) -> str:
    """The first differences between tables, for a person; empty if there are none."""
    told: list[str] = []
    for table, rows in expected.items():
        stored = {_key(table, row): row for row in found[table]}
        wanted = {_key(table, row): row for row in rows}
        told += _named(table, "lost", wanted.keys() - stored.keys())
        told += _named(table, "there without reason", stored.keys() - wanted.keys())
        changed = [key for key in wanted.keys() & stored.keys() if wanted[key] != stored[key]]
        for key in changed[:2]:
            columns = {
                name: (value, stored[key].get(name))
                for name, value in wanted[key].items()
                if value != stored[key].get(name)
            }
            told.append(f"{table} {key}: expected and stored differ in {columns} ({len(changed)} such rows)")
        if len(stored) != len(found[table]):
            told.append(f"{table}: a key is there twice")
    return "; ".join(told)


def _named(table: str, what: str, keys: Sequence[Any] | set[Any]) -> list[str]:
    return [f"{table}: {len(keys)} rows {what}, such as {sorted(keys)[:3]}"] if keys else []
