"""What customers buy, how much of it at once, at what discount, and what they give back."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureView

_MONEY = "currency of the shop"
_SHARE = "share, 0 to 1"
_YEAR = "in the 365 days before the snapshot"


CUSTOMER_BASKET = FeatureView(
    name="customer_basket",
    entity=CUSTOMER,
    features=(
        Feature(
            "distinct_category_count_365d",
            "integer",
            "categories",
            f"different categories, as they were at the snapshot, of the products bought {_YEAR}",
        ),
        Feature(
            "favourite_category_365d",
            "text",
            "name",
            f"category on whose products most was spent {_YEAR}, by the categories as they were at the snapshot; of "
            "equal ones the first by name",
        ),
        Feature(
            "favourite_category_share_365d",
            "number",
            _SHARE,
            f"share of the favourite category in all that was spent on products {_YEAR}",
        ),
        Feature("distinct_product_count_ever", "integer", "products", "different products bought ever"),
        # O. Hirschman (1964), The Paternity of an Index, American Economic Review 54(5). One less it is E. Simpson's
        # diversity (1949), Measurement of Diversity, Nature 163.
        Feature(
            "product_concentration_ever",
            "number",
            _SHARE,
            "Herfindahl-Hirschman index of the units bought ever by product: the sum of the squares of the products' "
            "shares, 1 for a single product, 1/n for n in equal parts",
        ),
        Feature("units_per_order_365d", "number", "units", f"units of products per order {_YEAR}"),
        Feature("lines_per_order_365d", "number", "lines", f"lines of products per order {_YEAR}"),
        Feature("average_unit_price_365d", "number", _MONEY, f"paid per unit of a product, after discounts, {_YEAR}"),
        Feature(
            "discounted_order_share_365d", "number", _SHARE, f"share of orders with a discount in the orders {_YEAR}"
        ),
        Feature(
            "discount_share_365d",
            "number",
            _SHARE,
            f"share of the discounts in what the products would have cost without them {_YEAR}",
        ),
        Feature(
            "refunded_value_share_365d",
            "number",
            "ratio, above 1 where older purchases are refunded",
            f"refunded over paid, both {_YEAR}",
        ),
        Feature(
            "refunded_order_share_ever",
            "number",
            _SHARE,
            "share of orders of which something was refunded in the orders ever",
        ),
        Feature(
            "product_repeat_share_365d",
            "number",
            _SHARE,
            "share of those of a product that an earlier order had, at whatever time, in the purchases of products, "
            f"one per order and product, {_YEAR}",
        ),
        Feature(
            "product_repeat_share_ever",
            "number",
            _SHARE,
            "share of those of a product that an earlier order had in the purchases of products, one per order and "
            "product, ever",
        ),
    ),
    reads=("shop.orders", "shop.order_lines", "shop.refunds", "shop.product_versions"),
    is_newest_first=True,
    description="What customers buy, how much of it at once, at what discount, and what they give back.",
    owner="growth",
    tags=("basket",),
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="distinct_category_count_365d", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="distinct_product_count_ever", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="product_concentration_ever", at_least=0, at_most=1),
        FeatureExpectation(feature="discounted_order_share_365d", at_least=0, at_most=1),
        FeatureExpectation(feature="refunded_order_share_ever", at_least=0, at_most=1, null_share_at_most=0),
        FeatureExpectation(feature="product_repeat_share_ever", at_least=0, at_most=1),
    ),
)
