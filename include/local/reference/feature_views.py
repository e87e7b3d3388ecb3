"""The page of the feature views."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.on_demand import ON_DEMAND_FEATURES
from include.features.definitions.view import FeatureView
from include.features.registry import REGISTRY
from include.local.reference.markdown import code, codes, page, table


def feature_views_page() -> str:
    """The views, the features of a request, and the services that name what a model wants."""
    services = table(
        ("service", "for", "owner", "features"),
        ((code(each.name), each.description, each.owner, codes(each.features)) for each in REGISTRY.services.values()),
    )
    on_demand = table(
        ("feature", "type", "unit", "is", "made of"),
        (
            (code(each.name), each.type, each.unit, each.description, codes(each.inputs))
            for each in ON_DEMAND_FEATURES.values()
        ),
    )
    return page(
        "Feature views",
        "What is known of customers and products at an instant. [How to read them](../feature-store.md).",
        *map(_told, REGISTRY.views.values()),
        f"## Features of a request\n\nComputed when they are read.\n\n{on_demand}",
        f"## Services\n\n{services}",
    )


def _told(view: FeatureView) -> str:
    facts = table(
        ("", ""),
        (
            ("of each", f"{view.entity}: {view.entity.description}"),
            ("owner", view.owner),
            ("reads", codes(view.reads)),
            ("taken", f"{view.cadence}, at midnight UTC"),
            ("known after", _span(view.lag, none="at once")),
            ("can be read for", _span(view.ttl, none="ever")),
            ("a fact is felt for", _span(view.memory, none="ever")),
            ("compares keys with each other", "yes" if view.is_ranked else "no"),
        ),
    )
    features = table(
        ("feature", "type", "unit", "is"),
        ((code(each.name), each.type, each.unit, each.description) for each in view.features),
    )
    expected = table(
        ("expected of", "bounds"),
        (
            (
                code(each.feature) or "all rows",
                ", ".join(
                    f"{name.replace('_', ' ')} {value}"
                    for name in ("at_least", "at_most", "null_share_at_most", "rows_at_least", "rows_change_at_most")
                    if (value := getattr(each, name)) is not None
                ),
            )
            for each in view.expectations
        ),
    )
    return "\n".join([f"## {view.name}", "", view.description, "", facts, features, expected])


def _span(span: timedelta | None, *, none: str) -> str:
    return none if not span else str(span).removesuffix(", 0:00:00")
