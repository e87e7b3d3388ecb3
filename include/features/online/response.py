"""What the online store answers: values, where they are from in time, and why some are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from include.features.definitions.on_demand import INSTANT, compute_on_demand
from include.features.definitions.selection import ARROW_TYPES, NOT_FOUND, OUTSIDE_TTL, PRESENT
from include.features.definitions.view import Feature, FeatureView
from include.features.online.request import Keys, OnlineRequest

NULL = "null"
"""The status of a value that is null in a row that was found."""
KEY_ARROW_TYPES = {"integer": pa.int64(), "text": pa.string()}


@dataclass(frozen=True, slots=True)
class ViewRows:
    """What was found of one view, per entity row.

    :param event_times: the snapshot of the row found, also of one outside its TTL; None if there is none.
    :param statuses: `present`, `not found` or `outside ttl`.
    """

    view: FeatureView
    event_times: Sequence[datetime | None]
    statuses: Sequence[str]


class OnlineResponse:
    """Features of some entity rows at one instant, column by column, in the order of the rows asked.

    :param rows: one per entity row: per selection the event time of the row found (None: not found) and its features.
    """

    def __init__(self, request: OnlineRequest, keys: Keys, rows: Sequence[tuple[Any, ...]], *, at: datetime) -> None:
        self.at = at
        self._request = request
        self._keys = keys
        self._row_count = len(rows)
        self._found: dict[str, tuple[Sequence[datetime | None], list[str]]] = {}
        """Per status column the event times and the statuses of the view's rows."""
        self._values: dict[str, Sequence[Any]] = {}
        """Per feature its values; what is outside its TTL is None."""
        self._take_columns(list(zip(*rows, strict=True)) if rows else None)

    def __len__(self) -> int:
        return self._row_count

    def to_dict(self, *, include_event_timestamps: bool = False, include_statuses: bool = False) -> dict[str, list]:
        """One list per join key and feature; with `<feature>__ts` and `<feature>__status` beside them if wanted.

        Whole numbers come as int, numbers and money as float, instants with a time zone.
        """
        found: dict[str, list] = {key.name: list(self._keys[key.name]) for key in self._request.keys}
        values = self._values
        found |= {feature.name: list(values[feature.name]) for view in self._request.shown for feature in view.features}
        found |= {name: column.to_pylist() for name, column in self._on_demand.items()}
        if include_event_timestamps:
            found |= {f"{name}__ts": instants for name, instants in self.event_timestamps.items()}
        if include_statuses:
            found |= {f"{name}__status": statuses for name, statuses in self.statuses.items()}
        return found

    def to_arrow(self) -> pa.Table:
        """The join keys, per view its features and `<view>_status` as in history, then on-demand features."""
        columns: dict[str, pa.Array] = {
            key.name: pa.array(self._keys[key.name], KEY_ARROW_TYPES[key.type]) for key in self._request.keys
        }
        for selection in self._request.shown:
            columns |= {feature.name: self._array(feature) for feature in selection.features}
            columns[selection.status_column] = pa.array(self._found[selection.status_column][1], pa.string())
        return pa.table(columns | self._on_demand)

    @cached_property
    def statuses(self) -> dict[str, list[str]]:
        """Per feature the status of each value: `present`, `null`, `not found` or `outside ttl`."""
        statuses = {
            feature.name: [
                NULL if status == PRESENT and value is None else status
                for status, value in zip(
                    self._found[selection.status_column][1], self._values[feature.name], strict=True
                )
            ]
            for selection in self._request.shown
            for feature in selection.features
        }
        for name, column in self._on_demand.items():
            statuses[name] = [NULL if value is None else PRESENT for value in column.to_pylist()]
        return statuses

    @cached_property
    def event_timestamps(self) -> dict[str, list[datetime | None]]:
        """Per feature the snapshot that each value is from, also of values outside their TTL; None if not found.

        An on-demand feature is of the instant of the request.
        """
        instants: dict[str, list[datetime | None]] = {
            feature.name: list(self._found[selection.status_column][0])
            for selection in self._request.shown
            for feature in selection.features
        }
        return instants | {name: [self.at] * len(self) for name in self._on_demand}

    @property
    def views(self) -> list[ViewRows]:
        """Every view that was read, also those that only on-demand features need."""
        return [
            ViewRows(selection.view, *self._found[selection.status_column]) for selection in self._request.selections
        ]

    def _take_columns(self, columns: Sequence[tuple[Any, ...]] | None) -> None:
        place = 0
        for selection in self._request.selections:
            ttl = selection.view.ttl
            instants = columns[place] if columns else ()
            status = [
                NOT_FOUND if each is None else OUTSIDE_TTL if ttl is not None and self.at - each > ttl else PRESENT
                for each in instants
            ]
            self._found[selection.status_column] = (instants, status)
            is_masked = OUTSIDE_TTL in status
            for number, feature in enumerate(selection.features, place + 1):
                column = columns[number] if columns else ()
                if is_masked:
                    column = tuple(
                        value if each == PRESENT else None for value, each in zip(column, status, strict=True)
                    )
                self._values[feature.name] = column
            place += 1 + len(selection.features)

    @cached_property
    def _on_demand(self) -> dict[str, pa.Array]:
        if not self._request.on_demand:
            return {}
        inputs: dict[str, pa.Array] = {"at": pa.array([self.at] * len(self), INSTANT)}
        for selection in self._request.selections:
            inputs |= {feature.name: self._array(feature) for feature in selection.features}
            inputs[f"{selection.view.name}__event_time"] = pa.array(self._found[selection.status_column][0], INSTANT)
        return compute_on_demand(self._request.on_demand, pa.table(inputs))

    def _array(self, feature: Feature) -> pa.Array:
        return pa.array(self._values[feature.name], ARROW_TYPES[feature.type])
