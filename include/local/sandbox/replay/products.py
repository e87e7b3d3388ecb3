"""The catalogue of a replayed shop, found in its lines. Duplicate lines change nothing in it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt
from include.local.sandbox.replay.fees import sku_of
from include.local.sandbox.replay.lines import Lines, stable_hash
from include.local.sandbox.shop import Collection


@lru_cache(maxsize=1 << 16)
def product_id(sku: str) -> int:
    """51 bits that belong to the SKU alone, so that two files agree on it."""
    return stable_hash(f"product={sku}") >> 13


def products_collection(lines: Lines) -> Collection:
    """Every product of the file, created and last modified at its first sale."""
    skus, of_line = _skus(lines)
    chosen = np.flatnonzero(lines.is_first & (lines.kinds == "product"))
    names = product_names(lines)
    prices = _latest_prices(lines, chosen, of_line)
    first = np.full(len(skus), np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, of_line[chosen], lines.instants[chosen])
    sold = [int(sku) for sku in np.unique(of_line[chosen])]
    instants = [int(first[sku]) for sku in sold]
    items = [
        _product(skus[sku], name=names.get(skus[sku]) or skus[sku], price=prices.get(sku, ""), created=instant)
        for sku, instant in zip(sold, instants, strict=True)
    ]
    return Collection(
        keys=[product_id(skus[sku]) for sku in sold],
        created=instants,
        modified=instants,
        items=items,
        statuses=["publish"] * len(sold),
    )


def product_names(lines: Lines) -> dict[str, str]:
    """The most frequent description of each SKU that has one; of equally frequent ones the first in the alphabet."""
    skus, of_line = _skus(lines)
    has_text = np.array([bool(text.strip()) for text in lines.descriptions.values])[lines.descriptions.codes]
    chosen = lines.is_first & has_text
    texts = lines.descriptions.values
    rank = np.empty(len(texts), dtype=np.int64)
    rank[np.argsort(np.array(texts, dtype=object), kind="stable")] = np.arange(len(texts))
    pairs, counts = np.unique(of_line[chosen] * len(texts) + lines.descriptions.codes[chosen], return_counts=True)
    sku, text = pairs // len(texts), pairs % len(texts)
    order = np.lexsort((rank[text], -counts, sku))
    _, best = np.unique(sku[order], return_index=True)
    return {skus[int(sku[order][place])]: texts[int(text[order][place])].strip() for place in best}


def _skus(lines: Lines) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct SKUs in alphabetical order, and each line's place among them."""
    of_code = [sku_of(code) for code in lines.stock_codes.values]
    skus = sorted(set(of_code))
    place = {sku: number for number, sku in enumerate(skus)}
    return skus, np.array([place[sku] for sku in of_code], dtype=np.int64)[lines.stock_codes.codes]


def _latest_prices(lines: Lines, chosen: NDArray[np.int64], of_line: NDArray[np.int64]) -> dict[int, str]:
    """The latest positive price of each SKU; of lines at the same instant the last in the file decides."""
    is_positive = np.array([price > 0 for price in lines.prices.values])[lines.prices.codes]
    priced = chosen[is_positive[chosen]]
    order = priced[np.lexsort((priced, lines.instants[priced], of_line[priced]))]
    sku = of_line[order]
    is_last = np.append(sku[1:] != sku[:-1], True) if len(sku) else np.array([], dtype=bool)
    return {int(of_line[line]): wire.money(lines.prices[int(line)]) for line in order[is_last]}


def _product(sku: str, *, name: str, price: str, created: int) -> wire.Product:
    return wire.Product(
        id=product_id(sku),
        name=name,
        slug=wire.slug(f"{name} {sku}"),
        date_created=gmt(created),
        date_created_gmt=gmt(created),
        date_modified=gmt(created),
        date_modified_gmt=gmt(created),
        sku=sku,
        price=price,
        regular_price=price,
    )
