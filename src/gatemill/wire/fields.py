"""What the formats share: reading a head with errors that name the field, and usage objects.

Rule: a caller's mistake becomes an InvalidRequest kind whose `param` is a dotted path
("messages.0.role") and whose message ends in a remedy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from gatemill.core.call import Usage
from gatemill.core.errors import (
    InvalidJson,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    JsonTooDeep,
    MissingParameter,
)
from gatemill.wire import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")
TOKENS_MAX = 2**31 - 1  # of one answer; what costs more fits no column and no counter
Count = Annotated[int, Meta(ge=0, le=TOKENS_MAX)]
# Whose features a request is about: {"user": "u1"}. Ours; no provider sees it.
Entities = Annotated[dict[str, Annotated[str, Meta(max_length=200)]], Meta(max_length=8)]

_AT = re.compile(r" - at `(.*)`$")
_NO_SUCH_WORD = "Invalid enum value"
_KEY_IN = "key` in `"  # the decoder's path to a key, and not to its value
_HALF_PAIR = re.compile(rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F])")
_MISSING = re.compile(r"^Object missing required field `(.+?)`$")
_EXPECTED = re.compile(r"^Expected `(.+?)`, got `(.+?)`$")
_JSON_WORDS = {"str": "a string", "int": "an integer", "float": "a number", "bool": "true or false"}
_JSON_WORDS |= {"array": "an array", "object": "an object", "null": "null"}
_TEXT_MAX = 200  # of what the decoder says
_NO_HINTS: Mapping[str, str] = {}

encode = msgspec.json.Encoder().encode
shallow = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def read_object(body: bytes) -> dict[str, Any]:
    """All of a body whose head has been read. Raises InvalidValue for a number that nobody can hold.

    The head skips such a number in a field that it does not know.
    """
    try:
        return decode_object(body)
    except msgspec.ValidationError:
        raise InvalidValue(
            "The body holds a number that is out of range. Send a smaller one."
        ) from None


# What the gateway reads and acts upon. Providers differ in which of two equal names they believe.
_READ = tuple(
    b'"%b"' % name.encode()
    for name in ("model", "stream", "n", "max_tokens", "max_completion_tokens", "max_output_tokens")
)
_ESCAPED_LETTER = re.compile(rb"\\u00[5-7]")


def is_plain(body: bytes) -> bool:
    """No field that we read can stand twice, so what we have checked is what the provider reads.

    May be False without need, for example when a text holds such a name as a value.
    """
    if b"\\u00" in body and _ESCAPED_LETTER.search(body):
        return False
    return max(map(body.count, _READ)) < 2


def renamed(body: bytes, named: str, model: str) -> bytes:
    """The body for an upstream that calls the model `model` instead of `named`.

    It is `body` itself where nothing has to change; otherwise each field stands once, the last one.
    """
    if model == named and is_plain(body):
        return body
    outer = shallow(body)
    outer["model"] = msgspec.Raw(encode(model))
    return encode(outer)


def decode_head(
    decoder: msgspec.json.Decoder[T], body: bytes, hints: Mapping[str, str] = _NO_HINTS
) -> T:
    """The decoded head of a body.

    `hints` adds a remedy for a field, keyed by the last name of its path. Raises InvalidJson,
    JsonTooDeep, MissingParameter, InvalidType or InvalidValue.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error), hints, decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(_unreadable(str(error), body)) from None
    except RecursionError:
        raise JsonTooDeep("The body is nested too deeply. Flatten arrays and objects.") from None


def _unreadable(text: str, body: bytes) -> str:
    # The decoder says that a body is cut short where only the second half of a pair is missing.
    if found := _HALF_PAIR.search(body):
        return (
            f"A text holds half of a surrogate pair (byte {found.start(1)}). Send whole characters."
        )
    return f"The body is not valid JSON: {text}. Send one JSON object."


def _explained(text: str, hints: Mapping[str, str], kind_read: Any) -> InvalidRequest:
    at = _AT.search(text)
    param, part = _place(at.group(1)) if at else ("", "")
    text = text[: at.start()] if at else text
    if len(text) > _TEXT_MAX:  # it repeats the value
        text = f"{text[:_TEXT_MAX]} ..."
    kind: type[InvalidRequest] = InvalidValue
    if missing := _MISSING.match(text):
        param = f"{param}.{missing.group(1)}".lstrip(".")
        kind, text = MissingParameter, "is required"
    elif expected := _EXPECTED.match(text):
        kind = InvalidType
        text = f"must be {_words(expected.group(1))}, not {_words(expected.group(2))}"
    hint = hints.get(param.rsplit(".", 1)[-1], "")
    if not hint and text.startswith(_NO_SUCH_WORD):
        hint = allowed.hint(kind_read, param)
    if not param:
        return kind(f"The body {text}. Send one JSON object.")
    return kind(f"`{param}`: {part}{text}.{' ' + hint if hint else ''}", param=param)


def _place(path: str) -> tuple[str, str]:
    # Of a free object the decoder does not say which entry is meant, so the object is the place.
    place, *below = path.removeprefix(_KEY_IN).split("[...]", 1)
    part = "a key: " if path.startswith(_KEY_IN) else "a value: "
    return dotted(place), part if below or path.startswith(_KEY_IN) else ""


def _words(types: str) -> str:
    return " or ".join(_JSON_WORDS.get(name, name) for name in types.split(" | "))


def dotted(path: str) -> str:
    """`$.messages[0].role` as `messages.0.role`."""
    return re.sub(r"\[(\d+)\]", r".\1", path).removeprefix("$").lstrip(".")


# What providers answer is decoded with strict=False: some write counts as 10.0 or "10".
class PromptDetails(Struct):
    """OpenAI's prompt_tokens_details, also input_tokens_details."""

    cached_tokens: Count | None = 0
    cache_write_tokens: Count | None = 0
    audio_tokens: Count | None = 0


class CompletionDetails(Struct):
    """OpenAI's completion_tokens_details, also output_tokens_details."""

    reasoning_tokens: Count | None = 0
    audio_tokens: Count | None = 0


class OpenAIUsage(Struct):
    """OpenAI's usage object on chat, completions and embeddings."""

    prompt_tokens: Count | None = 0
    completion_tokens: Count | None = 0
    total_tokens: Count | None = 0
    # DeepSeek's own name: https://api-docs.deepseek.com/guides/kv_cache
    prompt_cache_hit_tokens: Count | None = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


def buckets(
    prompt: int,
    completion: int,
    in_: PromptDetails | None,
    out: CompletionDetails | None,
    total: int,
) -> Usage:
    """Disjoint buckets for sums that include their details, as OpenAI counts; `total` may be 0.

    What only the total holds is billed as well: thoughts at Gemini and xAI (seen 2026-11), the
    prompt where it was not told. A detail larger than its sum (seen from vendors) is cut to it,
    so no bucket is negative.
    """
    beyond = total - prompt - completion
    thought = (out.reasoning_tokens or 0) if out else 0
    if beyond > 0:
        told = (in_.cached_tokens or 0) + (in_.cache_write_tokens or 0) if in_ else 0
        if not prompt:  # nobody asks with nothing
            prompt = beyond
        elif told > prompt:  # counted beside the prompt, as Anthropic does
            prompt += min(told, beyond)
        if beyond := total - prompt - completion:
            completion += beyond
            thought = max(thought, beyond)
    cached = min(in_.cached_tokens or 0, prompt) if in_ else 0
    written = min(in_.cache_write_tokens or 0, prompt - cached) if in_ else 0
    heard = min(in_.audio_tokens or 0, prompt - cached - written) if in_ else 0
    thought = min(thought, completion)
    spoken = min(out.audio_tokens or 0, completion - thought) if out else 0
    return Usage(
        input=prompt - cached - written - heard,
        cache_read=cached,
        cache_write=written,
        input_audio=heard,
        output=completion - thought - spoken,
        reasoning=thought,
        output_audio=spoken,
    )


def from_openai_usage(usage: OpenAIUsage) -> Usage | None:
    """Disjoint buckets of OpenAI's usage object; None for one that tells of no token: no answer has none."""
    if not (usage.prompt_tokens or usage.completion_tokens or usage.total_tokens):
        return None
    details = usage.prompt_tokens_details
    if details is None and usage.prompt_cache_hit_tokens:
        details = PromptDetails(cached_tokens=usage.prompt_cache_hit_tokens)
    return buckets(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        details,
        usage.completion_tokens_details,
        usage.total_tokens or 0,
    )


def openai_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object for chat and completions."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_written,
            "audio_tokens": usage.input_audio,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.output_audio,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def capped(body: bytes, name: str, most: int) -> bytes:
    """`body` with the number `most` in the field `name`, unless it has one there; null is none."""
    if b'"%b"' % name.encode() not in body and b"\\u00" not in body:
        # By far the usual case: the field is nowhere, so that it can be put in front.
        return b'{"%b":%d,%b' % (name.encode(), most, body.lstrip()[1:])
    outer = shallow(body)
    if bytes(outer.get(name, b"null")) != b"null":
        return body
    outer[name] = msgspec.Raw(b"%d" % most)
    return encode(outer)
