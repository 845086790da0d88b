"""What makes two requests the same, as 32 bytes.

Rule: two requests share a digest only when one answer is right for both and the same tenant may see
it. A field that nobody here knows stays in, so that a new parameter costs a miss, never a wrong answer.
"""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.call import Key

Json = dict[str, Any]

SCHEMA = 1  # grows whenever what is digested or kept changes its meaning
OPERATIONS = frozenset(
    (
        *("chat", "completions", "embeddings", "responses", "messages", "inference"),
        *("predict", "predict_text", "rerank", "moderations"),
    )
)
# They name who asks, or say how fast and at whose prompt cache, and never what is answered.
# `service_tier` is here because a kept answer comes at once, which is what every tier may expect.
# `store` is not: whoever asks for an answer that the provider stores gets one that it has stored.
_SILENT = (
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
_EXACT_MAX = 1 << 53  # up to here a float without a fraction is one whole number


def canonical(body: bytes) -> Json | None:
    """The body as decoded JSON, without what does not change the answer.

    None where it must not be kept: it is not JSON, a name stands twice (providers differ in which
    of the two they believe), or the answer changes what the provider remembers.
    """
    try:
        said = _decode(body.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("background") or said.get("conversation"):
        return None
    for name in _SILENT:
        said.pop(name, None)
    if not said.get("stream"):
        said.pop("stream", None)
    options = said.pop("stream_options", None)
    # The rest of the options pads events; only this one adds to them.
    if isinstance(options, dict) and options.get("include_usage"):
        said["stream_options"] = {"include_usage": True}
    return said


def tenant(scope: str, key: Key) -> str:
    """Who shares answers; a key without a team shares with nobody in scope "team"."""
    if scope == "all":
        return "all"
    if scope == "team" and key.team_id:
        return f"team:{key.team_id}"
    return f"key:{key.id}"


def digest(whose: str, operation: str, versions: Sequence[Any], said: Any) -> bytes:
    """SHA-256 of all that decides an answer.

    `whose` is the tenant, `versions` what the answer depends on beside the body: configuration, arm,
    headers for the provider. `said` is the canonical body.
    """
    return sha256(_encode([SCHEMA, whose, operation, versions, said]).encode()).digest()


def last_text(operation: str, said: Json) -> tuple[str, Json] | None:
    """The last words of the user, and the canonical body without them; None where there are none.

    Words beside pictures or files do not count: the rest decides as much.
    """
    if operation in ("chat", "messages"):
        return _last_message(said)
    field = {"responses": "input", "completions": "prompt", "inference": "text"}.get(operation, "")
    text = said.get(field)
    return (text, {**said, field: None}) if isinstance(text, str) and text else None


def _last_message(said: Json) -> tuple[str, Json] | None:
    messages: Any = said.get("messages")
    last: Any = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    text: Any = last.get("content")
    if isinstance(text, list) and len(text) == 1 and isinstance(text[0], dict):
        part = text[0]
        text = part.get("text") if part.get("type") == "text" else None
    if not isinstance(text, str) or not text:
        return None
    return text, {**said, "messages": [*messages[:-1], {**last, "content": None}]}


def _members(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _number(text: str) -> float:
    """1.0 and 1e0 are 1: they mean the same to everybody."""
    value = float(text)
    if value in (math.inf, -math.inf):
        raise ValueError(text)
    return int(value) if value.is_integer() and abs(value) <= _EXACT_MAX else value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


# The standard library's JSON: it shows names that stand twice, and whole numbers of any size.
_decode = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_number, parse_constant=_no_constant
).decode
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
