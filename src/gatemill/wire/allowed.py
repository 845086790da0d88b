"""Which words a field takes, for the message about another one.

Rule: read from the type that the body was decoded with, so that no list is written twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN_MAX = 20  # words; more are no help


def hint(kind: Any, param: str) -> str:
    """`Send one of a, b.` for the field at the dotted path `param` of `kind`; empty where it is unknown."""
    found = [inspect.type_info(kind)]
    for name in param.split("."):
        found = [below for each in found for below in _below(each, name)]
    words = [str(word) for each in found for plain in _plain(each) for word in _words(plain)]
    if not 0 < len(words) <= _SHOWN_MAX:
        return ""
    return f"Send one of {', '.join(words)}." if len(words) > 1 else f"Send {words[0]}."


def _plain(found: Any) -> Iterator[Any]:
    """The types in a union, or in what carries metadata; those of msgspec.inspect have no common base."""
    for below in getattr(found, "types", None) or ():
        yield from _plain(below)
    if hasattr(found, "extra_json_schema"):
        yield from _plain(found.type)
    elif not hasattr(found, "types"):
        yield found


def _below(found: Any, name: str) -> Iterator[Any]:
    for plain in _plain(found):
        if hasattr(plain, "item_type"):
            yield plain.item_type
        for field in getattr(plain, "fields", ()):
            if field.encode_name == name:
                yield field.type


def _words(plain: Any) -> Iterator[Any]:
    yield from getattr(plain, "values", ())  # of a Literal
    if isinstance(enum := getattr(plain, "cls", None), type):
        yield from (each.value for each in getattr(enum, "__members__", {}).values())
