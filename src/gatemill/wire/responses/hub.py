"""What this surface reads of hub answers and chunks. Rule: all of it is checked here, once.

Beyond OpenAI's fields the hub holds `reasoning_content` (some vendors say `reasoning`) and
`thinking_blocks`, the signed blocks behind it, each in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply

if TYPE_CHECKING:
    from gatemill.core.ports import Json


class Function(Struct):
    """A function call, or a piece of one."""

    name: str | None = None
    arguments: str | None = None


class Custom(Struct):
    """A custom tool's call, or a piece of one."""

    name: str | None = None
    input: str | None = None


class ToolCall(Struct):
    """One call in a message (without index), or in a delta."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Citation(Struct):
    """A chat message's citation of a page."""

    type: str
    url_citation: dict[str, Any] | None = None


class Said(Struct):
    """A message, or a delta."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    thinking_blocks: list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[Citation] | None = None

    @property
    def thought(self) -> str:
        """The reasoning text, under either of its names."""
        if self.reasoning_content:
            return self.reasoning_content
        return self.reasoning if isinstance(self.reasoning, str) else ""


class Logprobs(Struct):
    """Log probabilities of the text."""

    content: list[dict[str, Any]] | None = None


NO_LOGPROBS = Logprobs()


class Choice(Struct):
    """One choice of an answer (message) or a chunk (delta)."""

    index: int = 0
    message: Said | None = None
    delta: Said | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Chunk(Struct):
    """An answer, or a chunk."""

    choices: list[Choice]
    model: str | None = None
    created: float | None = None
    service_tier: str | None = None


def read(answer: Json) -> Chunk:
    """The checked form of a hub answer or chunk. Raises UpstreamBadReply."""
    try:
        return msgspec.convert(answer, Chunk)
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
