"""OpenAI's published schemas as a contract: what we answer must be what their document defines.

Rule: the document in openai_schema/ is data; nothing in it is edited by hand.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

_DOCUMENT = Path(__file__).parent / "openai_schema" / "openapi-trimmed.json.gz"
_PREFIX = "#/components/schemas/"


def validate(schema_name: str, instance: Any) -> None:
    """`instance` satisfies the named schema. Raises AssertionError that says where it does not."""
    error = best_match(_validator(schema_name).iter_errors(instance))
    if error is not None:
        raise AssertionError(_explained(schema_name, error))


def validate_stream_event(event: Any) -> None:
    """`event` is one of the events of a response stream. Raises AssertionError."""
    validate("ResponseStreamEvent", event)


def _explained(schema_name: str, error: ValidationError) -> str:
    path = ".".join(str(step) for step in error.absolute_path) or "(the whole)"
    return f"{schema_name}: {path}: {error.message[:400]}"


@cache
def _validator(schema_name: str) -> Draft202012Validator:
    assert schema_name in _schemas(), f"no schema {schema_name} in {_DOCUMENT.name}"
    components = {"components": {"schemas": _schemas()}}
    return Draft202012Validator({"$ref": _PREFIX + schema_name, **components})


@cache
def _schemas() -> dict[str, Any]:
    document = json.loads(gzip.decompress(_DOCUMENT.read_bytes()))
    schemas: dict[str, Any] = document["components"]["schemas"]
    plain = {name: _plain(schema) for name, schema in schemas.items()}
    return {name: _told_apart(schema, plain) for name, schema in plain.items()}


def _plain(schema: Any) -> Any:
    """JSON Schema 2020-12 for OpenAPI's.

    `nullable` becomes a type; `oneOf` becomes `anyOf`, because several of the document's
    alternatives overlap and none of them is meant to exclude an answer.
    """
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {("anyOf" if k == "oneOf" else k): _plain(v) for k, v in schema.items()}
    if out.get("nullable") is True:
        del out["nullable"]
        return {"anyOf": [out, {"type": "null"}]}
    return out


def _told_apart(schema: Any, schemas: dict[str, Any]) -> Any:
    """Alternatives with a discriminator as one condition each: quicker, with readable errors."""
    if isinstance(schema, list):
        return [_told_apart(item, schemas) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: _told_apart(inner, schemas) for name, inner in schema.items()}
    discriminator = out.get("discriminator")
    branches = out.get("anyOf")
    if not discriminator or not branches or not all("$ref" in branch for branch in branches):
        return out
    field = discriminator["propertyName"]
    chosen: dict[str, list[Any]] = {}
    for branch in branches:
        values = _values(branch, field, schemas)
        if not values:
            return out  # an alternative that does not name itself: the plain anyOf stays
        for value in values:
            chosen.setdefault(value, []).append(branch)
    del out["anyOf"]
    out["required"] = [*out.get("required", []), field]
    out["properties"] = {**out.get("properties", {}), field: {"enum": list(chosen)}}
    out["allOf"] = [
        {
            "if": {"properties": {field: {"const": value}}, "required": [field]},
            "then": refs[0] if len(refs) == 1 else {"anyOf": refs},
        }
        for value, refs in chosen.items()
    ]
    return out


def _values(schema: Any, field: str, schemas: dict[str, Any]) -> list[str]:
    """The values of `field` that choose this alternative; [] when it does not say."""
    if "$ref" in schema:
        return _values(schemas[schema["$ref"].removeprefix(_PREFIX)], field, schemas)
    for part in schema.get("allOf", []):
        if values := _values(part, field, schemas):
            return values
    return list(schema.get("properties", {}).get(field, {}).get("enum", []))
