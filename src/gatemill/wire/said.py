"""What an answer says, whatever its format: for comparing two of them.

Rule: reads what is there and fails for nothing; of several choices the first counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError
from gatemill.wire import fields
from gatemill.wire.assembly import STREAMED, assembly

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.ports import Json

_SPACE = re.compile(r"\s+")
_FENCE = re.compile(r"^```\w*\n(.*)\n```$", re.DOTALL)


class Said(Struct, frozen=True):
    """What an answer comes to."""

    text: str = ""  # what people read, or the labels of a prediction; calls of tools as JSON
    finish: str = ""  # why it ended, in the format's own word
    choices: tuple[Any, ...] = ()  # what else makes two answers equal: calls of tools


def whole(operation: str, answer: bytes, *, streamed: bool) -> Json | None:
    """A kept answer as one object; None for one that is broken off or is none."""
    try:
        if not streamed:
            return fields.decode_object(answer)
        if operation not in STREAMED:
            return None
        made = assembly(operation)
        made.add(answer)
        return made.whole()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, GatemillError):
        return None
    except (KeyError, TypeError, AttributeError):  # an event that its format does not define
        return None


def said(operation: str, answer: Json) -> Said:
    """What it says; empty for a format that is compared by nothing."""
    read = _READERS.get(operation)
    try:
        return Said() if read is None else read(answer)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        return Said()


def plain(text: str) -> str:
    """The text without differences that readers do not see: case, spaces, a fence around it."""
    bare = text.strip()
    if fenced := _FENCE.match(bare):
        bare = fenced[1]
    return _SPACE.sub(" ", bare).strip().casefold()


def is_json(text: str) -> bool:
    """Whether the text is a JSON object or array, with or without a fence around it."""
    bare = text.strip()
    if fenced := _FENCE.match(bare):
        bare = fenced[1]
    if not bare.startswith(("{", "[")):
        return False
    try:
        msgspec.json.decode(bare)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _chat(answer: Json) -> Said:
    choice = answer["choices"][0]
    message = choice["message"]
    calls = [each.get("function") or {} for each in message.get("tool_calls") or ()]
    return Said(
        message.get("content") or message.get("refusal") or "",
        choice.get("finish_reason") or "",
        tuple((call.get("name"), _sorted(call.get("arguments"))) for call in calls),
    )


def _completions(answer: Json) -> Said:
    choice = answer["choices"][0]
    return Said(choice.get("text") or "", choice.get("finish_reason") or "")


def _messages(answer: Json) -> Said:
    blocks = answer["content"]
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    return Said(
        "".join(texts),
        answer.get("stop_reason") or "",
        tuple((call.get("name"), _sorted(call.get("input"))) for call in calls),
    )


def _responses(answer: Json) -> Said:
    items = answer["output"]
    texts = [
        part.get("text") or ""
        for item in items
        for part in item.get("content") or ()
        if part.get("type") == "output_text"
    ]
    calls = [item for item in items if item.get("type") == "function_call"]
    return Said(
        "".join(texts),
        answer.get("status") or "",
        tuple((call.get("name"), _sorted(call.get("arguments"))) for call in calls),
    )


def _inference(answer: Json) -> Said:
    return Said(answer["result"])


def _predict(answer: Json) -> Said:
    return Said("\n".join(str(each["label"]) for each in answer["predictions"]))


def _rerank(answer: Json) -> Said:
    return Said("\n".join(str(each["index"]) for each in answer["results"]))


def _moderations(answer: Json) -> Said:
    return Said(
        "\n".join(
            ",".join(sorted(name for name, flag in each["categories"].items() if flag))
            for each in answer["results"]
        )
    )


def _sorted(arguments: Any) -> str:
    """Arguments of a call in one order of their names."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            return str(arguments)
    return msgspec.json.encode(arguments, order="sorted").decode()


_READERS: dict[str, Callable[[Json], Said]] = {
    "chat": _chat,
    "completions": _completions,
    "messages": _messages,
    "responses": _responses,
    "inference": _inference,
    "predict": _predict,
    "rerank": _rerank,
    "moderations": _moderations,
}
