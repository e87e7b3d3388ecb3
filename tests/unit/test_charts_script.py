"""The script that draws the dashboard's charts, in a browser far from UTC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.ui import chromium

SCRIPT = Path(__file__).resolve().parents[2] / "plugins" / "dashboard" / "static" / "charts.js"
ROWS = [{"day": "2026-01-01", "at": "2026-01-01T00:30:00.106+00:00", "name": "2026-01-01"}]
DAY, INSTANT = {"field": "day", "type": "temporal"}, {"field": "at", "type": "temporal"}
SPEC = {"layer": [{"encoding": {"x": DAY, "tooltip": [INSTANT]}}], "data": {"values": ROWS}}
READ = "() => [drawn.name, drawn.day, drawn.at].map((said) => new Date(said).toString().slice(0, 21))"


@pytest.mark.needs_program("chromium")
def test_days_and_instants_are_those_of_utc_wherever_the_reader_is():
    with chromium() as browser:
        page = browser.new_context(timezone_id="America/New_York").new_page()
        page.set_content(
            f'<figure class="chart"><div class="plot"></div><script type="application/json">{json.dumps(SPEC)}</script>'
            "</figure>"
        )
        page.evaluate("() => { window.vegaEmbed = async (plot, spec) => { window.drawn = spec.data.values[0]; } }")
        page.add_script_tag(path=SCRIPT)
        page.wait_for_function("() => window.drawn")
        assert page.evaluate(READ) == ["Wed Dec 31 2025 19:00", "Thu Jan 01 2026 00:00", "Thu Jan 01 2026 00:30"]
