"""/docs: the OpenAPI document as one page that needs no network and no script.

Rule: whatever comes from the document passes through `escape`; nothing is loaded from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.describe import fields
from gatemill.describe.prose import blocks, inline

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatemill.describe.words import Json

_STYLE = files("gatemill").joinpath("data", "openapi", "docs.css").read_text()
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(document: Json) -> str:
    """The documentation as one page of HTML."""
    info = document["info"]
    groups = list(_groups(document))
    routes = "".join(
        f"<h2>{escape(tag)}</h2>{blocks(about)}"
        + "".join(_route(document, *route) for route in found)
        for tag, about, found in groups
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"{_navigation(info['title'], groups)}"
        f'<main><header id="top"><h1>{escape(info["title"])} <small>{escape(info["version"])}'
        f"</small></h1>{blocks(info['description'])}"
        '<p>The same for machines: <a href="/openapi.json">/openapi.json</a></p></header>'
        f"{routes}{_errors(document)}{_objects(document)}</main></body></html>"
    )


def _groups(document: Json) -> Iterator[tuple[str, str, list[tuple[str, str, Json]]]]:
    """(tag, its description, its routes as path, method, operation)."""
    for tag in document["tags"]:
        found = [
            (path, method, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if tag["name"] in operation["tags"]
        ]
        yield tag["name"], tag["description"], found


def _navigation(title: str, groups: Iterable[tuple[str, str, list[tuple[str, str, Json]]]]) -> str:
    links = ""
    for tag, _, found in groups:
        links += f"<h2>{escape(tag)}</h2><ul>"
        for path, method, operation in found:
            anchor = escape(operation["operationId"])
            links += f'<li><a href="#{anchor}">{_badge(method)}<span>{escape(path)}</span></a></li>'
        links += "</ul>"
    more = '<h2>Reference</h2><ul><li><a href="#errors">Errors</a></li>'
    more += '<li><a href="#objects">Objects</a></li></ul>'
    # On narrow screens a checkbox folds the contents: that needs no script.
    return (
        f'<nav aria-label="Contents"><a class="home" href="#top">{escape(title)} API</a>'
        '<input type="checkbox" id="menu"><label for="menu">Contents</label>'
        f'<div class="links">{links}{more}</div></nav>'
    )


def _badge(method: str) -> str:
    return f'<b class="{escape(method)}">{escape(method.upper())}</b>'


# --- One route ----------------------------------------------------------------------------------


def _route(document: Json, path: str, method: str, operation: Json) -> str:
    anchor = escape(operation["operationId"])
    parts = [
        f'<section id="{anchor}"><h3><a href="#{anchor}">{escape(operation["summary"])}</a></h3>',
        f'<p class="path">{_badge(method)}<code>{escape(path)}</code>{_key(operation)}</p>',
        blocks(operation["description"]),
        _examples(operation),
        _messages(operation),
        _sent(document, operation),
        _received(document, operation),
        "</section>",
    ]
    return "".join(parts)


def _key(operation: Json) -> str:
    ways = operation["security"]
    if not ways:
        return '<i class="free">no key</i>'
    return '<i class="free">key on public addresses</i>' if {} in ways else "<i>key</i>"


def _examples(operation: Json) -> str:
    """Each example with its answer; the first one is open."""
    answers = {
        example["summary"]: example["value"]
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for example in content.get("examples", {}).values()
    }
    shown = [
        _folded(
            sample["label"],
            _code(sample["source"]) + _code(_text(answers[sample["label"]])),
            is_open=number == 0,
        )
        for number, sample in enumerate(operation.get("x-codeSamples", ()))
    ]
    return "".join(shown)


def _messages(operation: Json) -> str:
    told = operation.get("x-messages")
    if told is None:
        return ""
    out = f"<p>You send {fields.kind(told['sent'])} and get {fields.kind(told['received'])}.</p>"
    for example in told["examples"].values():
        both = _code(_lines(example["sent"])) + _code(_lines(example["received"]))
        out += _folded(example["summary"], both, is_open=True)
    return out


def _lines(messages: Iterable[Any]) -> str:
    return "\n".join(msgspec.json.encode(message).decode() for message in messages)


def _sent(document: Json, operation: Json) -> str:
    out = ""
    if body := operation.get("requestBody"):
        schema = _request(body)
        name = fields.name(schema)
        out += f'<h4 id="{fields.anchor(name)}">Request: {escape(name)}</h4>'
        out += _fields(fields.resolved(document, schema))
    if parameters := operation.get("parameters"):
        rows = [
            (
                p["name"],
                f"{fields.kind(p['schema'])}, {escape(p['in'])}",
                "required" if p.get("required") else "",
                inline(p["description"]),
            )
            for p in parameters
        ]
        out += _folded("Headers and parameters", _table(rows), is_open=not body)
    return out


def _request(body: Json) -> Json:
    """The schema of a request; each route takes one media type."""
    ((_, content),) = body["content"].items()
    schema: Json = content["schema"]
    return schema


def _received(document: Json, operation: Json) -> str:
    out, errors = "", ""
    for status, given in operation["responses"].items():
        if "$ref" in given:
            errors += f'<a href="#error-{escape(status)}">{escape(status)}</a> '
            continue
        kinds = [_kind(*item) for item in given.get("content", {}).items()]
        out += f"<h4>Answer {escape(status)}{': ' if kinds else ''}{', or '.join(kinds)}</h4>"
        out += blocks(given["description"])
        for content in given.get("content", {}).values():
            out += _code(_text(content["example"])) if "example" in content else ""
        if named := given.get("headers"):
            out += _headers(document, named)
    return f'{out}<p class="errors">Errors: {errors}</p>' if errors else out


def _kind(media_type: str, content: Json) -> str:
    event = content.get("x-event")
    if event:
        return f"{escape(media_type)} of {fields.kind(event)}"
    named = "$ref" in content["schema"] or "anyOf" in content["schema"]
    return fields.kind(content["schema"]) if named else escape(media_type)


def _headers(document: Json, named: Json) -> str:
    rows = []
    for name, reference in named.items():
        header = fields.resolved(document, reference) if "$ref" in reference else reference
        always = "always" if header["required"] else ""
        rows.append((name, fields.kind(header["schema"]), always, inline(header["description"])))
    return _folded("Headers of the answer", _table(rows), is_open=False)


# --- Tables and code --------------------------------------------------------------------------


def _fields(schema: Json) -> str:
    rows = [
        (row.name, row.kind, "required" if row.required else "", inline(row.about))
        for row in fields.rows(schema)
    ]
    return blocks(schema.get("description", "")) + (_table(rows) if rows else "")


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Rows of name (text), kind (HTML), mark (text) and sentence (HTML)."""
    body = "".join(
        f"<tr><th scope=row><code>{escape(name)}</code>{_mark(mark)}</th>"
        f"<td>{kind}</td><td>{about}</td></tr>"
        for name, kind, mark, about in rows
    )
    return f"<table>{body}</table>"


def _mark(mark: str) -> str:
    return f" <em>{escape(mark)}</em>" if mark else ""


def _folded(title: str, content: str, *, is_open: bool) -> str:
    """`content` is HTML."""
    state = " open" if is_open else ""
    return f"<details{state}><summary>{escape(title)}</summary>{content}</details>"


def _code(text: str) -> str:
    return f"<pre><code>{escape(text.rstrip())}</code></pre>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else fields.pretty(value)


# --- The back of the book ---------------------------------------------------------------------


def _errors(document: Json) -> str:
    out = '<h2 id="errors">Errors</h2><p>Switch on the code; the message is for people.</p>'
    for name, given in document["components"]["responses"].items():
        if name.endswith("404"):
            ((media_type, content),) = given["content"].items()
            title = f"{name.removesuffix('404')}: {media_type}"
            out += _folded(title, _code(_text(content["example"])), is_open=False)
    status = 0
    for error in document["x-errors"]:
        if error["status"] != status:
            status = error["status"]
            out += f'<h3 id="error-{status}">{status}</h3>'
        about = f"{inline(error['meaning'])} <span>{inline(error['remedy'])}</span>"
        out += f'<p class="error"><code>{escape(error["code"])}</code> {about}</p>'
    return out


def _objects(document: Json) -> str:
    """All schemas but those of requests, which stand at their routes."""
    out = '<h2 id="objects">Objects</h2>'
    sent = {
        fields.name(_request(operation["requestBody"]))
        for item in document["paths"].values()
        for operation in item.values()
        if "requestBody" in operation
    }
    for name, schema in document["components"]["schemas"].items():
        if name in sent:
            continue
        anchor = fields.anchor(name)
        out += f'<section id="{anchor}"><h3><a href="#{anchor}">{escape(name)}</a></h3>'
        out += _fields(schema)
        if "anyOf" in schema and "properties" not in schema:
            out += f"<p>{fields.kind(schema)}</p>"
        out += "</section>"
    return out
