"""Answers as JSON, written once: routes make them complete, and tests hold them against the OpenAPI document."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import Response


def json_of(answer: BaseModel) -> Response:
    """The answer, with every number to its last bit."""
    return Response(answer.model_dump_json(), media_type="application/json")
