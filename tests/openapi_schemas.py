"""The schemas of our own document, as a contract for what is sent and answered."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from gatemill.describe.schemas import SCHEMAS


@cache
def _validator(name: str) -> Draft202012Validator:
    assert name in SCHEMAS
    components = {"components": {"schemas": SCHEMAS}}
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **components})


def allows(name: str, instance: Any) -> bool:
    """Whether the named schema takes `instance`."""
    return _validator(name).is_valid(instance)


def validate(schema: dict[str, Any], instance: Any) -> None:
    """`instance` satisfies a schema that may refer to the document's. Raises AssertionError."""
    validator = Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}})
    error = best_match(validator.iter_errors(instance))
    if error is not None:
        path = ".".join(str(step) for step in error.absolute_path) or "(the whole)"
        raise AssertionError(f"{path}: {error.message[:400]}")
