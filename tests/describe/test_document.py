"""The document: complete, well-formed, and about the routes that there are."""

import re

import msgspec
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import WebSocketRoute

from gatemill import describe
from gatemill.describe import refusals
from gatemill.describe.document import complete
from gatemill.describe.schemas import SCHEMAS
from gatemill.edge import access, hot
from gatemill.edge import app as application
from gatemill.edge.shown import Shown
from openapi_examples import document, examples, operations
from openapi_schemas import validate

DOCUMENT = document()
OPERATIONS = operations()
_METHODS = {"get", "post", "put", "delete", "patch", "head", "options", "trace"}


def _app(*, with_docs=True):
    shown = Shown(healthy=lambda: True, open_metrics=True)
    return application.build(shown, with_docs=with_docs)


def _references(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_shown_route_is_described_and_nothing_else():
    served = set()
    app = _app()
    for path, _, about in app.told:
        served |= {(path.replace(":rest}", "}"), method.lower()) for method in about["methods"]}
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            served.add((route.path, "get"))
    said = {(path, method) for path, method, _ in OPERATIONS.values()}
    assert said == served
    assert all(method in _METHODS for _, method in said)


def test_a_route_without_a_description_is_noticed():
    app = _app()
    app.add_api_route("/v1/new", lambda: None, methods=["GET"], **describe.route("docs"))
    with pytest.raises(KeyError, match="docs"):
        complete(app.told, access.scopes_of)


def test_without_documentation_there_is_neither_page_nor_document():
    paths = {route.path for route in _app(with_docs=False).routes}
    assert not paths & {"/docs", "/openapi.json"}
    assert {"/docs", "/openapi.json"} <= {route.path for route in _app().routes}


def test_the_head_of_the_document_is_what_openapi_31_asks_for():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["title"] == "Gatemill"
    assert DOCUMENT["info"]["description"] == describe.INTRODUCTION
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_all_its_parts(name):
    path, _, operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    for parameter in operation.get("parameters", []):
        assert {"name", "in", "schema", "description"} <= parameter.keys()
    named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", path))
    for status, response in operation["responses"].items():
        assert re.fullmatch(r"[1-5]\d\d", status)
        assert "$ref" in response or response["description"]


def test_operation_ids_are_unique():
    said = [o["operationId"] for item in DOCUMENT["paths"].values() for o in item.values()]
    assert len(said) == len(set(said)) == len(OPERATIONS)


def test_every_reference_leads_somewhere_and_every_component_is_used():
    used = set(_references(DOCUMENT))
    for reference in used:
        found = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    there = {
        f"#/components/{kind}/{name}"
        for kind, named in DOCUMENT["components"].items()
        if kind in {"schemas", "headers"}
        for name in named
    }
    assert there == {reference for reference in used if "/responses/" not in reference}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_says_what_each_field_means(name):
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["description"]
    for field, schema in SCHEMAS[name].get("properties", {}).items():
        assert schema.get("description") or "$ref" in schema, field


def test_only_health_needs_no_key():
    open_to_all = {name for name, (_, _, o) in OPERATIONS.items() if o["security"] == []}
    assert open_to_all == {"livez", "readyz"}
    for name in open_to_all:
        assert "no key" in OPERATIONS[name][2]["description"]
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"bearer", "x-api-key"}
    assert OPERATIONS["metrics"][2]["security"][0] == {}


def test_every_operation_has_examples_of_both_directions():
    for name, group in examples().items():
        _, _, operation = OPERATIONS[name]
        assert group
        if "requestBody" in operation:
            ((_, content),) = operation["requestBody"]["content"].items()
            shown = content["examples"]
            assert shown.keys() == group.keys()
            assert any(not example["value"].get("stream") for example in shown.values())
    assert examples().keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", ["chat", "completions", "responses", "messages"])
def test_a_route_with_streams_shows_one(name):
    content = OPERATIONS[name][2]["responses"]["200"]["content"]
    assert content["application/json"]["examples"]
    assert content["text/event-stream"]["examples"]


# --- Errors -------------------------------------------------------------------------------------


def test_every_error_has_one_remedy_and_one_place():
    codes = [kind.code for kind in refusals.public()]
    assert sorted(refusals.REMEDIES) == sorted(set(codes))
    said = " ".join(r["description"] for r in DOCUMENT["components"]["responses"].values())
    for error in DOCUMENT["x-errors"]:
        assert f"`{error['code']}`" in said
        assert error["meaning"]
    listed = {error["code"] for error in DOCUMENT["x-errors"]}
    assert listed == set(codes) - refusals.UNSENT


@pytest.mark.parametrize("name", DOCUMENT["components"]["responses"])
def test_an_error_example_has_the_format_of_its_schema(name):
    ((media_type, content),) = DOCUMENT["components"]["responses"][name]["content"].items()
    validate(content["schema"], content["example"])
    assert (media_type == "application/problem+json") == name.startswith("Problem")


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/v1/chat/completions", "OpenAI"),
        ("/v1/messages", "Anthropic"),
        ("/v1/messages/count_tokens", "Anthropic"),
        ("/api/v1/inference", "Problem"),
    ],
)
def test_errors_are_in_the_format_of_their_path(path, prefix):
    responses = DOCUMENT["paths"][path]["post"]["responses"]
    later = set() if path.endswith("count_tokens") else {"202"}
    wanted = later | {"400", "401", "403", "404", "408", "409", "413", "415", "421", "422", "424"}
    assert responses.keys() == wanted | {"200", "429", "431", "500", "501", "502", "503", "504"}
    for status in responses.keys() - {"200", "202"}:
        assert responses[status]["$ref"] == f"#/components/responses/{prefix}{status}"


def test_every_path_of_the_hot_table_that_is_shown_is_documented():
    for raw, name in hot.PATHS.items():
        path = raw.decode()
        if path.startswith(("/v1/", "/api/")):
            assert DOCUMENT["paths"][path]["post"]["operationId"] == name
