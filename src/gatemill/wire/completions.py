"""OpenAI's old text completions: POST /v1/completions.

Rule: natively the bytes pass; through the hub a prompt becomes one user message, and what chat
cannot do (echo, suffix, best_of, logprobs, token prompts, several prompts) is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head
from gatemill.core.errors import InvalidValue, UnsupportedParameter, UpstreamBadReply
from gatemill.wire import chat, fields, sse
from gatemill.wire.fields import OpenAIUsage, openai_usage
from gatemill.wire.passage import ChatPassage

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import Json

NAME = "completions"
FAMILY = "openai"

_OUTPUT_DEFAULT = 16  # the API's own default for max_tokens
_HINTS = {
    "prompt": "Send a string, an array of strings, or token arrays.",
    "model": "GET /v1/models lists the names.",
    "n": "Ask for 1 to 128 choices.",
}
# Same name and meaning in the hub.
_SAME = (
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "user",
    "safety_identifier",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
)
_CARRIED = frozenset(_SAME) | {"model", "prompt", "max_tokens", "stream", "stream_options"}
_CHAT = "Leave it out, or use /v1/chat/completions."
_REMEDIES = {
    "echo": "Put the prompt before the answer yourself.",
    "suffix": "Ask for the text between in the prompt itself.",
    "logprobs": "Use /v1/chat/completions with `logprobs` and `top_logprobs`.",
}
# The hub knows two more reasons, and neither can arise from a request without tools.
_FINISH = {"length": "length", "content_filter": "content_filter"}
_Tokens = Annotated[list[int], Meta(min_length=1)]


class _CompletionsHead(Struct):
    model: Annotated[str, Meta(min_length=1)]
    prompt: str | Annotated[list[str | int | _Tokens], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: chat.StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None


class _Reply(Struct):
    choices: list[Raw] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = Raw(b"null")  # Raw | None would take null alone


class _Said(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Hub(Struct):
    choices: list[_Choice]
    model: str | None = None
    created: float | None = None


_head = msgspec.json.Decoder(_CompletionsHead)
_reply = msgspec.json.Decoder(_Reply, strict=False)


def head(body: bytes) -> Head:
    """The head of a completions request. Raises InvalidRequest and its kinds.

    `choices` counts the answers generated: prompts times the larger of `n` and `best_of`.
    """
    read = fields.decode_head(_head, body, _HINTS)
    options = read.stream_options
    return Head(
        model=read.model,
        stream=bool(read.stream),
        wants_usage=options is not None and bool(options.include_usage),
        output_max=read.max_tokens,
        choices=max(read.n or 1, read.best_of or 1) * _prompts(read.prompt),
        user=read.safety_identifier or read.user or "",
    )


def _prompts(prompt: str | list[Any]) -> int:
    if isinstance(prompt, str):
        return 1
    kinds = {type(item) for item in prompt}
    if len(kinds) > 1:
        raise InvalidValue("`prompt`: do not mix strings and tokens.", param="prompt")
    return 1 if kinds == {int} else len(prompt)


# The same rewriting as in chat: the model's name and stream_options.include_usage.
native = chat.native


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    return chat.reply_usage(_reply, body)


def passage(head: Head) -> ChatPassage:
    """A pass-through for one native stream; its chunks differ from chat's in `text` alone."""
    return ChatPassage(strip_usage=not head.wants_usage)


def to_chat(body: bytes, call: Call) -> Json:
    """The hub's request. Raises UnsupportedParameter for what chat cannot do."""
    asked = fields.read_object(body)
    for name, value in asked.items():
        if name not in _CARRIED and not _asks_nothing(name, value):
            raise UnsupportedParameter(
                f"`{name}`: chat models cannot do this. {_REMEDIES.get(name, _CHAT)}", param=name
            )
    out: Json = {"model": call.head.model}
    out["messages"] = [{"role": "user", "content": _single(asked["prompt"])}]
    limit = call.head.output_max
    out["max_completion_tokens"] = _OUTPUT_DEFAULT if limit is None else limit
    out |= {name: asked[name] for name in _SAME if asked.get(name) is not None}
    if call.head.stream:
        out["stream"] = True
    return out


def _asks_nothing(name: str, value: Any) -> bool:
    # `logprobs` 0 is not among these: it asks for the chosen tokens' probabilities.
    return value is None or value is False or (name == "best_of" and value == 1)


def _single(prompt: Any) -> str:
    text = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
    if not isinstance(text, str):
        raise UnsupportedParameter(
            "`prompt`: a chat model takes one text. Send one request for each prompt, as a string.",
            param="prompt",
        )
    return text


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """The completion object for a hub answer. Raises UpstreamBadReply."""
    read = _read(completion)
    choices = [
        _choice(choice, choice.message, _FINISH.get(choice.finish_reason or "", "stop"))
        for choice in read.choices
    ]
    return fields.encode({**_frame(read, call), "choices": choices, "usage": openai_usage(usage)})


def writer(call: Call) -> CompletionWriter:
    """A writer for one translated stream."""
    return CompletionWriter(call)


class CompletionWriter:
    """Hub chunks as text completion chunks."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._frame: Json = {}  # set by the first chunk, so that the usage chunk has the same

    def write(self, chunk: Json) -> bytes:
        """One event; none for a chunk that adds neither text nor an end."""
        read = _read(chunk)
        self._frame = self._frame or _frame(read, self._call)
        choices = []
        for choice in read.choices:
            finish = choice.finish_reason and _FINISH.get(choice.finish_reason, "stop")
            shown = _choice(choice, choice.delta, finish)
            if shown["text"] or finish:
                choices.append(shown)
        return self._event(choices, None) if choices else b""

    def finish(self, usage: Usage | None) -> bytes:
        """The usage chunk when the caller asked for it, and the end mark."""
        if not self._call.head.wants_usage or usage is None:
            return sse.DONE
        self._frame = self._frame or _frame(_Hub(choices=[]), self._call)
        return self._event([], openai_usage(usage)) + sse.DONE

    def _event(self, choices: list[Json], usage: Json | None) -> bytes:
        told = {"usage": usage} if self._call.head.wants_usage else {}
        return sse.event(fields.encode({**self._frame, "choices": choices, **told}))


def _read(answer: Json) -> _Hub:
    try:
        return msgspec.convert(answer, _Hub)
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None


def _frame(read: _Hub, call: Call) -> Json:
    return {
        "id": f"cmpl-{call.id}",
        "object": "text_completion",
        "created": int(read.created or call.arrived_at),
        "model": read.model or call.head.model,
    }


def _choice(choice: _Choice, said: _Said | None, finish: str | None) -> Json:
    text = (said.content or said.refusal or "") if said else ""
    return {"index": choice.index, "text": text, "logprobs": None, "finish_reason": finish}
