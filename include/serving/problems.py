"""Errors as callers get them: RFC 9457, application/problem+json, for everything that is not answered.

A problem never repeats what was asked, so that it can be logged and shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:problem-type:regulars:"
RETRY_SECONDS = 5
"""When to ask again what cannot be answered now."""


class InvalidPart(BaseModel):
    """One thing in a request that cannot be used."""

    where: str = Field(description="Where it stands: path, query or body, then the way to it.")
    detail: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": f"{_TYPE}unknown-customer",
                "title": "Unknown customer",
                "status": 404,
                "detail": "Nothing is known of this customer.",
            }
        }
    )

    type: str = Field(description="Which kind it is, for programs; about:blank says no more than status.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What to do about it, for people.")
    errors: list[InvalidPart] | None = Field(default=None, description="With 422: what cannot be used.")


class ProblemError(Exception):
    """Ends a request with a problem.

    :param kind: the last part of its type, such as `unknown-customer`; the title is made of it.
    :param retry_seconds: when it is worth to ask again.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, retry_seconds: int | None = None, challenge: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers = {} if retry_seconds is None else {"Retry-After": str(retry_seconds)}
        if challenge is not None:
            self.headers["WWW-Authenticate"] = challenge

    def as_response(self) -> Response:
        """The answer."""
        title = self.kind.replace("-", " ").capitalize()
        problem = Problem(type=_TYPE + self.kind, title=title, status=self.status, detail=self.detail)
        return _response(problem, self.headers)


def warehouse_unavailable() -> ProblemError:
    """Postgres does not answer: nothing is made up instead."""
    return ProblemError(
        503, "warehouse-unavailable", "The warehouse does not answer. Ask again later.", retry_seconds=RETRY_SECONDS
    )


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A problem that says no more than its status: what the framework refuses."""
    known = HTTPStatus(status)
    detail = known.description or known.phrase
    return _response(Problem(type="about:blank", title=known.phrase, status=status, detail=detail), headers)


async def answer_problem(request: Request, error: Exception) -> Response:
    """For what a route raises on purpose."""
    assert isinstance(error, ProblemError)
    return error.as_response()


async def answer_refusal(request: Request, error: Exception) -> Response:
    """For what the framework refuses: no such path, no such method, a body that cannot be read."""
    assert isinstance(error, HTTPException)
    return of_status(error.status_code, error.headers)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """For what does not fit the description of the API; the values themselves are not repeated."""
    assert isinstance(error, RequestValidationError)
    parts = [InvalidPart(where=".".join(map(str, each["loc"])), detail=each["msg"]) for each in error.errors()]
    problem = Problem(
        type=_TYPE + "invalid-request", title="Invalid request", status=422,
        detail="The request does not fit the description of the API at /openapi.json.", errors=parts,
    )  # fmt: skip
    return _response(problem)


async def answer_unavailable(request: Request, error: Exception) -> Response:
    """For a database that is gone, overloaded or too slow."""
    return warehouse_unavailable().as_response()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These and the statuses that every path with a key can answer, for the OpenAPI document."""
    return of_upkeep(401, 403, 422, 429, 503, 504, *statuses)


def of_upkeep(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These and what every path can answer."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({414, 431, 500, *statuses})
    }


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        problem.model_dump_json(exclude_none=True), status_code=problem.status, headers=headers, media_type=MEDIA_TYPE
    )
