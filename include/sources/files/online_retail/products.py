"""The catalogue of a shop, found in the lines of its export. Duplicate lines change nothing in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from include.sources.files.online_retail.fees import sku_of
from include.sources.files.online_retail.lines import Lines, stable_hash


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One product.

    :param price: the latest positive one; None if it never had one.
    :param first_sold: its first line, seconds since 1970 in UTC.
    """

    sku: str
    name: str
    price: Decimal | None
    first_sold: int


@lru_cache(maxsize=1 << 16)
def product_id(sku: str) -> int:
    """51 bits that belong to the SKU alone, so that two files agree on it."""
    return stable_hash(f"product={sku}") >> 13


def catalogue(lines: Lines) -> Iterator[CatalogueEntry]:
    """Every product that the lines name, in the alphabet of their SKUs."""
    skus, of_line = _skus(lines)
    chosen = np.flatnonzero(lines.is_first & (lines.kinds == "product"))
    names = product_names(lines)
    prices = _latest_prices(lines, chosen, of_line)
    first = np.full(len(skus), np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, of_line[chosen], lines.instants[chosen])
    for sku in map(int, np.unique(of_line[chosen])):
        yield CatalogueEntry(
            sku=skus[sku], name=names.get(skus[sku]) or skus[sku], price=prices.get(sku), first_sold=int(first[sku])
        )


def product_names(lines: Lines) -> dict[str, str]:
    """The most frequent description of each SKU that has one; of equally frequent ones the first in the alphabet."""
    skus, of_line = _skus(lines)
    has_text = np.array([bool(text.strip()) for text in lines.descriptions.values], dtype=bool)
    chosen = lines.is_first & has_text[lines.descriptions.codes]
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


def _latest_prices(lines: Lines, chosen: NDArray[np.int64], of_line: NDArray[np.int64]) -> dict[int, Decimal]:
    """The latest positive price of each SKU; of lines at the same instant the last in the file decides."""
    is_positive = np.array([price > 0 for price in lines.prices.values], dtype=bool)[lines.prices.codes]
    priced = chosen[is_positive[chosen]]
    order = priced[np.lexsort((priced, lines.instants[priced], of_line[priced]))]
    sku = of_line[order]
    is_last = np.append(sku[1:] != sku[:-1], True) if len(sku) else np.array([], dtype=bool)
    return {int(of_line[line]): lines.prices[int(line)] for line in order[is_last]}
