"""The hub's request without Anthropic's extensions, for upstreams that refuse unknown fields.

Rule: what is taken out is named, so that it can be reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.core.ports import Json

TOP_LEVEL = ("top_k", "thinking")
_MESSAGE = ("thinking_blocks", "reasoning_content", "is_error", "cache_control")
_PART = ("cache_control",)


def plain(chat: Json) -> tuple[Json, tuple[str, ...]]:
    """A copy without the extension fields, and the names of those it had."""
    found: dict[str, None] = {}
    out = _without(chat, TOP_LEVEL, found)
    out["messages"] = [_message(message, found) for message in chat.get("messages") or ()]
    if chat.get("tools"):
        out["tools"] = [_without(tool, _PART, found) for tool in chat["tools"]]
    return out, tuple(found)


def _message(message: Json, found: dict[str, None]) -> Json:
    out = _without(message, _MESSAGE, found)
    for name in ("content", "tool_calls"):
        if isinstance(out.get(name), list):
            out[name] = [_without(part, _PART, found) for part in out[name]]
    return out


def _without(given: Json, names: tuple[str, ...], found: dict[str, None]) -> dict[str, Any]:
    for name in names:
        if name in given:
            found[name] = None
    return {name: value for name, value in given.items() if name not in names}
