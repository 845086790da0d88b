"""Answers and events in OpenAI's format. Rule: shapes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.call import Usage
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.errors import GatemillError

Json = dict[str, Any]
FINGERPRINT = "gatemill-runner"


class Frame(Struct, frozen=True):
    """What all parts of one answer share."""

    id: str
    created: int  # Unix seconds
    model: str
    is_chat: bool

    def complete(self, choices: Sequence[tuple[str, str]], usage: Usage) -> bytes:
        """The answer as a whole; a choice is its text and its finish_reason."""
        return fields.encode(
            {
                **self._head("chat.completion" if self.is_chat else "text_completion"),
                "choices": [self._choice(i, *choice) for i, choice in enumerate(choices)],
                "usage": fields.openai_usage(usage),
            }
        )

    def opening(self, index: int, *, nulls: bool) -> bytes:
        """The first event of a choice; b"" where the format has none."""
        if not self.is_chat:
            return b""
        return self._event(self._delta(index, {"role": "assistant", "content": ""}), nulls=nulls)

    def piece(self, index: int, text: str, finish: str | None, *, nulls: bool) -> bytes:
        """An event with text, or with the end of a choice."""
        if self.is_chat:
            return self._event(
                self._delta(index, {"content": text} if text else {}, finish), nulls=nulls
            )
        choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
        return self._event(choice, nulls=nulls)

    def usage(self, usage: Usage) -> bytes:
        """The event with the usage."""
        body = {**self._head(self._kind), "choices": [], "usage": fields.openai_usage(usage)}
        return sse.event(fields.encode(body))

    @property
    def _kind(self) -> str:
        return "chat.completion.chunk" if self.is_chat else "text_completion"

    def _head(self, kind: str) -> Json:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }

    def _choice(self, index: int, text: str, finish: str) -> Json:
        said: Json = {"text": text}
        if self.is_chat:
            said = {"message": {"role": "assistant", "content": text, "refusal": None}}
        return {"index": index, **said, "logprobs": None, "finish_reason": finish}

    def _delta(self, index: int, delta: Json, finish: str | None = None) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def _event(self, choice: Json, *, nulls: bool) -> bytes:
        """With `nulls`, every event says that its usage is not known yet, as OpenAI's do."""
        tail: Json = {"usage": None} if nulls else {}
        return sse.event(fields.encode({**self._head(self._kind), "choices": [choice], **tail}))


def models(name: str, created: int) -> bytes:
    """The list of models: one."""
    entry = {"id": name, "object": "model", "created": created, "owned_by": "gatemill-runner"}
    return fields.encode({"object": "list", "data": [entry]})


def failure(error: GatemillError) -> bytes:
    """OpenAI's error object."""
    said = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return fields.encode({"error": said})
