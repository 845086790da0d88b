"""What every JSON body must be before anybody looks at its meaning.

Rule: cheap for good bodies; a bad one is refused with the place at fault.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

import msgspec

from gatemill.core.errors import InvalidJson, InvalidValue, JsonTooDeep, RequestTooLarge

CONTAINERS_MAX = (
    1 << 19
)  # arrays and objects in one body; each costs 60 bytes and more when decoded
# What opens is a step up, what closes a step down, as signed bytes; quotes stay.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STRING = re.compile(rb'"[^"]*+"')
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
    """Refuses a valid JSON body that nests deeper than `depth_max`, or has too many containers.

    Only for JSON that has been decoded. Raises JsonTooDeep and RequestTooLarge.
    """
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return
    # All of it runs in C, and in linear time. Without escapes, every quote begins or ends a string;
    # two quotes side by side are an empty string or two neighbours, and can go.
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    steps = _STRING.sub(b"", body.translate(_STEPS, _NOT_STRUCTURE).replace(b'""', b""))
    if len(steps) > 2 * CONTAINERS_MAX:
        raise RequestTooLarge(
            f"The body holds more than {CONTAINERS_MAX} arrays and objects. Send less."
        )
    if max(accumulate(memoryview(steps).cast("b")), default=0) > depth_max:
        raise JsonTooDeep(f"The body nests deeper than {depth_max} levels. Flatten it.")


def _find_nul(body: bytes) -> str:
    try:
        return _path_of_nul(msgspec.json.decode(body), "") or "body"
    except (msgspec.DecodeError, RecursionError):
        return "body"


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
