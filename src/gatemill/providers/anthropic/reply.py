"""A complete Anthropic message as a chat completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.messages.failures import error_said, failure_of
from gatemill.wire.messages.words import FINISH_REASONS, Counts, usage_of

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json


class Block(Struct):
    """A content block; the fields of all kinds that chat completions can show."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


class StopDetails(Struct):
    """Why the model refused."""

    explanation: str | None = None


class _Message(Struct):
    id: str = ""
    type: str = "message"
    model: str = ""
    content: list[Block] | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: Counts | None = None


_decode = msgspec.json.Decoder(_Message, strict=False).decode


def chat_id(message_id: str) -> str:
    """The chat completion's id for a message's."""
    return f"chatcmpl-{message_id.removeprefix('msg_')}"


def finish_reason(stop_reason: str | None) -> str:
    """The hub's word; an unknown reason is a regular end."""
    return FINISH_REASONS.get(stop_reason or "", "stop")


def thinking_block(block: Block) -> Json:
    """A signed or redacted thinking block as Anthropic wants it back."""
    if block.type == "redacted_thinking":
        return {"type": block.type, "data": block.data}
    return {"type": block.type, "thinking": block.thinking, "signature": block.signature}


def decode(body: bytes, call: Call) -> tuple[Json, Usage | None]:
    """The hub's answer. Raises UpstreamBadReply, or what an error inside a 200 means."""
    try:
        message = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if message.type == "error":
        said = error_said(body)
        raise failure_of(said.type or "api_error", said)
    if message.content is None:
        raise UpstreamBadReply("The provider's answer holds no content.")
    usage = usage_of(message.usage) if message.usage else None
    choice = {
        "index": 0,
        "message": _said(message.content, message.stop_details),
        "logprobs": None,
        "finish_reason": finish_reason(message.stop_reason),
    }
    completion: Json = {
        "id": chat_id(message.id),
        "object": "chat.completion",
        "created": int(call.arrived_at),
        "model": message.model or call.head.model,
        "choices": [choice],
    }
    if usage:
        completion["usage"] = fields.openai_usage(usage)
    return completion, usage


def _said(blocks: list[Block], details: StopDetails | None) -> Json:
    text = "".join(block.text for block in blocks if block.type == "text")
    calls = [_call(block) for block in blocks if block.type == "tool_use"]
    thoughts = [block for block in blocks if block.type in ("thinking", "redacted_thinking")]
    said: Json = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": details.explanation if details else None,
    }
    if reasoning := "".join(block.thinking for block in thoughts):
        said["reasoning_content"] = reasoning
    if thoughts:
        said["thinking_blocks"] = [thinking_block(block) for block in thoughts]
    if calls:
        said["tool_calls"] = calls
    return said


def _call(block: Block) -> Json:
    arguments = fields.encode(block.input if block.input is not None else {}).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }
