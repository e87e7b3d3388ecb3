"""Whatever goes wrong has one form, says nothing about persons, and leaves no trace of them in the log."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from include.warehouse.connection import connect_warehouse
from tests.integration.serving_host import Api, api, until

CUSTOMER = "91827364"


@pytest.fixture
def running(warehouse_dsn: str) -> Iterator[Api]:
    with api(warehouse_dsn, timeout_seconds=0.5, most_at_once=8) as started:
        yield started


def problem_of(answer: requests.Response) -> dict:
    """The problem, which has the form of RFC 9457."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert {"type", "title", "detail"} <= set(problem)
    assert answer.headers["X-Request-Id"]
    return problem


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/v1/customers/17/churn/", None, 404),
        ("DELETE", "/v1/customers/17/churn", None, 405),
        ("GET", "/v1/churn:batch", None, 405),
        ("PATCH", "/healthz", None, 405),
        ("GET", "/v1/customers/seventeen/churn", None, 422),
        ("GET", "/v1/customers/0/churn", None, 422),
        ("GET", f"/v1/customers/{2**53}/churn", None, 422),
        ("GET", "/v1/products/1/bought-together?limit=1000", None, 422),
        ("POST", "/v1/churn:batch", b"", 422),
        ("POST", "/v1/churn:batch", b"[", 422),
        ("POST", "/v1/churn:batch", b"\xff", 400),
        ("POST", "/v1/churn:batch", b"[" * 60_000, 400),
        ("POST", "/v1/churn:batch", b'{"customer_ids": []}', 422),
        ("POST", "/v1/churn:batch", b'{"customer_ids": [true]}', 422),
        ("POST", "/v1/churn:batch", b'{"customer_ids": ["17"]}', 422),
        ("POST", "/v1/churn:batch", b'{"customer_ids": [1' + b"0" * 5000 + b"]}", 400),
        ("POST", "/v1/churn:batch", b'{"customer_ids": [1], "at": 2}', 422),
        ("POST", "/v1/churn:batch", json.dumps({"customer_ids": [1] * 501}).encode(), 422),
    ],
)
def test_what_the_framework_refuses_is_a_problem_too(running, method, path, body, status):
    answer = running.ask(method, path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    problem_of(answer)
    if status == 405:
        assert answer.headers["Allow"]


def test_a_problem_names_the_place_and_not_the_value(running):
    answer = running.ask("POST", "/v1/churn:batch", json={"customer_ids": [17, f"secret-{CUSTOMER}"]})
    problem = problem_of(answer)
    assert [error["where"] for error in problem["errors"]] == ["body.customer_ids.1"]
    assert CUSTOMER not in answer.text


def connection(running: Api) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=60)


def test_too_long_requests_are_refused_before_they_are_read(running):
    caller = connection(running)
    caller.putrequest("POST", "/v1/churn:batch")
    caller.putheader("Content-Length", str(10**12))
    caller.endheaders()
    assert caller.getresponse().status == 413
    chunked = running.ask("POST", "/v1/churn:batch", data=(b"x" * 1000 for _ in range(1000)))
    assert problem_of(chunked)["status"] == 413
    assert problem_of(running.get("/healthz?" + "x" * 5000))["status"] == 414
    assert problem_of(running.get("/healthz", headers={"X-Long": "x" * 20_000}))["status"] == 431
    assert running.get("/healthz").status_code == 200


def test_what_takes_too_long_ends_in_time_and_others_go_on(running, warehouse_dsn):
    with connect_warehouse(warehouse_dsn) as conn:
        conn.execute("LOCK TABLE ml.bought_together IN ACCESS EXCLUSIVE MODE")
        assert problem_of(running.get("/v1/products/1/bought-together"))["status"] == 504
        assert running.get("/healthz").status_code == 200
    until(lambda: running.get("/v1/products/1/bought-together").status_code == 404)


def test_more_at_once_than_it_can_bear_are_told_to_come_back(running, warehouse_dsn):
    with connect_warehouse(warehouse_dsn) as conn, ThreadPoolExecutor(30) as callers:
        conn.execute("LOCK TABLE ml.bought_together IN ACCESS EXCLUSIVE MODE")
        answers = list(callers.map(lambda _: running.get("/v1/products/1/bought-together"), range(30)))
    assert {answer.status_code for answer in answers} == {503, 504}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert problem_of(refused)["type"].endswith((":overloaded", ":warehouse-unavailable"))
    assert refused.headers["Retry-After"]
    until(lambda: running.get("/v1/products/1/bought-together").status_code == 404)


def test_an_error_nobody_thought_of_tells_the_caller_nothing_and_the_log_where_it_was(running, warehouse_dsn, caplog):
    with connect_warehouse(warehouse_dsn) as conn:
        conn.execute("DROP TABLE ml.bought_together CASCADE")
        conn.commit()
    with caplog.at_level(logging.INFO):
        answer = running.get(f"/v1/products/{CUSTOMER}/bought-together")
    assert problem_of(answer) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Server got itself in trouble",
    }
    (failed,) = [record.getMessage() for record in caplog.records if "request_failed" in record.getMessage()]
    assert "error=UndefinedTable" in failed
    assert "products.py:" in failed
    assert f"request_id={answer.headers['X-Request-Id']}" in failed


def test_the_log_has_the_path_as_documented_and_never_as_asked(running, caplog):
    caplog.set_level(logging.DEBUG)
    running.get(f"/v1/customers/{CUSTOMER}/recommendations")
    running.get(f"/v1/customers/{CUSTOMER}/nothing")
    running.get(f"/{CUSTOMER}?customer={CUSTOMER}", key=f"regulars_{CUSTOMER}")
    running.ask("POST", "/v1/churn:batch", json={"customer_ids": [int(CUSTOMER)]})

    def lines() -> list[str]:
        # Not uvicorn.access: it is off, but pytest listens to it all the same. A process' whole log is read elsewhere.
        told = [record for record in caplog.records if record.name.startswith(("include", "uvicorn.error", "psycopg"))]
        return [record.getMessage() for record in told]

    until(lambda: sum(line.startswith("request method=") for line in lines()) == 4)
    assert [line.split(" ms=")[0] for line in lines() if line.startswith("request method=")] == [
        "request method=GET route=/v1/customers/{customer_id}/recommendations key=tests status=404",
        "request method=GET route=none key=none status=404",
        "request method=GET route=none key=none status=404",
        "request method=POST route=/v1/churn:batch key=tests status=503",
    ]
    assert not [line for line in lines() if CUSTOMER in line]


def test_the_counts_have_the_path_as_documented(running):
    for path in (f"/v1/products/{CUSTOMER}/bought-together", f"/{CUSTOMER}", "/healthz", "/healthz"):
        running.get(path)
    until(lambda: 'regulars_api_requests_total{route="/healthz",status="200"} 2.0' in running.get("/metrics").text)
    metrics = running.get("/metrics").text
    assert 'regulars_api_requests_total{route="/v1/products/{product_id}/bought-together",status="404"} 1.0' in metrics
    assert 'regulars_api_requests_total{route="none",status="404"} 1.0' in metrics
    assert 'regulars_api_request_seconds_count{route="/healthz"} 2.0' in metrics
    assert CUSTOMER not in metrics


def test_without_a_champion_it_lives_and_says_that_it_is_not_ready(running):
    assert running.get("/healthz").json() == {"status": "ok"}
    for path in ("/readyz", "/v1/customers/17/churn"):
        answer = running.get(path)
        assert problem_of(answer)["type"] == "urn:problem-type:regulars:no-champion"
        assert answer.headers["Retry-After"]
