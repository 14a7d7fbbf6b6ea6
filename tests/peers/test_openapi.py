"""The document of the admin API is one by the rules of OpenAPI, and what is answered is as it says."""

import json
import urllib.request
from typing import Any

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from conftest import Start
from support.edge import Edge

EDGE = """
listeners: { web: { bind: "127.0.0.1:0" } }
admin: { bind: "127.0.0.1:0" }
pools: { app: { endpoints: ["127.0.0.1:9"] }, next: { endpoints: ["127.0.0.1:9"] } }
routes:
  - name: api
    filters: [{ rate_limit: { rate: 1/s } }]
    split: { to: [{ pool: app, weight: 3 }, { pool: next, weight: 1 }] }
"""

NAMES = {"pool": "app", "endpoint": "127.0.0.1:9", "route": "api"}


def test_the_document_is_sound_and_true(start: Start) -> None:
    edge = start(EDGE)
    document = _read(edge, "/v1/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        told = operations.get("get", {}).get("responses", {}).get("200", {})
        if schema := told.get("content", {}).get("application/json", {}).get("schema"):
            if path.endswith("/events"):
                continue
            _validator(document, schema).validate(_read(edge, path.format_map(NAMES)))


def _read(edge: Edge, path: str) -> Any:
    with urllib.request.urlopen(f"http://{edge.admin()}{path}") as answer:
        return json.load(answer)


def _validator(document: Any, schema: Any) -> Draft202012Validator:
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    registry = Registry().with_resource("urn:api", resource)
    return Draft202012Validator(_absolute(schema), registry=registry)


def _absolute(schema: Any) -> Any:
    """The same schema with references into the document, which has a name here."""
    if "$ref" in schema:
        return {"$ref": "urn:api" + schema["$ref"]}
    if "items" in schema:
        return {**schema, "items": _absolute(schema["items"])}
    return schema
