"""What a feature row is about: an entity and its keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ENTITY_SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql" / "features" / "entities"
KeyType = Literal["integer", "text"]
KEY_TYPES: dict[KeyType, str] = {"integer": "bigint", "text": "text"}
"""Key type to its type in Postgres. Text keys are compared byte by byte."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class BadDefinition(ValueError):
    """The definition of an entity, a feature view or a feature service contradicts itself."""


@dataclass(frozen=True, slots=True)
class JoinKey:
    """One column of an entity's key."""

    name: str
    type: KeyType = "integer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What feature rows are about, such as a customer.

    :param join_keys: the columns that tell one from another, in order; together they are the key.
    :param population: SQL that gives the keys of all there are, one row each; by default the file
        `include/sql/features/entities/<name>.sql`.
    :param touches: the table in which loads note the keys whose facts they changed: the join keys, `source`,
        `touched_from`, `written_by`. Without one, nothing is ever repaired.
    :param noted: the relations whose changes are noted there.
    :raises BadDefinition: a name twice or not in lower snake case, no key, or no population.
    """

    name: str
    join_keys: tuple[JoinKey, ...]
    description: str
    population: str = field(default="", repr=False)
    touches: str | None = None
    noted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [self.name, *self.key_names]
        problems = [f"the name {name!r} is not lower snake case" for name in names if not NAME.fullmatch(name)]
        problems += [f"the key {name!r} stands there twice" for name in set(names[1:]) if names[1:].count(name) > 1]
        if not self.join_keys:
            problems.append("it has no join key")
        file = ENTITY_SQL_FOLDER / f"{self.name}.sql"
        if not self.population and file.is_file():
            object.__setattr__(self, "population", file.read_text().rstrip().rstrip(";"))
        if not self.population:
            problems.append(f"nothing says which keys there are: write {file}")
        if not self.description:
            problems.append("it has no description")
        if problems:
            raise BadDefinition(f"The entity {self.name!r} cannot be used: {'; '.join(problems)}.")

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the join keys, in order."""
        return tuple(key.name for key in self.join_keys)

    def __str__(self) -> str:
        return self.name


CUSTOMER = Entity(
    name="customer",
    join_keys=(JoinKey("customer_id"),),
    description="A registered customer of the shop; guests are nobody.",
    touches="features.customer_touches",
    noted=(
        "shop.orders",
        "shop.order_lines",
        "shop.refunds",
        "shop.refund_lines",
        "shop.events",
        "shop.product_versions",
        "signals.weather_daily",
        "signals.stock_prices_daily",
    ),
)
PRODUCT = Entity(
    name="product",
    join_keys=(JoinKey("product_id"),),
    description="A product of the catalogue, or one that was sold.",
    touches="features.product_touches",
    noted=("shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines", "shop.product_versions"),
)
