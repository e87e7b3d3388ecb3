"""Customers: who is about to leave, lists to take away, and all that is known of one. No e-mail and no names."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from dashboard.pages import customers_charts as charts
from dashboard.shell import HEADERS, BadQuestion, NotThere, Page, WarehouseConnection, show
from include.features.definitions.view import Feature
from include.features.registry import FEATURE_VIEWS
from include.models import customer_record as records
from include.models.recommendations.reads import recommendations_for
from include.models.scores.risks import (
    CustomerRisk,
    ScoreRun,
    customers_at_risk,
    newest_run,
    risk_bins,
    risk_value_cells,
    segment_risks,
)
from include.models.standing import churn_report

LISTED = 25
MOST_EXPORTED = 100_000
SNAPSHOTS_SHOWN = 370
ORDERS_SHOWN = 20
LIST_COLUMNS = ("customer_id", "segment", "churn_probability", "churn_decile", "value_amount", "value_low_amount",
                "value_high_amount", "value_times_probability_amount", "reason")  # fmt: skip
_ROWS_PER_CHUNK = 500
_GREATEST_ID = 2**63 - 1

page = Page(name="customers", title="Customers", place=3)
CUSTOMER_VIEWS = {name: view for name, view in FEATURE_VIEWS.items() if view.entity.key_names == ("customer_id",)}

Segment = Annotated[str, Query(max_length=60)]
Decile = Annotated[int, Query(ge=1, le=10)]


@page.router.get("/customers")
def customers(request: Request, conn: WarehouseConnection, segment: Segment = "", decile: Decile = 1) -> Response:
    """Risk over all customers and by segment, and those with most to lose.

    :param segment: of the list; empty for all.
    :param decile: of the list: this tenth and those more likely to leave.
    """
    run = newest_run(conn)
    if run is None:
        return show(request, page, "customers.html", run=None)
    report = churn_report(conn, run.model_id) or {}
    segments = segment_risks(conn, run)
    cells = risk_value_cells(conn, run)
    listed = customers_at_risk(conn, run, segment=segment or None, least_decile=decile, limit=LISTED)
    return show(
        request, page, "customers.html",
        run=run, segments=segments, segment=segment, decile=decile, listed=list(listed), most=MOST_EXPORTED,
        risk=charts.risk_chart(risk_bins(conn, run), run),
        risk_value=charts.risk_value_chart(cells) if cells else None,
        reliability=charts.reliability_chart(report.get("reliability", {}), report.get("test_rows", 0)),
    )  # fmt: skip


@page.router.get("/customers/list.csv")
def customer_list(
    conn: WarehouseConnection,
    segment: Segment = "",
    decile: Decile = 1,
    limit: Annotated[int, Query(ge=1, le=MOST_EXPORTED)] = MOST_EXPORTED,
) -> Response:
    """The whole list as CSV, streamed: ids and figures alone."""
    run = newest_run(conn)
    if run is None:
        raise NotThere("Nobody was scored yet, so there is no list. Run the DAG `customer_scores`, then ask again.")
    chunks = _csv(customers_at_risk(conn, run, segment=segment or None, least_decile=decile, limit=limit))
    first = next(chunks)  # What is wrong with the question is known before the answer begins.
    return StreamingResponse(
        itertools.chain([first], chunks), media_type="text/csv; charset=utf-8",
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{_file_name(run, segment, decile)}"'},
    )  # fmt: skip


@page.router.get("/customers/find")
def find(request: Request, customer_id: Annotated[str, Query(max_length=30)] = "") -> Response:
    """What the search form asks for: the page of that customer."""
    return RedirectResponse(f"{request.scope['root_path']}/customers/{_customer_number(customer_id)}", status_code=303)


@page.router.get("/customers/{customer_id}")
def customer(
    request: Request,
    conn: WarehouseConnection,
    customer_id: str,
    view: Annotated[str, Query(max_length=60)] = "customer_rfm",
    feature: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """One customer: scores with reasons, features over time, orders and recommendations.

    :param view: whose features are shown.
    :param feature: the one that is drawn; by default the first that can be.
    """
    number = _customer_number(customer_id)
    summary = records.customer_summary(conn, number)
    if summary is None:
        return show(request, page, "customer.html", status=404, number=number, summary=None)
    if view not in CUSTOMER_VIEWS:
        raise BadQuestion(f"There is no view of customers named {view!r}. There are: {', '.join(CUSTOMER_VIEWS)}.")
    rows = records.customer_features(conn, CUSTOMER_VIEWS[view], number, limit=SNAPSHOTS_SHOWN)
    features = [_told(each, place, rows.rows) for place, each in enumerate(rows.view.features)]
    drawn = _chosen(features, feature)
    scores = records.customer_scores(conn, number, limit=SNAPSHOTS_SHOWN)
    return show(
        request, page, "customer.html",
        number=number, summary=summary, scores=scores, view=CUSTOMER_VIEWS[view], views=list(CUSTOMER_VIEWS),
        features=features, newest=rows.rows[-1][0] if rows.rows else None, drawn=drawn,
        orders=records.customer_orders(conn, number, limit=ORDERS_SHOWN), recommended=_recommended(conn, number),
        score_chart=charts.score_chart(scores) if len(scores) > 1 else None,
        feature_chart=charts.feature_chart(drawn["feature"], drawn["series"]) if drawn else None,
    )  # fmt: skip


def _customer_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text.strip()) or int(text) > _GREATEST_ID:
        raise BadQuestion(f"{text!r} is no customer id. Write its number, for example 17.")
    return int(text)


def _told(feature: Feature, place: int, rows: list[tuple[datetime, tuple[Any, ...]]]) -> dict[str, Any]:
    """A feature with its newest value and, if it is a number, all of them."""
    values = [values[place] for _, values in rows]
    is_number = feature.type != "text"
    numbers = [None if value is None else float(value) for value in values] if is_number else []
    return {
        "feature": feature,
        "value": values[-1] if values else None,
        "is_number": is_number,
        "series": [(at, value) for (at, _), value in zip(rows, numbers, strict=False)],
        "line": charts.sparkline(numbers),
    }


def _chosen(features: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The feature to draw: the one asked for, else the first that is a number and has more than one snapshot."""
    drawable = {each["feature"].name: each for each in features if len(each["series"]) > 1}
    return drawable.get(name) or next(iter(drawable.values()), None)


def _recommended(conn: WarehouseConnection, number: int) -> list[dict[str, Any]]:
    """What the customer would be shown, with the products' names."""
    found = recommendations_for(conn, number)
    rows = conn.execute(
        "SELECT product_id, name FROM shop.products WHERE product_id = ANY(%s)", ([each.product_id for each in found],)
    ).fetchall()
    names = dict(rows)
    return [{"recommendation": each, "name": names.get(each.product_id)} for each in found]


def _csv(customers: Iterable[CustomerRisk]) -> Iterator[str]:
    """The list in pieces of some hundred rows; the first has the header, also where there is no customer."""
    rows = iter(customers)
    header: list[tuple[Any, ...]] = [LIST_COLUMNS]
    while chunk := [*header, *map(_list_row, itertools.islice(rows, _ROWS_PER_CHUNK))]:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(chunk)
        yield text.getvalue()
        header = []


def _list_row(each: CustomerRisk) -> tuple[Any, ...]:
    return (
        each.customer_id, _plain(each.segment), each.churn_probability, each.churn_decile, each.value_amount,
        each.value_low_amount, each.value_high_amount, each.weighed_amount, _plain(each.reason),
    )  # fmt: skip


def _plain(text: str | None) -> str | None:
    """Text that a spreadsheet takes for text: what begins like a formula gets an apostrophe before it."""
    return f"'{text}" if text and text[0] in "=+-@\t\r" else text


def _file_name(run: ScoreRun, segment: str, decile: int) -> str:
    parts = ["customers-at-risk", f"{run.snapshot_at:%Y-%m-%d}", re.sub(r"[^a-z0-9]+", "-", segment.lower()).strip("-")]
    parts += [f"tenth-{decile}"] if decile > 1 else []
    return "-".join(part for part in parts if part) + ".csv"
