"""The few words that schemas are written in: JSON Schema 2020-12, as OpenAPI 3.1 takes it.

Rule: every field has one sentence; objects stay open, because unknown fields are forwarded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]

_NOTHING: Mapping[str, Json] = {}


def obj(about: str, required: Mapping[str, Json], optional: Mapping[str, Json] = _NOTHING) -> Json:
    """An object; its optional fields may be absent."""
    out: Json = {"type": "object", "description": about, "properties": {**required, **optional}}
    return {**out, "required": [*required]} if required else out


def asked(
    about: str, required: Mapping[str, Json], optional: Mapping[str, Json] = _NOTHING
) -> Json:
    """An object that callers send: an optional field may be absent or null."""
    return obj(about, required, {name: or_null(schema) for name, schema in optional.items()})


def string(about: str, *, least: int | None = None) -> Json:
    """A string of at least `least` characters."""
    return _bounded({"type": "string", "description": about}, minLength=least)


def word(about: str, *values: str) -> Json:
    """One of `values`."""
    if len(values) == 1:
        return {"type": "string", "const": values[0], "description": about}
    return {"type": "string", "enum": [*values], "description": about}


def whole(about: str, *, least: int | None = None, most: int | None = None) -> Json:
    """A whole number."""
    return _bounded({"type": "integer", "description": about}, minimum=least, maximum=most)


def number(about: str, *, least: float | None = None, most: float | None = None) -> Json:
    """A number."""
    return _bounded({"type": "number", "description": about}, minimum=least, maximum=most)


def flag(about: str) -> Json:
    """True or false."""
    return {"type": "boolean", "description": about}


def array(about: str, items: Json, *, least: int | None = None, most: int | None = None) -> Json:
    """An array."""
    out: Json = {"type": "array", "description": about, "items": items}
    return _bounded(out, minItems=least, maxItems=most)


def mapping(about: str, values: Json | None = None) -> Json:
    """An object whose names are the caller's own."""
    out: Json = {"type": "object", "description": about}
    return out if values is None else {**out, "additionalProperties": values}


def ref(name: str, about: str = "") -> Json:
    """The schema `name` of the components."""
    out: Json = {"$ref": f"#/components/schemas/{name}"}
    return {**out, "description": about} if about else out


def either(about: str, schemas: Sequence[Json]) -> Json:
    """Any of several schemas."""
    return {"description": about, "anyOf": [*schemas]}


def or_null(schema: Json) -> Json:
    """The same, or null."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    if "type" not in schema or "const" in schema:
        about = {"description": schema["description"]} if "description" in schema else {}
        bare = {name: value for name, value in schema.items() if name != "description"}
        return {**about, "anyOf": [bare, {"type": "null"}]}
    out = {**schema, "type": [schema["type"], "null"]}
    return {**out, "enum": [*schema["enum"], None]} if "enum" in schema else out


def _bounded(schema: Json, **bounds: float | None) -> Json:
    return schema | {name: bound for name, bound in bounds.items() if bound is not None}
