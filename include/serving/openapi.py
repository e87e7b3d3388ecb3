"""The OpenAPI document: what FastAPI derives, with the form of problems and the key that paths need."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from include.serving.problems import Problem

DESCRIPTION = """
Predictions, recommendations and features of an online shop's customers.

Send a key with each request, `Authorization: Bearer regulars_…`; whoever runs this makes one by
`python -m include.serving keys create`. Instants are in UTC. Whatever cannot be answered is a problem after RFC 9457.
Every answer has an `X-Request-Id`, which stands in the log.
"""
_KEY = {"type": "http", "scheme": "bearer", "description": "A key: regulars_…"}
_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Give the application its document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schema = Problem.model_json_schema(ref_template=_REF)
    parts = made.setdefault("components", {})
    parts.setdefault("schemas", {}).update({**schema.pop("$defs", {}), "Problem": schema})
    parts["securitySchemes"] = {"key": _KEY}
    for path, operations in made["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"key": []}]
    return made
