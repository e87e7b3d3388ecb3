"""The API's own description: whole, with examples that fit it, and with the form of every error."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from include.serving.app import build_app
from include.serving.keys import SCOPES
from include.serving.settings import ServingSettings
from include.serving.warehouse import serving_pool

PATHS = {
    "/v1/customers/{customer_id}/churn": "get",
    "/v1/churn:batch": "post",
    "/v1/customers/{customer_id}/value": "get",
    "/v1/customers/{customer_id}/recommendations": "get",
    "/v1/customers/{customer_id}/features": "get",
    "/v1/products/{product_id}/bought-together": "get",
    "/healthz": "get",
    "/readyz": "get",
    "/metrics": "get",
}


def no_registry() -> Any:
    raise AssertionError("the description needs no model")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_app(ServingSettings(), registry=no_registry, pool=serving_pool("")).openapi()


def test_the_paths_are_exactly_these(document):
    assert {path: method for path, methods in document["paths"].items() for method in methods} == PATHS


def test_every_path_but_those_of_upkeep_needs_a_key_and_says_so(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            needs_key = path.startswith("/v1/")
            assert ("security" in operation) == needs_key, path
            assert ({"401", "403", "429", "503", "504"} <= set(operation["responses"])) == needs_key, path
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_every_error_is_a_problem(document):
    for methods in document["paths"].values():
        for operation in methods.values():
            errors = [answer for status, answer in operation["responses"].items() if status >= "400"]
            assert errors
            for answer in errors:
                (media_type,) = answer["content"]
                assert media_type == "application/problem+json"
                assert answer["content"][media_type]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_answer_and_body_has_an_example_that_fits(document):
    schemas = document["components"]["schemas"]
    with_example = {name: schema["example"] for name, schema in schemas.items() if "example" in schema}
    assert {name for name in schemas if name.endswith(("Answer", "Question"))} | {"Problem"} == set(with_example)
    for name, example in with_example.items():
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document}).validate(example)


def test_every_field_of_an_answer_is_described_or_named_by_a_described_one(document):
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


def test_every_scope_is_needed_somewhere():
    from pathlib import Path

    routes = Path(__file__).resolve().parents[2] / "include" / "serving" / "routes"
    text = "".join(path.read_text() for path in routes.glob("*.py"))
    assert all(f'keys.needing("{scope}")' in text for scope in SCOPES)
