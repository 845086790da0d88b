"""Reading a caller's JSON by hand: the right type, or an error that names the field.

Rule: null is as good as absent, as OpenAI's own services treat it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from gatemill.core.errors import InvalidType, MissingParameter, UnsupportedParameter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from gatemill.core.ports import Json

_NATIVE = "Leave it out, or choose a model whose provider has the responses API."


def obj(value: Any, param: str) -> Json:
    """`value` as an object. Raises InvalidType."""
    if not isinstance(value, dict):
        raise InvalidType(f"`{param}`: must be an object. Send one.", param=param)
    return value


def array(value: Any, param: str) -> Iterator[tuple[Json, str]]:
    """Each object in the array `value`, with its own path. Raises InvalidType."""
    if not isinstance(value, list):
        raise InvalidType(f"`{param}`: must be an array. Send one.", param=param)
    for index, item in enumerate(value):
        yield obj(item, f"{param}.{index}"), f"{param}.{index}"


def strings(value: Any, param: str) -> list[str]:
    """`value` as an array of strings. Raises InvalidType."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidType(f"`{param}`: must be an array of strings. Send one.", param=param)
    return value


def text(owner: Json, name: str, param: str) -> str:
    """The string `name` of the object at `param`. Raises MissingParameter or InvalidType."""
    value = owner.get(name)
    path = f"{param}.{name}"
    if value is None:
        raise MissingParameter(f"`{path}`: is required. Send a string.", param=path)
    if not isinstance(value, str):
        raise InvalidType(f"`{path}`: must be a string. Send one.", param=path)
    return value


def only(owner: Json, carried: AbstractSet[str], param: str = "") -> None:
    """Nothing but `carried` is set. Raises UnsupportedParameter for the first that is not."""
    for name, value in owner.items():
        if name not in carried and value is not None and value is not False:
            refuse(f"{param}.{name}".lstrip("."))


def refuse(param: str, why: str = "cannot be carried over", remedy: str = _NATIVE) -> NoReturn:
    """Raises UnsupportedParameter for the field at `param`."""
    raise UnsupportedParameter(f"`{param}`: {why}. {remedy}", param=param)
