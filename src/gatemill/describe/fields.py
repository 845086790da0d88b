"""Schemas as people read them: one row per field, and a type in a few words.

Rule: `kind` and `anchor` give HTML, everything else plain text.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.describe.words import Json

_WORDS = {"integer": "whole number", "boolean": "true or false"}
_BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)


class Row(NamedTuple):
    """One field of an object; of an object inside it, with a dotted name."""

    name: str
    kind: str  # HTML
    required: bool
    about: str


def rows(schema: Json, prefix: str = "") -> Iterator[Row]:
    """The fields of an object, and of the objects inside it."""
    required = schema.get("required", ())
    for field, inner in schema.get("properties", {}).items():
        full = f"{prefix}{field}"
        yield Row(full, kind(inner), field in required, inner.get("description", ""))
        if "properties" in inner:
            yield from rows(inner, f"{full}.")
        elif "properties" in inner.get("items", {}):
            yield from rows(inner["items"], f"{full}[].")


def kind(schema: Json) -> str:
    """The type of a schema, with links to other schemas; null is left out."""
    if "$ref" in schema:
        return f'<a href="#{anchor(name(schema))}">{escape(name(schema))}</a>'
    if "const" in schema:
        return _quoted(schema["const"])
    if "enum" in schema:
        return " · ".join(_quoted(value) for value in schema["enum"] if value is not None)
    if "anyOf" in schema and "properties" not in schema:
        return " or ".join(kind(inner) for inner in schema["anyOf"] if inner != {"type": "null"})
    types = schema.get("type", "anything")
    only = types if isinstance(types, str) else next(t for t in types if t != "null")
    if only == "array":
        shown = f"array of {kind(schema['items'])}"
    else:
        shown = escape(_WORDS.get(only, only))
    bounds = _range(schema)
    return f"{shown}, {bounds}" if bounds else shown


def name(schema: Json) -> str:
    """The name of the schema that a reference leads to."""
    found: str = schema["$ref"].rpartition("/")[2]
    return found


def anchor(name: str) -> str:
    """The fragment of a schema's section."""
    return escape(f"object-{name}")


def resolved(document: Json, schema: Json) -> Json:
    """The schema or component that a reference leads to."""
    found: Any = document
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    out: Json = found
    return out


def pretty(value: Any) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _quoted(value: Any) -> str:
    return f"<code>{escape(str(value))}</code>"


def _range(schema: Json) -> str:
    """0 to 2, from 1, not empty, up to 64 characters; nothing where there is no bound."""
    for low, high, unit in _BOUNDS:
        least, most = schema.get(low), schema.get(high)
        if least is None and most is None:
            continue
        if unit and least == 1 and most is None:
            return "not empty"
        if most is None:
            return f"from {least}{unit}"
        return f"up to {most}{unit}" if least is None else f"{least} to {most}{unit}"
    return ""
