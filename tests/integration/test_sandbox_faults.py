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
