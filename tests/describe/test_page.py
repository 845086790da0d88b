"""/docs: one page, nothing from elsewhere, nothing unescaped."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest

from gatemill.describe import fields, prose
from gatemill.describe.document import POLICY
from gatemill.describe.document import page as page_of
from openapi_examples import document, examples

DOCUMENT = document()
PAGE = page_of(DOCUMENT)
HOSTILE = "<img src=x onerror='a'>\"&amp;{}"
_VOID = {"meta", "input"}


class Reader(HTMLParser):
    """Elements, ids and links; fails where tags do not nest."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.tags = []
        self.ids = []
        self.links = []
        self.attributes = set()
        self.text = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


READ = Reader(PAGE)
TEXT = "".join(READ.text)


def test_nothing_is_loaded_and_nothing_runs():
    assert not {"script", "link", "img", "iframe", "object"} & set(READ.tags)
    assert not {"src", "style"} & READ.attributes
    assert not [name for name in READ.attributes if name.startswith("on")]
    assert all(link == "/openapi.json" or link.startswith("#") for link in READ.links)
    style = re.search(r"<style>(.*)</style>", PAGE, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_this_style_and_nothing_else():
    style = re.search(r"<style>(.*)</style>", PAGE, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY


def test_every_link_leads_to_one_place():
    assert len(READ.ids) == len(set(READ.ids))
    assert {link[1:] for link in READ.links if link.startswith("#")} <= set(READ.ids)


def test_every_route_has_its_place_with_path_examples_and_errors():
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"] in READ.ids
            assert path in TEXT
            assert method.upper() in TEXT
            for sample in operation.get("x-codeSamples", []):
                assert sample["source"] in TEXT
    for group in examples().values():
        for example in group.values():
            answer = example.get("answer", "")
            shown = answer if isinstance(answer, str) else fields.pretty(answer)
            assert shown.rstrip() in TEXT
    for error in DOCUMENT["x-errors"]:
        assert error["code"] in TEXT
        assert f"error-{error['status']}" in READ.ids


def test_every_schema_and_field_is_shown():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert f"object-{name}" in READ.ids
        for field in schema.get("properties", {}):
            assert field in TEXT


def _hostile():
    """A document in which everything that can be a text is hostile."""
    bad = HOSTILE
    schema = {
        "type": "object",
        "description": bad,
        "properties": {
            bad: {"type": bad, "description": bad},
            "word": {"enum": [bad], "description": bad},
            "one": {"const": bad, "description": bad},
            "link": {"$ref": f"#/components/schemas/{bad}", "description": bad},
        },
    }
    example = {"summary": bad, "value": bad}
    content = {"schema": {"type": bad}, "examples": {bad: example}}
    response = {"description": bad, "headers": {bad: {"$ref": "#/components/headers/h"}}}
    operation = {
        "operationId": bad,
        "summary": bad,
        "description": bad,
        "tags": [bad],
        "security": [{bad: []}],
        "parameters": [
            {"name": bad, "in": bad, "description": bad, "schema": {"type": bad}, "required": True}
        ],
        "requestBody": {
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{bad}"}}}
        },
        "responses": {
            "200": {**response, "content": {bad: content}},
            bad: {"$ref": "#/components/responses/x404"},
            "503": {"description": bad, "content": {bad: {"schema": {}, "example": {bad: bad}}}},
        },
        "x-codeSamples": [{"label": bad, "source": bad}],
        "x-messages": {
            "sent": {"$ref": f"#/components/schemas/{bad}"},
            "received": {"type": bad},
            "examples": {bad: {"summary": bad, "sent": [bad], "received": [bad]}},
        },
    }
    return {
        "info": {"title": bad, "version": bad, "description": f"{bad}\n\n- {bad}\n\n    {bad}"},
        "tags": [{"name": bad, "description": bad}],
        "paths": {bad: {bad: operation}},
        "components": {
            "schemas": {bad: schema, f"{bad}2": schema},
            "headers": {"h": {"description": bad, "required": False, "schema": {"const": bad}}},
            "responses": {f"{bad}404": {"content": {bad: {"example": bad}}}},
        },
        "x-errors": [{"code": bad, "status": 400, "meaning": bad, "remedy": bad}],
    }


def test_everything_is_escaped():
    page = page_of(_hostile())
    assert "<img" not in page
    read = Reader(page)
    assert not {"onerror", "src"} & read.attributes
    assert HOSTILE in "".join(read.text)


# --- Words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string"),
        ({"type": "string", "minLength": 1}, "string, not empty"),
        ({"type": "string", "maxLength": 64}, "string, up to 64 characters"),
        ({"type": "string", "minLength": 2, "maxLength": 4}, "string, 2 to 4 characters"),
        ({"type": "integer", "minimum": 1}, "whole number, from 1"),
        ({"type": ["number", "null"], "minimum": 0, "maximum": 2}, "number, 0 to 2"),
        ({"type": "boolean"}, "true or false"),
        ({"const": "x"}, "<code>x</code>"),
        ({"enum": ["a", "b", None]}, "<code>a</code> · <code>b</code>"),
        (
            {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/A"}},
            'array of <a href="#object-A">A</a>, not empty',
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, "string or object"),
        ({}, "anything"),
    ],
    ids=str,
)
def test_a_type_is_said_in_a_few_words(schema, text):
    assert fields.kind(schema) == text


def test_fields_of_inner_objects_have_dotted_names():
    inner = {"properties": {"b": {"type": "string"}}, "required": ["b"]}
    schema = {
        "properties": {"a": inner, "list": {"type": "array", "items": {"type": "object", **inner}}}
    }
    rows = {row.name: row.required for row in fields.rows(schema)}
    assert rows == {"a": False, "a.b": True, "list": False, "list[].b": True}


def test_prose_knows_paragraphs_lists_and_code():
    made = prose.blocks("One `x<y` word.\n\n- a\n- b & c\n\n    $ run <it>\n    now\n")
    assert made == (
        "<p>One <code>x&lt;y</code> word.</p><ul><li>a</li><li>b &amp; c</li></ul>"
        "<pre><code>$ run &lt;it&gt;\nnow</code></pre>"
    )
    assert prose.blocks("") == ""


def test_json_is_spread_over_lines():
    assert msgspec.json.decode(fields.pretty({"a": [1]})) == {"a": [1]}
    assert "\n" in fields.pretty({"a": [1]})
