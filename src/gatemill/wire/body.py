"""What every JSON body must be before anybody looks at its meaning.

Rule: cheap for good bodies; a bad one is refused with the place at fault.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gatemill.core.errors import InvalidJson, InvalidValue, JsonTooDeep

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[]{}"))
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check(body: bytes) -> None:
    """Refuses what is empty, not UTF-8, or holds a null character, also an escaped one.

    Raises InvalidJson or InvalidValue. Malformed JSON may pass: decoding finds it.
    """
    if not body:
        raise InvalidJson("The body is empty. Send one JSON object.")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidJson(
                f"The body is not UTF-8 (byte {error.start}). Encode it as UTF-8."
            ) from None
    if b"\\u0000" in body and _NUL.search(body):
        path = _find_nul(body)
        raise InvalidValue(f"`{path}` holds a null character. Remove it.", param=path)


def check_depth(body: bytes, depth_max: int) -> None:
    """Refuses a valid JSON body that nests deeper than `depth_max`. Raises JsonTooDeep.

    Only for JSON that has been decoded: in a string without an end, finding strings is quadratic.
    """
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return
    # Each round removes the innermost pairs, so as many rounds as the limit empty what is shallow
    # enough. All of it runs in C.
    rest = _STRING.sub(b"", body).translate(None, _NOT_STRUCTURE)
    for _ in range(depth_max):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
        if not rest:
            return
    raise JsonTooDeep(f"The body nests deeper than {depth_max} levels. Flatten it.")


def _find_nul(body: bytes) -> str:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return "body"
    return _path_of_nul(value, "") or "body"


def _path_of_nul(value: Any, path: str) -> str:
    if isinstance(value, str):
        return path if "\0" in value else ""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, item in items:
        if found := _path_of_nul(item, f"{path}.{name}".lstrip(".")):
            return found
    return ""
