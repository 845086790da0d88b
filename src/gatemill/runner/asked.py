"""What a request asks for. Rule: what the runner cannot do is refused here by name, never ignored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

CHOICES_MAX = 32  # of one request, all prompts together
STOPS_MAX = 16
STOP_CHARS_MAX = 256

_Tokens = Annotated[int, Meta(ge=1)]
_Text = str | list[Any]


class Sampling(Struct, frozen=True):
    """How the next token is chosen; None is the model's own default."""

    temperature: float | None = None  # 0 takes the likeliest token
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None


class Asked(Struct, frozen=True):
    """A valid request of either kind."""

    model: str
    chat: tuple[dict[str, Any], ...] = ()  # messages; empty for completions
    prompts: tuple[str | tuple[int, ...], ...] = ()  # texts or token ids; empty for chat
    choices: int = 1  # for each prompt
    stream: bool = False
    wants_usage: bool = False  # as the last event of a stream
    output_max: int | None = None  # tokens
    stops: tuple[str, ...] = ()
    sampling: Sampling = Sampling()


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Both(Struct, kw_only=True):
    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Tokens | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stop: str | list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=1)] | None = None  # not OpenAI's; other servers have it, too
    seed: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None


class _Message(Struct):
    role: Annotated[str, Meta(min_length=1)]
    content: _Text | None = None
    name: str | None = None
    tool_calls: list[Any] | None = None


class _Chat(_Both, kw_only=True):
    messages: Annotated[list[_Message], Meta(min_length=1)]
    max_completion_tokens: _Tokens | None = None
    logprobs: bool | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None


class _Completion(_Both, kw_only=True):
    prompt: str | list[Any]
    logprobs: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None


_decode_chat = msgspec.json.Decoder(_Chat)
_decode_completion = msgspec.json.Decoder(_Completion)


def chat(body: bytes) -> Asked:
    """A chat completion. Raises InvalidRequest and its kinds, with the field at fault."""
    said = fields.decode_head(_decode_chat, body)
    _refuse(said, {"logprobs": said.logprobs, "tools": said.tools, "functions": said.functions})
    if said.response_format and said.response_format.get("type", "text") != "text":
        raise _cannot("response_format")
    if said.audio or said.modalities not in (None, ["text"]):
        raise _cannot("modalities")
    messages = tuple(_message(one, i) for i, one in enumerate(said.messages))
    output_max = said.max_completion_tokens or said.max_tokens
    return _asked(said, output_max, chat=messages)


def completion(body: bytes) -> Asked:
    """A completion of one or several prompts. Raises InvalidRequest and its kinds."""
    said = fields.decode_head(_decode_completion, body)
    _refuse(said, {"logprobs": said.logprobs is not None, "echo": said.echo, "suffix": said.suffix})
    if said.best_of not in (None, said.n or 1):
        raise _cannot("best_of")
    prompts = _prompts(said.prompt)
    if len(prompts) * (said.n or 1) > CHOICES_MAX:
        raise InvalidValue(
            f"`prompt` times `n` may be {CHOICES_MAX} here. Send fewer.", param="prompt"
        )
    return _asked(said, said.max_tokens, prompts=prompts)


def _asked(
    said: _Both,
    output_max: int | None,
    *,
    chat: tuple[dict[str, Any], ...] = (),
    prompts: tuple[str | tuple[int, ...], ...] = (),
) -> Asked:
    options = said.stream_options
    return Asked(
        model=said.model,
        chat=chat,
        prompts=prompts,
        choices=said.n or 1,
        stream=bool(said.stream),
        wants_usage=options is not None and bool(options.include_usage),
        output_max=output_max,
        stops=_stops(said.stop),
        sampling=Sampling(said.temperature, said.top_p, said.top_k, said.seed),
    )


def _refuse(said: _Both, more: dict[str, object]) -> None:
    """Everything of `more` that is set, and what neither kind can do, is refused."""
    wanted: dict[str, object] = {
        "frequency_penalty": said.frequency_penalty,
        "presence_penalty": said.presence_penalty,
        "logit_bias": said.logit_bias,
        **more,
    }
    for name, value in wanted.items():
        if value:
            raise _cannot(name)


def _cannot(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"A model of this runner has no `{name}`. Leave it out, or use another model.", param=name
    )


def _message(said: _Message, at: int) -> dict[str, Any]:
    """The message as chat templates read it: text is one string."""
    where = f"messages.{at}"
    if said.tool_calls:
        raise _cannot(f"{where}.tool_calls")
    content = said.content
    if isinstance(content, list):
        content = "".join(_part(part, f"{where}.content.{i}") for i, part in enumerate(content))
    found: dict[str, Any] = {"role": said.role, "content": content or ""}
    if said.name:
        found["name"] = said.name
    return found


def _part(part: object, where: str) -> str:
    if isinstance(part, dict) and isinstance(text := part.get("text"), str):
        return text
    raise InvalidValue(f"`{where}`: this model reads text only. Send a text part.", param=where)


def _stops(said: str | Sequence[str] | None) -> tuple[str, ...]:
    found = (said,) if isinstance(said, str) else tuple(said or ())
    if len(found) > STOPS_MAX or any(not 0 < len(one) <= STOP_CHARS_MAX for one in found):
        raise InvalidValue(
            f"`stop` may be {STOPS_MAX} strings of 1 to {STOP_CHARS_MAX} characters.", param="stop"
        )
    return found


def _prompts(said: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    """A text, texts, token ids, or lists of them."""
    if isinstance(said, str):
        return (said,)
    if _is_ids(said):
        return (tuple(said),)
    found: list[str | tuple[int, ...]] = []
    for at, one in enumerate(said):
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, list) and _is_ids(one):
            found.append(tuple(one))
        else:
            where = f"prompt.{at}"
            raise InvalidValue(f"`{where}` must be a text or a list of token ids.", param=where)
    if not found:
        raise InvalidValue("`prompt` is empty. Send a text.", param="prompt")
    return tuple(found)


def _is_ids(said: list[Any]) -> bool:
    return bool(said) and all(type(one) is int and one >= 0 for one in said)
