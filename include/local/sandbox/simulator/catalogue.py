"""What the simulated shop sells, and what each customer likes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox import wire
from include.local.sandbox.instants import DAY, gmt
from include.local.sandbox.shop import Collection

_CATEGORIES = {
    "Coffee": ("Espresso", "Filter Roast", "Decaf", "House Blend", "Single Origin"),
    "Tea": ("Green Tea", "Earl Grey", "Rooibos", "Herbal Infusion", "Chai"),
    "Kitchen": ("Paring Knife", "Chopping Board", "Whisk", "Saucepan", "Apron"),
    "Tableware": ("Mug", "Bowl", "Plate", "Carafe", "Espresso Cup"),
    "Garden": ("Planter", "Watering Can", "Trowel", "Seed Box", "Lantern"),
    "Stationery": ("Notebook", "Fountain Pen", "Desk Calendar", "Card Set", "Pencil Case"),
    "Textiles": ("Tea Towel", "Cushion", "Throw", "Tablecloth", "Tote Bag"),
    "Gifts": ("Gift Box", "Candle", "Puzzle", "Photo Frame", "Music Box"),
}
_STYLES = ("Classic", "Alba", "Juno", "Fjord", "Terra")
_COLOURS = ("white", "blue", "green", "sand", "black")
_TYPICAL_CENTS = (1290, 890, 2490, 1590, 1990, 990, 2790, 1790)
FIRST_PRODUCT_ID = 11


@dataclass(frozen=True)
class CatalogueProduct:
    """One product with its price in cents, and the one change of it that there may be."""

    product_id: int
    sku: str
    name: str
    category: int
    price_cents: int
    changed_at: int | None
    changed_price_cents: int

    def price_at(self, instant: int) -> int:
        """The price in cents at the instant."""
        has_changed = self.changed_at is not None and instant >= self.changed_at
        return self.changed_price_cents if has_changed else self.price_cents


class Catalogue:
    """All products, and draws from them by popularity within a customer's liking for categories."""

    def __init__(self, *, start: int, end: int, random: np.random.Generator) -> None:
        self.products = _products(random, start=start, end=end)
        self._start = start
        self._by_category: list[NDArray[np.int64]] = []
        self._popularity: list[NDArray[np.float64]] = []
        for category in range(len(_CATEGORIES)):
            members = np.array([p for p, product in enumerate(self.products) if product.category == category])
            weight = 1 / (1 + random.permutation(len(members)))
            self._by_category.append(members)
            self._popularity.append(np.cumsum(weight) / weight.sum())

    def draw_liking(self, random: np.random.Generator) -> NDArray[np.float64]:
        """A customer's liking for the categories, as cumulated shares."""
        return np.cumsum(random.dirichlet(np.full(len(_CATEGORIES), 0.6)))

    def draw_product(self, liking: NDArray[np.float64], random: np.random.Generator) -> CatalogueProduct:
        """A product: a category by liking, then one of its products by popularity."""
        category = min(int(np.searchsorted(liking, random.random())), len(_CATEGORIES) - 1)
        popularity = self._popularity[category]
        chosen = min(int(np.searchsorted(popularity, random.random())), len(popularity) - 1)
        return self.products[self._by_category[category][chosen]]

    def collection(self) -> Collection:
        """The catalogue as WooCommerce lists it; some prices change once during the range."""
        keys, created, modified, items = [], [], [], []
        for product in self.products:
            changes = [(self._start, product.price_cents)]
            if product.changed_at is not None:
                changes.append((product.changed_at, product.changed_price_cents))
            for instant, price_cents in changes:
                keys.append(product.product_id)
                created.append(self._start)
                modified.append(instant)
                items.append(_on_the_wire(product, created=self._start, modified=instant, price_cents=price_cents))
        return Collection(keys=keys, created=created, modified=modified, items=items, statuses=["publish"] * len(keys))


def _products(random: np.random.Generator, *, start: int, end: int) -> list[CatalogueProduct]:
    products: list[CatalogueProduct] = []
    for category, (category_name, things) in enumerate(_CATEGORIES.items()):
        for thing in things:
            for style in _STYLES:
                scaled = _TYPICAL_CENTS[category] * random.lognormal(0, 0.45)
                price_cents = max(190, int(scaled / 50) * 50 + 40)
                is_changing = random.random() < 0.2
                products.append(
                    CatalogueProduct(
                        product_id=FIRST_PRODUCT_ID + len(products),
                        sku=f"{category_name[:3].upper()}-{len(products):03d}",
                        name=f"{style} {thing}",
                        category=category,
                        price_cents=price_cents,
                        changed_at=int(random.integers(start + 30 * DAY, end)) if is_changing else None,
                        changed_price_cents=price_cents + int(random.integers(-3, 6)) * 10,
                    )
                )
    return products


def _on_the_wire(product: CatalogueProduct, *, created: int, modified: int, price_cents: int) -> wire.Product:
    category = list(_CATEGORIES)[product.category]
    price = wire.cents(price_cents)
    return wire.Product(
        id=product.product_id,
        name=product.name,
        slug=wire.slug(product.name),
        date_created=gmt(created),
        date_created_gmt=gmt(created),
        date_modified=gmt(modified),
        date_modified_gmt=gmt(modified),
        sku=product.sku,
        price=price,
        regular_price=price,
        categories=(wire.Category(id=16 + product.category, name=category, slug=wire.slug(category)),),
        attributes=(wire.Attribute(id=1, name="Colour", options=(_COLOURS[product.product_id % len(_COLOURS)],)),),
    )
