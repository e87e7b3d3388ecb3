"""Charts: a Vega-Lite specification with the same said in words and as a table.

    Chart(
        name="revenue", title="Net revenue by day", caption="Net revenue was 1,234 GBP on 3 May, 12 % above ...",
        columns={"sold_on": "Day", "net_amount": "Net (GBP)"}, rows=rows,
        spec={"mark": "line", "encoding": {"x": {"field": "sold_on", "type": "temporal"}, "y": {...}}},
    )

The rows are the data of the chart and of the table. A specification says neither width nor colours (`category`,
`heatmap`, `ramp` and `diverging` are the ranges that `static/charts.js` sets for light and dark; of single colours it
knows the names in `static/style.css`: `"color": {"value": "var(--c2)"}` in a mark or encoding); `height` is in pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

MOST_TABLE_ROWS = 400
DAYS_AXIS = {"tickCount": 6, "tickMinStep": 86_400_000, "format": "%e %b %y", "labelSeparation": 8}
"""Of a temporal channel: days, also where there are few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What one figure shows.

    :param name: its id on the page.
    :param caption: in words, what is to be seen in it: a reader who cannot see the chart has this and the table.
    :param columns: title of each column of the table, by the key in `rows`; other keys are for the chart alone.
    :param rows: plain values; instants and dates are written in ISO 8601, decimals as numbers.
    :param spec: Vega-Lite without `data` and `width`.
    :param formats: name of a filter of `dashboard.words` for the columns that need one.
    """

    name: str
    title: str
    caption: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    spec: Mapping[str, Any]
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def table_rows(self) -> Sequence[Mapping[str, Any]]:
        """The last rows, as many as a table may have."""
        return self.rows[-MOST_TABLE_ROWS:]

    @property
    def as_json(self) -> Markup:
        """The whole specification, safe inside a script element."""
        size = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
        whole = {**size, "description": self.caption, **self.spec, "data": {"values": list(self.rows)}}
        text = json.dumps(whole, default=_plain, allow_nan=False)
        return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704  # escaped just now


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"A chart cannot show a {type(value).__name__}: {value!r}.")
