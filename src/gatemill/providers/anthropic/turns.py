"""The hub's messages as Anthropic's system prompt and turns.

Rule: instructions move to the top, order is kept otherwise, neighbours of one role become one turn,
and a turn begins with its tool results.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.providers.anthropic import chat_request as words
from gatemill.providers.anthropic.media import document, image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Json

_NOT_ID = re.compile(r"[^a-zA-Z0-9_-]")


class Script:
    """System prompt and turns in the making, and the hints that were met on the way."""

    def __init__(self) -> None:
        self.system: list[Json] = []
        self.turns: list[Json] = []
        self.hints: dict[str, None] = {}
        self._function_id = ""  # of the last legacy function call, answered by the next function

    def read(self, messages: Sequence[words.Message]) -> None:
        """Take all messages. Raises InvalidRequest and its kinds."""
        for number, message in enumerate(messages):
            at = f"messages.{number}"
            if isinstance(message, (words.System, words.Developer)):
                self._name(message.name)
                self.system.extend(self._parts(message.content, at))
            elif isinstance(message, words.User):
                self._name(message.name)
                self._say("user", self._parts(message.content, at))
            elif isinstance(message, words.Assistant):
                self._name(message.name)
                self._say("assistant", self._assistant(message, at))
            else:
                self._result(message, at)
        if not self.turns:
            raise InvalidValue(
                "`messages`: nothing is left beside instructions. Add a user message with text.",
                param="messages",
            )

    def _name(self, name: str | None) -> None:
        if name:
            self.hints["messages.name"] = None

    def _say(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"].extend(blocks)
        else:
            self.turns.append({"role": role, "content": blocks})

    def _result(self, message: words.Tool | words.FunctionResult, at: str) -> None:
        if isinstance(message, words.FunctionResult):
            message = words.Tool(self._function_id or message.name, message.content or "")
        block: Json = {"type": "tool_result", "tool_use_id": tool_id(message.tool_call_id)}
        if content := self._parts(message.content, at):
            block["content"] = content
        if message.is_error:
            block["is_error"] = True
        _cached(block, message.cache_control)
        if not self.turns or self.turns[-1]["role"] != "user":
            self.turns.append({"role": "user", "content": []})
        blocks: list[Json] = self.turns[-1]["content"]
        results = sum(1 for block in blocks if block["type"] == "tool_result")
        blocks.insert(results, block)

    def _assistant(self, message: words.Assistant, at: str) -> list[Json]:
        if message.audio:
            raise UnsupportedParameter(
                f"`{at}.audio`: Anthropic's models take no audio. Send its transcript as content.",
                param=f"{at}.audio",
            )
        blocks = self._thinking(message)
        blocks += self._parts(message.content or "", at)
        blocks += _text(message.refusal)
        for number, call in enumerate(message.tool_calls or ()):
            blocks.append(_tool_use(call, f"{at}.tool_calls.{number}"))
        if message.function_call:
            self._function_id = f"call_{at.replace('.', '_')}"
            call = words.ToolCall(self._function_id, function=message.function_call)
            blocks.append(_tool_use(call, f"{at}.function_call"))
        return blocks

    def _thinking(self, message: words.Assistant) -> list[Json]:
        """Signed thinking as it came. Unsigned thinking is refused upstream, so it is reported."""
        blocks = [block for block in message.thinking_blocks or () if _is_signed(block)]
        if len(blocks) < len(message.thinking_blocks or ()):
            self.hints["messages.thinking_blocks"] = None
        if message.reasoning_content and not blocks:
            self.hints["messages.reasoning_content"] = None
        return blocks

    def _parts(self, content: str | Sequence[words.Part | words.Refusal], at: str) -> list[Json]:
        if isinstance(content, str):
            return _text(content)
        blocks: list[Json] = []
        for number, part in enumerate(content):
            where = f"{at}.content.{number}"
            if isinstance(part, words.Text):
                blocks += [_cached(block, part.cache_control) for block in _text(part.text)]
            elif isinstance(part, words.Refusal):
                blocks += _text(part.refusal)
            elif isinstance(part, words.Image):
                if part.image_url.detail not in (None, "auto"):
                    self.hints["messages.content.image_url.detail"] = None
                blocks.append(_cached(image(part.image_url.url, where), part.cache_control))
            elif isinstance(part, words.File):
                blocks.append(_cached(document(part.file, where), part.cache_control))
            else:
                raise UnsupportedParameter(
                    f"`{where}`: Anthropic's models take no audio. Send a transcript as text.",
                    param=where,
                )
        return blocks


def tool_id(id_: str) -> str:
    """An id in Anthropic's alphabet; the same one for a call and its result."""
    return _NOT_ID.sub("_", id_) or "_"


def _text(text: str | None) -> list[Json]:
    """A text block, or none: Anthropic refuses text blocks without any visible character."""
    return [{"type": "text", "text": text}] if text and not text.isspace() else []


def _cached(block: Json, cache_control: Json | None) -> Json:
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def _is_signed(block: Json) -> bool:
    if block.get("type") == "redacted_thinking":
        return bool(block.get("data"))
    return block.get("type") == "thinking" and bool(block.get("signature"))


def _tool_use(call: words.ToolCall, at: str) -> Json:
    if call.function is None:
        raise UnsupportedParameter(
            f"`{at}`: only calls of functions can be carried to Anthropic's models.", param=at
        )
    block: Json = {
        "type": "tool_use",
        "id": tool_id(call.id),
        "name": call.function.name,
        "input": _input(call.function.arguments, at),
    }
    return _cached(block, call.cache_control)


def _input(arguments: str, at: str) -> Json:
    if not arguments.strip():
        return {}
    try:
        parsed = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    param = f"{at}.arguments" if at.endswith("function_call") else f"{at}.function.arguments"
    raise InvalidValue(
        f'`{param}`: must be a JSON object written as a string, for example "{{}}".', param=param
    )
