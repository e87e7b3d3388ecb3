"""The page Features, as Airflow's API server serves it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from tests.integration.feature_shop import Event, Order, load

PAGE = "/regulars/features"
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)


def article(text: str, view: str) -> str:
    found = re.search(rf'<article id="{view}">.*?</article>', text, flags=re.DOTALL)
    assert found, text
    return re.sub(r"\s+", " ", found[0])


def test_the_page_tells_what_exists_is_missing_or_stale_and_what_a_build_would_do(admin, warehouse):
    load(warehouse, [Order(number, number, TODAY - DAY * 20) for number in range(1, 11)])
    build_view(warehouse, CUSTOMER_ACTIVITY, Window(TODAY - DAY * 10, TODAY - DAY * 2), now=datetime.now(UTC))
    load(warehouse, [Event("late", 3, TODAY - DAY * 5)])
    answer = admin.get(PAGE)
    assert answer.status_code == 200, answer.text
    assert all(f'id="{name}"' in answer.text for name in FEATURE_VIEWS)
    told = article(answer.text, "customer_activity")
    assert told.count('class="day built"') == 8 - 3
    assert told.count('class="day stale"') == 3
    assert told.count('class="day missing"') == 60 - 8
    assert "<dt>rows in it</dt><dd>10</dd>" in told
    assert "take 52 snapshots for the first time, repair 3 single rows" in told
    short = admin.get(PAGE, params={"start": f"{TODAY - DAY * 4:%Y-%m-%d}", "end": f"{TODAY - DAY * 2:%Y-%m-%d}"})
    assert "would repair 3 single rows" in article(short.text, "customer_activity")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"start": "soon"}, "&#39;soon&#39; is no date"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "2024-02-01"),
        ({"start": "1990-01-01", "end": "2024-01-01"}, "longer than 800 days"),
        ({"start": "<script>alert(1)</script>"}, "&lt;script&gt;"),
    ],
)
def test_a_window_that_cannot_be_shown_is_refused_in_words(admin, given, says):
    answer = admin.get(PAGE, params=given)
    assert answer.status_code == 400
    alert = re.search(r'role="alert">(.*?)</p>', answer.text)
    assert alert and says in alert[1]
    assert "<script>" not in answer.text
