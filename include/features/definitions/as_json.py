"""A feature view's definition as JSON, to be kept with what was built by it, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from include.features.definitions.entity import Entity, JoinKey
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureView

_SPANS = ("memory", "lag", "ttl")


def view_as_json(view: FeatureView) -> dict[str, Any]:
    """Everything that the definition says; spans are in seconds."""
    told = dataclasses.asdict(view)
    for name in _SPANS:
        span: timedelta | None = told[name]
        told[name] = None if span is None else span.total_seconds()
    return told


def view_from_json(told: Mapping[str, Any]) -> FeatureView:
    """The view that `view_as_json` told of."""
    values = dict(told)
    for name in _SPANS:
        values[name] = None if values[name] is None else timedelta(seconds=values[name])
    entity = dict(values["entity"])
    entity["join_keys"] = tuple(JoinKey(**key) for key in entity["join_keys"])
    entity["noted"] = tuple(entity["noted"])
    values["entity"] = Entity(**entity)
    values["features"] = tuple(Feature(**feature) for feature in values["features"])
    values["expectations"] = tuple(FeatureExpectation(**each) for each in values["expectations"])
    values["reads"], values["tags"] = tuple(values["reads"]), tuple(values["tags"])
    return FeatureView(**values)
