"""What a decorator accepts. Rule: what is wrong is said when the function is decorated, by name."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from gatemill.core.errors import InvalidType, InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R")

NAME_CHARS_MAX = 200
Errors = tuple[type[Exception], ...]


class Decorator(Protocol):
    """Takes an async function and gives one with the same signature."""

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """The function with one more part around it. Raises TypeError unless it is `async def`."""
        ...


def name_of(function: Callable[..., Any], said: str | None = None) -> str:
    """The name under which a function is counted: `said`, or its module and qualified name.

    Raises TypeError unless it is `async def`, InvalidValue for a name that is no label.
    """
    found = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{found} is no `async def` function; decorate one that is")
    if said is None:
        return found.encode("ascii", "backslashreplace").decode()[-NAME_CHARS_MAX:]
    if not (said.isascii() and said.isprintable() and 0 < len(said) <= NAME_CHARS_MAX):
        raise InvalidValue(
            f"name must be 1 to {NAME_CHARS_MAX} printable ASCII characters.", param="name"
        )
    return said


def seconds(**said: float | None) -> None:
    """Each is None or a duration above 0 s. Raises InvalidType and InvalidValue."""
    for name, value in said.items():
        if value is not None and not (_number(name, value) > 0 and math.isfinite(value)):
            raise InvalidValue(f"{name} must be more than 0 seconds.", param=name)


def seconds_or_none(**said: float) -> None:
    """Each is 0 s or more. Raises InvalidType and InvalidValue."""
    for name, value in said.items():
        if not (_number(name, value) >= 0 and math.isfinite(value)):
            raise InvalidValue(f"{name} must be 0 seconds or more.", param=name)


def counts(**said: int | None) -> None:
    """Each is None or a whole number of 1 or more. Raises InvalidType and InvalidValue."""
    for name, value in said.items():
        if value is None:
            continue
        if type(value) is not int:
            raise InvalidType(f"{name} must be a whole number.", param=name)
        if value < 1:
            raise InvalidValue(f"{name} must be 1 or more.", param=name)


def errors(**said: Errors) -> None:
    """Each is a tuple of classes of exceptions; those that end a program are none of them.

    Raises InvalidType.
    """
    for name, value in said.items():
        if not isinstance(value, tuple) or not all(
            isinstance(each, type) and issubclass(each, Exception) for each in value
        ):
            raise InvalidType(f"{name} must be a tuple of Exception classes.", param=name)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidType(f"{name} must be a number of seconds.", param=name)
    return value
