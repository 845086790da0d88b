"""Attribute filters, in OpenAI's words. Rule: pure; what is not a filter is refused by its place.

A document without the attribute satisfies `ne` and `nin` alone; values of different kinds are never
equal, and none is less than the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEPTH_MAX = 8
PARTS_MAX = 100  # comparisons of one filter
VALUES_MAX = 1_000  # of `in` and `nin`
KEY_CHARS_MAX = 64
_TEXT_CHARS_MAX = 512

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
_LISTS = ("in", "nin")
COMPARISONS = ("eq", "ne", *_ORDERED, *_LISTS)
COMPOUNDS = ("and", "or")


class Comparison(Struct, frozen=True):
    """One attribute and a value, or values."""

    type: str
    key: str
    value: Any  # of `in` and `nin`: a frozenset of (kind, value), so that long lists cost no more

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a document with these attributes is meant."""
        found = attributes.get(self.key)
        if self.type in _LISTS:
            kind = _kind(found)
            return (bool(kind) and (kind, found) in self.value) == (self.type == "in")
        if self.type == "eq":
            return _equal(found, self.value)
        if self.type == "ne":
            return not _equal(found, self.value)
        return _kind(found) == _kind(self.value) and _ORDERED[self.type](found, self.value)


class Compound(Struct, frozen=True):
    """Several filters, all of which or any of which must hold."""

    type: str
    filters: tuple[Filter, ...]

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a document with these attributes is meant."""
        each = (one.holds(attributes) for one in self.filters)
        return all(each) if self.type == "and" else any(each)


Filter = Comparison | Compound


def read(said: Any, param: str = "filters") -> Filter | None:
    """The filter of a decoded body; None where it is null. Raises InvalidValue."""
    return None if said is None else _Reader().read(said, param, 1)


class _Reader:
    def __init__(self) -> None:
        self._parts = 0

    def read(self, said: Any, place: str, depth: int) -> Filter:
        if depth > DEPTH_MAX:
            raise _bad(place, f"filters stand in each other at most {DEPTH_MAX} deep")
        if not isinstance(said, dict):
            raise _bad(place, "send an object with type, key and value, or type and filters")
        kind = said.get("type")
        if kind in COMPOUNDS:
            return self._compound(said, place, depth)
        if kind in COMPARISONS:
            return self._comparison(said, place)
        raise _bad(f"{place}.type", f"send one of {', '.join((*COMPARISONS, *COMPOUNDS))}")

    def _compound(self, said: dict[str, Any], place: str, depth: int) -> Compound:
        _check_names(said, ("type", "filters"), place)
        inner = said.get("filters")
        if not isinstance(inner, list) or not inner:
            raise _bad(f"{place}.filters", "send a list of filters")
        found = [
            self.read(each, f"{place}.filters.{at}", depth + 1) for at, each in enumerate(inner)
        ]
        return Compound(said["type"], tuple(found))

    def _comparison(self, said: dict[str, Any], place: str) -> Comparison:
        _check_names(said, ("type", "key", "value"), place)
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _bad(place, f"a filter makes at most {PARTS_MAX} comparisons")
        kind, key, value = said["type"], said.get("key"), said.get("value")
        if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX:
            raise _bad(
                f"{place}.key", f"send the attribute's name, 1 to {KEY_CHARS_MAX} characters"
            )
        if kind in _LISTS:
            if not isinstance(value, list) or len(value) > VALUES_MAX:
                raise _bad(f"{place}.value", f"send a list of at most {VALUES_MAX} values")
            if not all(_kind(each) for each in value):
                raise _bad(f"{place}.value", "send text, numbers, true or false")
            return Comparison(kind, key, frozenset((_kind(each), each) for each in value))
        if not _kind(value) or (kind in _ORDERED and _kind(value) == "flag"):
            meant = "text or a number" if kind in _ORDERED else "text, a number, true or false"
            raise _bad(f"{place}.value", f"send {meant}")
        return Comparison(kind, key, value)


def _check_names(said: dict[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in said:
        if name not in known:
            raise _bad(
                place, f"{name[:KEY_CHARS_MAX]!r} is not known here; send {', '.join(known)}"
            )


def _equal(one: Any, other: Any) -> bool:
    return _kind(one) == _kind(other) and one == other


def _kind(value: Any) -> str:
    """What sort of value it is; "" for one that no attribute has."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "text" if len(value) <= _TEXT_CHARS_MAX else ""
    # A body's numbers may come as Decimal.
    return "number" if type(value).__name__ in ("int", "float", "Decimal") else ""


def _bad(place: str, why: str) -> InvalidValue:
    return InvalidValue(f"`{place}`: {why}.", param=place)
