"""WooCommerce REST API v3, as far as it is read: orders, refunds, products, customers, the currency.

Behaves as the controllers of the plugin do (`includes/rest-api/Controllers/Version{1,2,3}`):

* `after`, `before`, `modified_after`, `modified_before` are strict on both sides; fractions of a second are cut off.
* `orderby=date` and `orderby=modified` break ties by id, in the same direction.
* A page past the last one is an empty list with status 200 and the usual totals; an `offset` past the last row of
  posts is one with totals of 0, since WordPress does not count what it did not find.
* A wrong secret is answered before anything else; parameters are checked before permissions.
* An unknown or missing key is an anonymous visitor: 401 `woocommerce_rest_cannot_view`.
* Customers have no date filters; they are listed by name unless asked otherwise.
* Basic authentication works as on a shop behind a proxy that ends TLS.

* Fields without `_gmt`, and filters without `dates_are_gmt`, are in the shop's time zone.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt, parse_instant
from include.local.sandbox.parameters import ListQuery, WordPressError, parse_list_query
from include.local.sandbox.shop import Collection, Shop

PREFIX = "/wp-json/wc/v3"
ORDER_STATUSES = (
    "any", "trash", "auto-draft", "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed",
    "checkout-draft",
)  # fmt: skip
PRODUCT_STATUSES = ("any", "future", "trash", "draft", "pending", "private", "publish")
_POST_ORDERBY = ("date", "id", "include", "title", "slug", "modified")
_CUSTOMER_ORDERBY = ("id", "include", "name", "registered_date")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Key:
    """The consumer key and secret that the shop accepts."""

    consumer_key: str
    consumer_secret: str


class WooCommerce:
    """The routes of one shop's REST API."""

    def __init__(self, shop: Shop, key: Key) -> None:
        self._shop = shop
        self._key = key

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        shop = self._shop
        return [
            self._route("/orders", self._list(shop.orders, statuses=ORDER_STATUSES)),
            self._route("/orders/{id:int}", self._single(shop.orders, "shop_order")),
            self._route("/orders/{id:int}/refunds", self._order_refunds),
            self._route("/products", self._list(shop.products, statuses=PRODUCT_STATUSES)),
            self._route("/products/{id:int}", self._single(shop.products, "product")),
            self._route("/refunds", self._list(shop.refunds)),
            self._route("/customers", self._customers),
            self._route("/data/currencies/current", self._currency),
            Route("/wp-json/{path:path}", self._guarded(_no_route), methods=["GET", "HEAD"]),
        ]

    def _route(self, path: str, handler: Any) -> Route:
        return Route(PREFIX + path, self._guarded(handler), methods=["GET", "HEAD"])

    def _guarded(self, handler: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                is_known = self._authenticate(request)
                response: Response = handler(request, is_known)
            except WordPressError as error:
                return _json(error.body, status=error.status)
            return response

        return endpoint

    def _authenticate(self, request: Request) -> bool:
        """True for the shop's key, False for an anonymous visitor."""
        given = _credentials(request)
        if given is None or not hmac.compare_digest(given[0].encode(), self._key.consumer_key.encode()):
            return False
        if not hmac.compare_digest(given[1].encode(), self._key.consumer_secret.encode()):
            raise WordPressError(
                status=401, code="woocommerce_rest_authentication_error", message="Consumer secret is invalid."
            )
        return True

    def _list(self, collection: Collection, *, statuses: tuple[str, ...] = ()) -> Any:
        def handler(request: Request, is_known: bool) -> Response:
            query = parse_list_query(
                request.query_params,
                orderby=_POST_ORDERBY,
                default_orderby="date",
                default_order="desc",
                statuses=statuses,
                has_dates=True,
                utc_offset=self._shop.utc_offset,
            )
            _require(is_known, "Sorry, you cannot list resources.")
            return _page(request, collection, query, shop=self._shop)

        return handler

    def _customers(self, request: Request, is_known: bool) -> Response:
        query = parse_list_query(
            request.query_params,
            orderby=_CUSTOMER_ORDERBY,
            default_orderby="name",
            default_order="asc",
            statuses=(),
            has_dates=False,
        )
        _require(is_known, "Sorry, you cannot list resources.")
        return _page(request, self._shop.customers, query, shop=self._shop)

    def _single(self, collection: Collection, post_type: str) -> Any:
        def handler(request: Request, is_known: bool) -> Response:
            _require(is_known, "Sorry, you cannot view this resource.")
            item = collection.find(request.path_params["id"], now=self._shop.now)
            if item is None:
                raise WordPressError(status=404, code=f"woocommerce_rest_{post_type}_invalid_id", message="Invalid ID.")
            return _json(_localised(item, shop=self._shop))

        return handler

    def _order_refunds(self, request: Request, is_known: bool) -> Response:
        query = parse_list_query(
            {**request.query_params, "parent": str(request.path_params["id"])},
            orderby=_POST_ORDERBY,
            default_orderby="date",
            default_order="desc",
            statuses=(),
            has_dates=True,
            utc_offset=self._shop.utc_offset,
        )
        _require(is_known, "Sorry, you cannot list resources.")
        return _page(request, self._shop.refunds, query, shop=self._shop, without=("parent_id",))

    def _currency(self, request: Request, is_known: bool) -> Response:
        _require(is_known, "Sorry, you cannot list resources.")
        return _json(wire.CURRENCIES[self._shop.currency])


def _no_route(request: Request, is_known: bool) -> Response:
    raise WordPressError(
        status=404, code="rest_no_route", message="No route was found matching the URL and request method."
    )


def _require(is_known: bool, message: str) -> None:
    if not is_known:
        raise WordPressError(status=401, code="woocommerce_rest_cannot_view", message=message)


def _credentials(request: Request) -> tuple[str, str] | None:
    query = request.query_params
    if query.get("consumer_key") and query.get("consumer_secret"):
        return query["consumer_key"], query["consumer_secret"]
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, secret) if name and secret else None


def _page(
    request: Request, collection: Collection, query: ListQuery, *, shop: Shop, without: tuple[str, ...] = ()
) -> Response:
    asked = (dataclasses.replace(query, page=1), shop.now)
    positions = collection.selected(asked, lambda: select(collection, query, now=shop.now))
    first = query.offset or (query.page - 1) * query.per_page
    chosen = positions[first : first + query.per_page]
    is_counted = len(chosen) > 0 or not query.offset or collection is shop.customers
    total = len(positions) if is_counted else 0
    pages = -(-total // query.per_page)

    def encode(item: Any) -> bytes:
        return _encode(_localised(item, shop=shop))

    items: list[Any] = [msgspec.Raw(collection.encoded(position, encode)) for position in chosen.tolist()]
    if without:
        records = [msgspec.json.decode(item) for item in items]
        items = [{name: value for name, value in record.items() if name not in without} for record in records]
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(pages)}
    links = _links(request, page=query.page, pages=pages)
    if links:
        headers["Link"] = ", ".join(links)
    return _json(items, headers=headers)


def _localised(item: Any, *, shop: Shop) -> Any:
    """The record with its local times in the shop's zone."""
    if not shop.utc_offset:
        return item
    record = msgspec.to_builtins(item)
    for name in [name for name in record if f"{name}_gmt" in record]:
        in_utc = record[f"{name}_gmt"]
        record[name] = None if in_utc is None else gmt(parse_instant(in_utc) + shop.utc_offset)
    return record


def select(collection: Collection, query: ListQuery, *, now: int) -> Any:
    """Positions of the versions that answer `query` at the instant `now`, in its order."""
    keep = collection.visible(now)
    for bound, column, is_lower in (
        (query.after, collection.created, True),
        (query.before, collection.created, False),
        (query.modified_after, collection.modified, True),
        (query.modified_before, collection.modified, False),
    ):
        if bound is not None:
            keep = keep & (column > bound if is_lower else column < bound)
    if query.statuses and "any" not in query.statuses:
        keep = keep & np.isin(collection.statuses.astype(str), query.statuses)
    if query.include:
        keep = keep & np.isin(collection.keys, query.include)
    if query.exclude:
        keep = keep & ~np.isin(collection.keys, query.exclude)
    if query.parents:
        keep = keep & np.isin(collection.parents, query.parents)
    positions = np.flatnonzero(keep)
    order = np.lexsort(tuple(column[positions] for column in _sort_columns(collection, query)))
    return positions[order if query.order == "asc" else order[::-1]]


def _sort_columns(collection: Collection, query: ListQuery) -> tuple[Any, ...]:
    """Columns to sort by, the least significant first, as numpy's lexsort wants them."""
    if query.orderby == "modified":
        return collection.keys, collection.modified
    if query.orderby in ("date", "registered_date"):
        return collection.keys, collection.created
    if query.orderby == "name":
        return collection.keys, collection.sort_names
    return (collection.keys,)


def _links(request: Request, *, page: int, pages: int) -> list[str]:
    def link(number: int, relation: str) -> str:
        query: Mapping[str, str] = {**request.query_params, "page": str(number)}
        return f'<{request.url.replace(query=urlencode(query))}>; rel="{relation}"'

    links = []
    if page > 1:
        links.append(link(min(page - 1, pages), "prev"))
    if pages > page:
        links.append(link(page + 1, "next"))
    return links


def _json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        _encode(content), status_code=status, headers=dict(headers or {}), media_type="application/json; charset=UTF-8"
    )
