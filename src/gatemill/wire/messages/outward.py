"""The hub's complete answer as an Anthropic message. Rule: no text and no tool call is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.messages.words import stop_reason, usage_object

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json


def message_id(chat_id: object) -> str:
    """`msg_` and what the chat completion's id has after its prefix."""
    return f"msg_{str(chat_id or '').removeprefix('chatcmpl-')}"


def tool_use_id(message: str, number: int) -> str:
    """An id for a call to which the provider gave none."""
    return f"toolu_{message.removeprefix('msg_')}_{number}"


def tool_input(arguments: str) -> Json:
    """The input of a tool call. Models do write broken JSON, above all when cut off by max_tokens.

    It is handed over under `malformed_arguments`: the tool's schema check names it, nothing is lost.
    """
    if not arguments.strip():
        return {}
    try:
        parsed = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {"malformed_arguments": arguments}


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """The message. Raises UpstreamBadReply when the completion has no choice."""
    choices = completion.get("choices")
    if not choices:
        raise UpstreamBadReply("The provider's answer holds no choice.")
    said: Json = choices[0].get("message") or {}
    refusal = said.get("refusal")
    calls = said.get("tool_calls") or []
    content = [*_thinking(said), *_texts(said.get("content")), *_texts(refusal)]
    id_ = message_id(completion.get("id"))
    content += [_tool_use(tool_call, tool_use_id(id_, i)) for i, tool_call in enumerate(calls)]
    return fields.encode(
        {
            "id": id_,
            "type": "message",
            "role": "assistant",
            "model": completion.get("model") or call.head.model,
            "content": content,
            "stop_reason": stop_reason(
                choices[0].get("finish_reason"), refuses=bool(refusal), calls=bool(calls)
            ),
            "stop_sequence": None,
            "usage": usage_object(usage),
        }
    )


def _thinking(said: Json) -> list[Json]:
    """Signed blocks as they came; otherwise what another provider said of its reasoning."""
    if blocks := said.get("thinking_blocks"):
        return list(blocks)
    if thought := said.get("reasoning_content") or said.get("reasoning"):
        return [{"type": "thinking", "thinking": thought, "signature": ""}]
    return []


def _texts(content: Any) -> list[Json]:
    if isinstance(content, str) and content:
        return [{"type": "text", "text": content}]
    return []


def _tool_use(call: Json, own_id: str) -> Json:
    function: Json = call.get("function") or {}
    return {
        "type": "tool_use",
        "id": call.get("id") or own_id,
        "name": function.get("name") or "",
        "input": tool_input(function.get("arguments") or ""),
    }
