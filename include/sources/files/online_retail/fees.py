"""Which stock codes of Online Retail and Online Retail II are no products.

Codes are compared without surrounding blanks and in upper case. What is not listed is a product: that keeps
gift vouchers (`GIFT_0001_20`), party bags (`DCGSSBOY`), boxed goods (`DCGS0003`, `SP1002`, `C3`) and
`PADS` (cushion pads) among the products, since customers put them into their baskets.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["product", "shipping", "fee"]

_SHIPPING = {
    "POST": "postage",
    "DOT": "postage of the second shop front, Dotcom",
    "C2": "carriage",
}
_FEES = {
    "M": "manual entry",
    "D": "discount",
    "S": "samples",
    "B": "bad debt",
    "BANK CHARGES": "bank charges",
    "AMAZONFEE": "Amazon's fee",
    "CRUK": "commission to Cancer Research UK",
    "GIFT": "voucher settled by hand, without a stock number",
    "ADJUST": "adjustment by hand",
    "ADJUST2": "adjustment by hand",
}
_FEE_PREFIXES = ("ADJUST", "TEST")


def sku_of(stock_code: str) -> str:
    """The stock code as the shop's SKU: without surrounding blanks, in upper case."""
    return stock_code.strip().upper()


def kind_of(sku: str) -> Kind:
    """What a line with this SKU is: a product, shipping, or another fee or rebate."""
    if sku in _SHIPPING:
        return "shipping"
    if sku in _FEES or sku.startswith(_FEE_PREFIXES):
        return "fee"
    return "product"
