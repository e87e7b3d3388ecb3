"""Every fault on demand, met by a real client over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.integration.sandbox_process import SandboxProcess, sandbox

ORDERS = "/wp-json/wc/v3/orders"
LONDON, OSLO = (51.5, -0.1), (59.9, 10.7)


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with sandbox(customers=40, seed=2) as process:
        yield process


@pytest.fixture
def shop(running: SandboxProcess) -> Iterator[SandboxProcess]:
    running.clear_faults()
    yield running
    running.clear_faults()


def page(shop: SandboxProcess, number: int = 1) -> requests.Response:
    return shop.get("/orders", page=number, per_page=20, orderby="id", order="asc")


def test_a_rate_limit_names_seconds_or_a_date_and_passes(shop):
    shop.add_fault(kind="rate_limit", path=ORDERS, times=1, retry_after=7)
    shop.add_fault(kind="rate_limit", path=ORDERS, times=1, retry_after=90, as_date=True)
    first, second, third = page(shop), page(shop), page(shop)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
    wait = parsedate_to_datetime(second.headers["Retry-After"]) - datetime.now(UTC)
    assert second.status_code == 429 and 0 < wait.total_seconds() <= 90
    assert third.status_code == 200


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_has_its_status_and_no_rows(shop, status):
    shop.add_fault(kind="server_error", status=status, times=1)
    answer = page(shop)
    assert answer.status_code == status
    assert not answer.text.startswith("[")
    assert page(shop).status_code == 200


def test_a_held_answer_makes_the_client_time_out_and_the_next_request_is_answered(shop):
    shop.add_fault(kind="timeout", seconds=600, times=1)
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{shop.base_url}{ORDERS}", auth=shop.key, timeout=0.5)
    assert page(shop).status_code == 200


def test_a_cut_off_body_is_announced_longer_than_it_is(shop):
    shop.add_fault(kind="cut_off", share=0.3, times=1)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)) as failure:
        page(shop)
    assert "IncompleteRead" in str(failure.value)
    assert page(shop).status_code == 200


def test_a_slow_body_arrives_whole(shop):
    whole = page(shop).content
    shop.add_fault(kind="slow_body", seconds=0.2, times=1)
    assert page(shop).content == whole


def test_a_page_of_html_comes_with_status_200(shop):
    shop.add_fault(kind="wrong_content_type", times=1)
    answer = page(shop)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_rows_of_a_wrong_type_or_without_a_field_stand_among_good_ones(shop):
    good = page(shop).json()
    shop.add_fault(kind="malformed_rows", rows=3, damage="wrong_type", field="total", times=1)
    shop.add_fault(kind="malformed_rows", rows=2, damage="missing_field", field="date_modified_gmt", times=1)
    wrong, missing = page(shop).json(), page(shop).json()
    assert sum(type(order["total"]) is not str for order in wrong) == 3
    assert [order["id"] for order in wrong] == [order["id"] for order in good]
    assert sum("date_modified_gmt" not in order for order in missing) == 2
    assert sum(first == second for first, second in zip(good, wrong, strict=True)) == len(good) - 3


def test_broken_json_in_one_row_breaks_a_page_but_only_one_line_of_events(shop):
    shop.add_fault(kind="malformed_rows", damage="broken_json", times=1)
    with pytest.raises(ValueError, match=r"Expecting|delimiter|Extra"):
        page(shop).json()
    shop.add_fault(kind="malformed_rows", damage="broken_json", path="/v1/export/events", times=1)
    lines = shop.events(start="2024-01-01T00:00:00Z", end="2024-07-01T00:00:00Z", limit=50).text.splitlines()
    assert sum(not parses(line) for line in lines) == 1 and len(lines) == 50


def parses(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_unknown_fields_stand_beside_all_known_ones(shop):
    good = page(shop).json()
    shop.add_fault(kind="unknown_fields", times=1)
    odd = page(shop).json()
    assert all("x_unheard_of" in order for order in odd)
    assert [{k: v for k, v in order.items() if k != "x_unheard_of"} for order in odd] == good


def test_a_duplicate_page_brings_the_rows_before_again_and_a_stale_page_nothing_else(shop):
    first, second = page(shop, 1).json(), page(shop, 2).json()
    shop.add_fault(kind="duplicate_page", skip=1, times=1)
    page(shop, 1)
    assert page(shop, 2).json() == first + second
    shop.add_fault(kind="stale_page", skip=1, times=1)
    page(shop, 1)
    assert page(shop, 2).json() == first
    assert page(shop, 2).json() == second


def test_a_whole_stale_answer_brings_its_own_totals(shop):
    everything = page(shop, 1)
    shop.add_fault(kind="stale_page", is_whole=True, times=1)
    stale = shop.get("/orders", page=1, per_page=20, modified_after="2030-01-01T00:00:00")
    assert stale.content == everything.content
    assert stale.headers["X-WP-Total"] == everything.headers["X-WP-Total"] != "0"


@pytest.mark.parametrize("path", ["/v1/archive", "/query"])
def test_a_stale_answer_without_a_list_of_rows_is_the_whole_answer_before(shop, path):
    asked = [archive(LONDON), archive(OSLO)] if path == "/v1/archive" else [prices(shop, "AMZN"), prices(shop, "EBAY")]
    first, second = (requests.get(shop.base_url + path, params=each, timeout=60).json() for each in asked)
    assert first != second
    shop.add_fault(kind="stale_page", path=path, skip=1, times=1)
    again = [requests.get(shop.base_url + path, params=each, timeout=60).json() for each in asked]
    assert again == [first, first]


def archive(place: tuple[float, float]) -> dict[str, object]:
    days = {"start_date": "2025-03-01", "end_date": "2025-03-09", "daily": "temperature_2m_max,temperature_2m_min"}
    return {"latitude": place[0], "longitude": place[1], **days}


def prices(shop: SandboxProcess, symbol: str) -> dict[str, object]:
    return {"function": "TIME_SERIES_DAILY", "symbol": symbol, "apikey": shop.stock_key}


def test_days_of_weather_and_prices_are_damaged_one_by_one(shop):
    def days(path: str, asked: dict[str, object], **fault: object) -> list[object]:
        if fault:
            shop.add_fault(kind="malformed_rows", rows=3, path=path, times=1, **fault)
        answer = requests.get(shop.base_url + path, params=asked, timeout=60).json()
        if path == "/query":
            return list(answer["Time Series (Daily)"].values())
        return list(zip(*answer["daily"].values(), strict=True))

    for path, asked in (("/v1/archive", archive(OSLO)), ("/query", prices(shop, "AMZN"))):
        good = days(path, asked)
        for damage in ("wrong_type", "missing_field"):
            bad = days(path, asked, damage=damage)
            assert len(bad) == len(good)
            assert sum(one != other for one, other in zip(good, bad, strict=True)) == 3


@pytest.mark.parametrize("path", ["/v1/archive", "/query"])
def test_unknown_fields_of_weather_and_prices_stand_beside_the_days(shop, path):
    asked = archive(LONDON) if path == "/v1/archive" else prices(shop, "EBAY")
    good = requests.get(shop.base_url + path, params=asked, timeout=60).json()
    shop.add_fault(kind="unknown_fields", path=path, times=1)
    odd = requests.get(shop.base_url + path, params=asked, timeout=60)
    assert "x_unheard_of" in odd.text and "x_unheard_of" not in json.dumps(good)
    assert without_odd_fields(odd.json()) == good


def without_odd_fields(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: without_odd_fields(part) for name, part in value.items() if name != "x_unheard_of"}


def test_an_empty_body_a_redirect_and_a_bomb(shop):
    shop.add_fault(kind="empty_body", times=1)
    empty = page(shop)
    assert (empty.status_code, empty.content, "X-WP-Total" in empty.headers) == (200, b"", True)
    shop.add_fault(kind="redirect", times=1, location="http://elsewhere.invalid/")
    led = requests.get(f"{shop.base_url}{ORDERS}", auth=shop.key, timeout=60, allow_redirects=False)
    assert (led.status_code, led.headers["Location"]) == (302, "http://elsewhere.invalid/")
    shop.add_fault(kind="gzip_bomb", times=1, megabytes=20)
    bomb = page(shop)
    assert int(bomb.headers["Content-Length"]) < 100_000 and len(bomb.content) == 20 << 20


def test_a_record_is_edited_just_before_the_answer_and_edits_can_be_taken_back(shop):
    before = page(shop).json()
    key = before[3]["id"]
    change = {"key": key, "modified_at": "2025-12-31T23:59:59Z", "set": {"status": "refunded"}}
    shop.add_fault(kind="edit_records", path=ORDERS, skip=1, times=1, edits=[change])
    assert page(shop).json() == before
    after = page(shop).json()
    assert [one["id"] for one, other in zip(before, after, strict=True) if one != other] == [key]
    assert after[3]["status"] == "refunded"
    requests.delete(f"{shop.base_url}/_sandbox/edits", timeout=60).raise_for_status()
    assert page(shop).json() == before


def test_every_fault_tells_how_often_it_struck(shop):
    shop.add_fault(kind="server_error", times=2)
    for _ in range(3):
        page(shop)
    assert requests.get(f"{shop.base_url}/_sandbox/faults", timeout=60).json()[0]["struck"] == 2


def test_alpha_vantage_limits_with_a_notice_and_status_200(shop):
    for notice in ("Information", "Note"):
        shop.add_fault(kind="stock_limit", path="/query", notice=notice, times=1)
        answer = requests.get(f"{shop.base_url}/query", timeout=60)
        assert answer.status_code == 200 and list(answer.json()) == [notice]


def test_a_fault_hits_its_path_only_after_its_skips_and_as_often_as_told(shop):
    shop.add_fault(kind="server_error", path="/wp-json/wc/v3/products", skip=1, times=2)
    assert page(shop).status_code == 200
    assert [shop.get("/products").status_code for _ in range(5)] == [200, 500, 500, 200, 200]


def test_random_faults_strike_the_same_requests_for_the_same_seed(shop):
    def run(seed: int) -> list[int]:
        shop.clear_faults()
        shop.add_fault(kind="server_error", probability=0.4, seed=seed)
        return [page(shop).status_code for _ in range(40)]

    first = run(5)
    assert run(5) == first
    assert run(6) != first
    assert 5 < first.count(500) < 30


def test_the_log_says_which_fault_struck(shop):
    shop.add_fault(kind="rate_limit", times=1)
    page(shop)
    entry = shop.requests()[-1]
    assert (entry["path"], entry["status"], entry["fault"]) == (ORDERS, 429, "rate_limit")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "earthquake"}, "There is no fault 'earthquake'"),
        ({"kind": "cut_off", "retry_after": 1}, "cut_off has no retry_after"),
        ({"kind": "cut_off", "probability": 2}, "probability is 2"),
    ],
)
def test_a_fault_that_cannot_be_made_is_refused(shop, fault, message):
    answer = requests.post(f"{shop.base_url}/_sandbox/faults", json=fault, timeout=60)
    assert answer.status_code == 400 and message in answer.json()["error"]
    assert requests.get(f"{shop.base_url}/_sandbox/faults", timeout=60).json() == []
