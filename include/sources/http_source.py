"""What all sources over HTTP share: settings, limits, and reading rows that have no lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.http import HttpClient
from include.sources.limits import HttpLimits, limits_of
from include.sources.network import Network
from include.sources.parsing import parse_rows, required_in
from include.sources.settings import SourceSettings
from include.sources.source import Page, Parsed


class HttpSource:
    """A subclass adds `pages` and `split`, and either `row_decoder` and `to_record` or `parse` of its own.

    :param network: what is shared with other processes; with none, only what this source knows.
    :param limits: instead of those in the settings.
    :raises SettingRefused: the limits in the settings cannot be followed.

    :cvar page_decoder: reads a whole page at once; None where the format has no such reading.
    :cvar row_decoder: reads one row.
    """

    entity: Entity
    page_decoder: msgspec.json.Decoder | None = None
    row_decoder: msgspec.json.Decoder

    def __init__(
        self, settings: SourceSettings, *, network: Network | None = None, limits: HttpLimits | None = None
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._network = network or Network()
        self._limits = limits or limits_of(settings)

    def client(self, window: Window) -> HttpClient:
        """A client for reading one window."""
        return HttpClient(self._settings, window=window, network=self._network, limits=self._limits)

    def split(self, body: bytes, window: Window) -> Sequence[bytes]:
        """The raw rows of a page that belong to the window.

        :raises ValueError: the body is not what the API promises.
        """
        raise NotImplementedError

    def to_record(self, wire: Any, page: Page) -> Any:
        """A record from a typed row.

        :raises RowRejected: a value does not fit.
        """
        raise NotImplementedError

    def split_lines(self, row: bytes) -> list[bytes]:
        """The raw lines inside one raw row: none."""
        return []

    def required_fields(self) -> frozenset[str]:
        """The fields that `row_decoder` insists on."""
        return required_in(self.row_decoder)

    def parse(self, page: Page, window: Window) -> Parsed:
        """Typed records of a page; rows that do not fit are rejected one by one."""
        return parse_rows(
            self.entity.name,
            page.body,
            split=lambda body: self.split(body, window),
            page_decoder=self.page_decoder,
            row_decoder=self.row_decoder,
            to_record=lambda wire: self.to_record(wire, page),
        )
