"""What a conversation holds for builtin/extract: numbered passages, a question, texts.

Rule: linear in the text, whatever it is; a passage that is not closed is none.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPEN, _CLOSE = "<passage ", "</passage>"
_NUMBER = re.compile(r'\bn="(\d{1,6})"')
_HEAD_CHARS_MAX = 2_000  # of a passage's opening tag
_WRAPPER = re.compile(r"</?passages>")
_QUESTION = ("<question>", "</question>")


class Message(Struct):
    """One message, as far as it is read."""

    role: str
    text: str


class Passage(Struct, frozen=True):
    """A numbered text; `number` 0 has none and is not cited."""

    number: int
    text: str


class Sources(Struct, frozen=True):
    """What there is to quote from, and what is asked."""

    passages: tuple[Passage, ...]  # in their order, the best first where somebody ranked them
    texts: tuple[str, ...]  # of all other messages but the assistant's and the last user message
    instruction: str  # of the system
    said: str  # the last user message without passages
    is_question: bool  # `said` stands in <question>


def sources(messages: Sequence[Message]) -> Sources:
    """The sources in a conversation."""
    found: list[Passage] = []
    rests: list[Message] = []
    for message in messages:
        rest: list[str] = []
        for piece in _pieces(message.text):
            if isinstance(piece, Passage):
                found.append(piece)
            else:
                rest.append(piece)
        rests.append(Message(message.role, _WRAPPER.sub("", "".join(rest)).strip()))
    last = next((at for at in reversed(range(len(rests))) if rests[at].role == "user"), -1)
    said = rests[last].text if last >= 0 else ""
    question = _inside(said)
    system = [each.text for each in rests if each.role in ("system", "developer")]
    others = [
        each.text
        for at, each in enumerate(rests)
        if at != last and each.role != "assistant" and each.text
    ]
    return Sources(
        passages=tuple(found),
        texts=tuple(others),
        instruction="\n".join(system),
        said=said if question is None else question,
        is_question=question is not None,
    )


def _pieces(text: str) -> Iterator[str | Passage]:
    """The passages of a text and what is between them."""
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        opened = text.find(">", start, start + _HEAD_CHARS_MAX)
        closed = text.find(_CLOSE, opened) if opened >= 0 else -1
        if closed < 0:
            break
        yield text[at:start]
        number = _NUMBER.search(text, start, opened)
        inner = html.unescape(text[opened + 1 : closed])
        yield Passage(int(number.group(1)) if number else 0, inner.strip())
        at = closed + len(_CLOSE)
    yield text[at:]


def _inside(said: str) -> str | None:
    start = said.rfind(_QUESTION[0])
    end = said.find(_QUESTION[1], start) if start >= 0 else -1
    if end < 0:
        return None
    return html.unescape(said[start + len(_QUESTION[0]) : end]).strip()
