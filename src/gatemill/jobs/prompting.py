"""Texts to models and back: what the kinds that read documents share. Rule: nothing here waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import ContentRefused, InvalidValue, UpstreamBadReply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Ends of a passage, the best first; it ends at one of them if that wastes less than half of it.
_BORDERS = (b"\n\n", b"\n", b". ", b" ")


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """A text with a name of the caller's."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    text: Annotated[str, Meta(min_length=1)]


class Wish(Struct, frozen=True):
    """What a model is to do with texts."""

    model: str
    output_max: int | None = None  # tokens
    temperature: float | None = None


class Said(Struct, frozen=True):
    """What a model answered."""

    text: str
    finish: str  # "stop", "length" ...


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


_completion = msgspec.json.Decoder(_Completion)


def chat_body(wish: Wish, instruction: str, text: str) -> bytes:
    """The chat request for one text."""
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
    body: dict[str, Any] = {"model": wish.model, "messages": messages}
    if wish.output_max is not None:
        body["max_completion_tokens"] = wish.output_max
    if wish.temperature is not None:
        body["temperature"] = wish.temperature
    return msgspec.json.encode(body)


def said_in(answer: bytes) -> Said:
    """The text of a chat completion. Raises UpstreamBadReply, and ContentRefused for a refusal."""
    try:
        choice = _completion.decode(answer).choices[0]
    except msgspec.MsgspecError:
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    finish = choice.finish_reason or ""
    if choice.message.refusal or (finish == "content_filter" and not choice.message.content):
        raise ContentRefused("The model refused to answer. Change the text or the instruction.")
    return Said(choice.message.content or "", finish)


def check_ids(documents: Sequence[Document]) -> None:
    """Each id stands once. Raises InvalidValue."""
    seen: set[str] = set()
    for at, document in enumerate(documents):
        if document.id in seen:
            raise InvalidValue(
                f"`documents.{at}.id`: stands twice. Give each document its own.",
                param=f"documents.{at}.id",
            )
        seen.add(document.id)


def passages(text: str, bytes_max: int) -> Iterator[str]:
    """The text in passages of at most `bytes_max` bytes of UTF-8, at least 4; joined they are the text.

    They end between paragraphs, lines, sentences or words, where that is possible.
    """
    data = text.encode("utf-8", "replace")
    at = 0
    while len(data) - at > bytes_max:
        end = _border(data, at, at + bytes_max)
        yield data[at:end].decode()
        at = end
    yield data[at:].decode()


def _border(data: bytes, start: int, end: int) -> int:
    half = (start + end) // 2
    for border in _BORDERS:
        found = data.rfind(border, half, end)
        if found >= 0:
            return found + len(border)
    while data[end] & 0xC0 == 0x80:  # never inside a character
        end -= 1
    return end
