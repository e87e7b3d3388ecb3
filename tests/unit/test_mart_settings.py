"""The marts' settings and declarations say what is wrong with them."""

from __future__ import annotations

import pytest

from include.analytics.mart import BadMart, Mart
from include.analytics.settings import BadLeastSupport, BadTimeZone, mart_settings_of, time_zone_of


@pytest.mark.parametrize(
    ("given", "meant"),
    [({}, "UTC"), ({"REGULARS_TIME_ZONE": ""}, "UTC"), ({"REGULARS_TIME_ZONE": "Asia/Tokyo"}, "Asia/Tokyo")],
)
def test_days_begin_where_the_setting_says_and_in_utc_without_one(given, meant):
    assert time_zone_of(given) == meant


def test_a_time_zone_that_is_none_is_refused():
    with pytest.raises(BadTimeZone, match="REGULARS_TIME_ZONE is 'Berlin'"):
        time_zone_of({"REGULARS_TIME_ZONE": "Berlin"})


@pytest.mark.parametrize("text", ["", "0.02", "1"])
def test_the_least_support_is_the_one_that_is_set_and_half_a_per_cent_without_one(text):
    assert mart_settings_of({"REGULARS_BASKET_LEAST_SUPPORT": text}) == {"least_support": text or "0.005"}


@pytest.mark.parametrize("text", ["0", "-0.1", "1.5", "5 %", "NaN"])
def test_a_least_support_that_is_no_share_is_refused(text):
    with pytest.raises(BadLeastSupport, match="REGULARS_BASKET_LEAST_SUPPORT is"):
        mart_settings_of({"REGULARS_BASKET_LEAST_SUPPORT": text})


def test_a_mart_without_sql_cannot_be_declared():
    with pytest.raises(BadMart, match=r"no_such_mart\.sql"):
        Mart(name="no_such_mart", key=("day",), inputs=())
