"""What may stand at a path, read from the models. Rule: the models are the only list of options."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from gatemill.settings.model import Settings
from gatemill.settings.secret import Secret

Path = tuple[str | int, ...]


def type_at(path: Path) -> Any:
    """The plain type at `path`; None when nothing may stand there. Names of tables are free."""
    here: Any = Settings
    for part in path:
        here = _child(here, part)
        if here is None:
            return None
    return here


def keys_at(path: Path) -> tuple[str, ...]:
    """The keys that a table at `path` may have; () for tables with free names and for others."""
    here = type_at(path)
    return tuple(here.model_fields) if _is_model(here) else ()


def is_secret(path: Path) -> bool:
    """Whether the value at `path` must not be printed."""
    here = type_at(path)
    return isinstance(here, type) and issubclass(here, Secret)


def takes_text(path: Path) -> bool:
    """Whether a string may stand at `path`."""
    here = type_at(path)
    return here is str or is_secret(path) or get_origin(here) is Literal


def takes_fraction(path: Path) -> bool:
    """Whether a floating-point number may stand at `path`; money is decimal."""
    here = type_at(path)
    # A timeout may be a bare number.
    return here is float or (_is_model(here) and here.__name__ == "Timeout")


def _is_model(here: Any) -> bool:
    return isinstance(here, type) and issubclass(here, BaseModel)


def _child(here: Any, part: str | int) -> Any:
    if _is_model(here):
        field = here.model_fields.get(part)
        return None if field is None else _plain(field.annotation)
    arguments = get_args(here)
    if get_origin(here) is dict and isinstance(part, str):
        return _plain(arguments[1])
    if get_origin(here) is tuple and isinstance(part, int):
        return _plain(arguments[0])
    return None


def _plain(annotation: Any) -> Any:
    """The type without Annotated and without `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation
