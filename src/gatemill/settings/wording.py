"""Validation errors in plain words. Rule: says what was expected and what was found, no type names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gatemill.settings.errors import Path, meant
from gatemill.settings.schema import is_secret, keys_at, type_at
from gatemill.settings.secret import without_passwords
from gatemill.settings.vendors import vendors

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_FOUND_MAX = 60  # characters of a wrong value that are repeated

_EXPECTED = {
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected a text in quotes",
    "tuple_type": "expected a list",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "decimal_type": "expected a number",
    "decimal_parsing": "expected a number",
    "finite_number": "expected a finite number",
}
_BOUNDS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}


def worded(error: ValidationError) -> Iterator[tuple[Path, str]]:
    """(path, message) of each thing wrong."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # the entries were wrong, not missing; each has its own message
        path = tuple(part for part in detail["loc"] if part != "[key]")
        yield path, _message(detail, path)


def _message(detail: ErrorDetails, path: Path) -> str:
    kind = detail["type"]
    special = _SPECIAL.get(kind)
    if special is not None:
        return special(detail, path)
    found = _found(detail["input"], path)
    for name, bound in detail.get("ctx", {}).items():
        if name in _BOUNDS:
            return f"must be {_BOUNDS[name]} {_number(bound)}{found}"
    return _EXPECTED.get(kind, detail["msg"].lower()) + found


def _unknown(detail: ErrorDetails, path: Path) -> str:
    return "unknown key" + meant(str(path[-1]), keys_at(path[:-1]))


def _missing(detail: ErrorDetails, path: Path) -> str:
    text = str(type_at(path[:-1]).model_fields[path[-1]].description)
    return f"missing: {text[0].lower()}{text[1:].rstrip('.')}"


def _empty(detail: ErrorDetails, path: Path) -> str:
    return "must not be empty"


def _form(detail: ErrorDetails, path: Path) -> str:
    return f"must have the form {detail['ctx']['pattern']}{_found(detail['input'], path)}"


def _decimals(detail: ErrorDetails, path: Path) -> str:
    return f"has more than {detail['ctx']['decimal_places']} decimals"


def _refused(detail: ErrorDetails, path: Path) -> str:
    """What one of our own validators said."""
    if path[-1] == "kind":
        known = list(vendors())
        value = str(detail["input"])
        return f'no such kind: "{value}"{meant(value, known)}; known are {", ".join(known)}'
    if path[-1] in {"base_url", "proxy"} and "expected" not in detail["msg"]:
        return f"not a valid URL: {detail['ctx']['error']}"
    # Of a whole table, what stands there is no news.
    found = "" if isinstance(detail["input"], dict) else _found(detail["input"], path)
    return f"{detail['ctx']['error']}{found}"


def _words(detail: ErrorDetails, path: Path) -> str:
    expected = str(detail["ctx"]["expected"])  # 'a', 'b' or 'c'
    value = detail["input"]
    near = meant(value, expected.split("'")[1::2]) if isinstance(value, str) else ""
    return "expected " + expected.replace("'", '"') + _found(value, path) + near


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _found(value: Any, path: Path) -> str:
    """What stands there instead, in TOML's words; nothing for secrets."""
    if is_secret(path):
        return ""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = f'"{without_passwords(value)}"'
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, (list, tuple)):
        text = "a list"
    else:
        text = str(value)
    return f", found {text}" if len(text) <= _FOUND_MAX else f", found {text[:_FOUND_MAX]}…"


_SPECIAL: dict[str, Callable[[ErrorDetails, Path], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "value_error": _refused,
    "literal_error": _words,
    "too_short": _empty,
    "string_too_short": _empty,
    "decimal_max_places": _decimals,
    "string_pattern_mismatch": _form,
}
