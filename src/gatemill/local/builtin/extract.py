"""builtin/extract: an answer made of sentences that were sent. Rule: it writes nothing of its own but where it found them.

With passages, or a text and a question, it quotes what shares the rarest words with the question. A
text without a question is summed up by the sentences that hold its commonest words.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import UnsupportedParameter
from gatemill.local.builtin.passages import Message, Passage, sources
from gatemill.local.builtin.words import sentences, terms
from gatemill.policy import tokens
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatemill.core.ports import Json
    from gatemill.local.builtin.passages import Sources

NOTHING = "No sentence of what was sent answers this."
NO_TEXT = (
    "builtin/extract quotes from texts, and none was sent. Send passages, or a text and a question."
)
OUTPUT_TOKENS = 300  # where the request does not say
QUOTES_MAX = 5  # for one question
SENTENCES_MAX = 40  # of a summary
CANDIDATES_MAX = 400  # sentences among which a summary chooses
SENTENCE_CHARS_MAX = 600  # a longer one is cut
_COVERED_MIN = 0.3  # part of the question's words, by rarity, that a sentence must share
_NEAR_BEST = 0.6  # of the best sentence's share that others must have
_WANTED = 3  # times as much counts a word that the reader named
_SUMMARY_SHARE = 0.25  # of the sentences of a text
_TEXT_SENTENCES_MIN = 3  # from which a user's message is a text, and not a question
_TASK_CHARS_MAX = 300  # of the paragraph before or after a text that says what to do with it
_MARK = re.compile(r"\[(\d{1,6})\]")
_HEADING = re.compile(r"^#{1,6} .{1,300}$", re.MULTILINE)
_MATTERS = "What matters to the reader:"  # what reports say before the reader's wish


class _Part(Struct):
    text: str | None = None


class _Message(Struct):
    role: str
    content: str | list[_Part] | None = None


class _Format(Struct):
    type: str = "text"


class _Options(Struct):
    include_usage: bool | None = None


class _Asked(Struct):
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _Options | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: int | None = None
    response_format: _Format | None = None
    tool_choice: Any = None


class _Quote(Struct, frozen=True):
    """A sentence, and where it stands."""

    text: str
    number: int  # of its passage; 0: not cited
    place: int  # among all sentences
    terms: frozenset[str]


_asked = msgspec.json.Decoder(_Asked)


def answer(body: bytes, now_s: float) -> Json | Sequence[bytes]:
    """The completion, or its events. Raises UnsupportedParameter and what a bad body raises."""
    asked = fields.decode_head(_asked, body)
    _check(asked)
    most = asked.max_completion_tokens or asked.max_tokens or OUTPUT_TOKENS
    lines, is_cut = _fitting(said(sources(_messages(asked))), most)
    text = "\n".join(lines)
    used = {
        "prompt_tokens": tokens.estimate_prompt(fields.read_object(body)),
        "completion_tokens": tokens.estimate(len(text.encode())),
    }
    used["total_tokens"] = used["prompt_tokens"] + used["completion_tokens"]
    head: Json = {
        "id": f"chatcmpl-{hashlib.sha256(body).hexdigest()[:24]}",
        "created": int(now_s),
        "model": "builtin/extract",
        "system_fingerprint": "builtin-extract",
    }
    finish = "length" if is_cut else "stop"
    if asked.stream:
        wanted = asked.stream_options is not None and asked.stream_options.include_usage
        return _events(head, lines, finish, used if wanted else None)
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {"object": "chat.completion", **head, "choices": [choice], "usage": used}


def _check(asked: _Asked) -> None:
    if asked.n not in (None, 1):
        _refuse("n", "it has one answer to a question")
    if asked.response_format is not None and asked.response_format.type != "text":
        _refuse("response_format", "it quotes and writes no JSON")
    if asked.tool_choice not in (None, "none", "auto"):
        _refuse("tool_choice", "it calls no functions")


def _refuse(name: str, why: str) -> NoReturn:
    raise UnsupportedParameter(
        f"`{name}`: builtin/extract cannot do that; {why}. Leave it out.", param=name
    )


def _messages(asked: _Asked) -> list[Message]:
    found = []
    for each in asked.messages:
        content = each.content
        if isinstance(content, list):
            content = "".join(part.text or "" for part in content)
        found.append(Message(each.role, content or ""))
    return found


def said(given: Sources) -> list[str]:
    """The lines of the answer, the most important first where there is a question."""
    if given.passages:
        return _quoted(given.said, given.passages)
    own = sentences(given.said)
    if not given.is_question and len(own) >= _TEXT_SENTENCES_MIN:
        return _of_text(given.said, given.instruction)
    asks = given.is_question or given.said.endswith("?")
    if given.instruction and not asks:
        return own or [NO_TEXT]  # a text so short is its own summary
    if not given.texts:
        return [NO_TEXT]
    return _quoted(given.said, [Passage(0, text) for text in given.texts])


def _of_text(text: str, instruction: str) -> list[str]:
    """What a text says to the question that comes with it, or its summary where none does."""
    task, _, wish = instruction.partition(_MATTERS)
    paragraphs = text.split("\n\n")
    for at in (-1, 0):
        told = paragraphs[at].strip()
        if len(paragraphs) > 1 and len(told) <= _TASK_CHARS_MAX:
            del paragraphs[at]
            if told.endswith("?"):
                return _quoted(told, [Passage(0, "\n\n".join(paragraphs))])
            if told.endswith(":"):  # such as "Sum this up:"
                continue
            paragraphs.insert(len(paragraphs) if at else 0, told)
    rest = "\n\n".join(paragraphs)
    if task.strip().endswith("?"):
        return _quoted(task, [Passage(0, rest)])
    return _summed_up(rest, wish)


# --- Questions -----------------------------------------------------------------------------------


def _quoted(question: str, passages: Iterable[Passage]) -> list[str]:
    quotes: list[_Quote] = []
    for passage in passages:
        for sentence in sentences(passage.text):
            quotes.append(_Quote(sentence, passage.number, len(quotes), frozenset(terms(sentence))))
    if not quotes:
        return [NO_TEXT]
    wanted = frozenset(terms(question))
    rarity = _rarity(wanted, quotes)
    whole = sum(rarity.values()) or 1.0
    ranked: list[tuple[float, _Quote]] = []
    for quote in quotes:
        share = sum(rarity[term] for term in quote.terms & wanted) / whole
        # Of equals the shorter one, then the one whose passage was ranked higher.
        if share >= _COVERED_MIN and not quote.text.startswith("#"):
            ranked.append((share - min(0.05, len(quote.terms) / 2_000), quote))
    ranked.sort(key=lambda each: (-each[0], each[1].place))
    lines: list[str] = []
    seen: set[str] = set()
    for share, quote in ranked:
        if len(lines) == QUOTES_MAX or share < ranked[0][0] * _NEAR_BEST:
            break
        if quote.text not in seen:
            seen.add(quote.text)
            lines.append(_cited(quote))
    return lines or [NOTHING]


def _rarity(wanted: Iterable[str], quotes: Sequence[_Quote]) -> dict[str, float]:
    counts = Counter(term for quote in quotes for term in quote.terms)
    total = len(quotes)
    return {term: math.log1p(total / (0.5 + counts[term])) for term in wanted}


def _cited(quote: _Quote) -> str:
    # A document's own marks are no citations of ours.
    text = _MARK.sub(r"(\1)", _cut(quote.text)) if quote.number else _cut(quote.text)
    return f"{text} [{quote.number}]" if quote.number else text


def _cut(text: str) -> str:
    if len(text) <= SENTENCE_CHARS_MAX:
        return text
    return text[:SENTENCE_CHARS_MAX].rsplit(" ", 1)[0] + " …"


# --- Summaries -----------------------------------------------------------------------------------


def _summed_up(text: str, wish: str) -> list[str]:
    """The sentences that stand for the others, in their order and below their headings."""
    wanted = frozenset(terms(wish)) if wish.strip() else frozenset()
    parts = _parts(text)
    room = max(3, SENTENCES_MAX // max(1, len(parts)))
    lines: list[str] = []
    for heading, rest in parts:
        found = sentences(rest)
        count = min(room, max(2, math.ceil(len(found) * _SUMMARY_SHARE)))
        chosen = _central(found, count, wanted)
        if heading and chosen:
            lines.append(heading)
        lines += [_cut(found[at]) for at in chosen]
        if len(lines) >= SENTENCES_MAX:
            break
    return lines[:SENTENCES_MAX] or [NO_TEXT]


def _parts(text: str) -> list[tuple[str, str]]:
    """Headings of Markdown, each with what is below it."""
    marks = list(_HEADING.finditer(text))
    if not marks:
        return [("", text)]
    parts = [("", text[: marks[0].start()])] if text[: marks[0].start()].strip() else []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return parts + [
        (mark.group(), text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)
    ]


def _central(found: Sequence[str], count: int, wanted: frozenset[str]) -> list[int]:
    """The places of the sentences that hold the commonest words, each word once; in order."""
    held = [frozenset(terms(sentence)) for sentence in found]
    weights = Counter(term for each in held for term in each)
    worth: dict[str, float] = {
        term: math.log1p(times) * (_WANTED if term in wanted else 1)
        for term, times in weights.items()
    }

    def value(at: int) -> float:
        early = 1.0 + 1.0 / (1 + at)  # a text begins with what it is about
        return early * sum(worth[term] for term in held[at]) / math.sqrt(4 + len(held[at]))

    left = sorted(range(len(found)), key=value, reverse=True)[:CANDIDATES_MAX]
    chosen: list[int] = []
    while left and len(chosen) < count:
        best = max(left, key=value)
        left.remove(best)
        chosen.append(best)
        for term in held[best]:
            worth[term] /= 3
    return sorted(chosen)


# --- The answer ----------------------------------------------------------------------------------


def _fitting(lines: Sequence[str], tokens_max: int) -> tuple[list[str], bool]:
    """As many lines as fit, the last one cut if it is the only one; and whether any is missing."""
    room = tokens_max * tokens.BYTES_PER_TOKEN
    kept: list[str] = []
    for line in lines:
        size = len(line.encode()) + 1
        if size > room:
            if not kept:
                kept.append(line.encode()[: max(1, room - 1)].decode("utf-8", "ignore"))
            return kept, True
        kept.append(line)
        room -= size
    return kept, False


def _events(head: Json, lines: Sequence[str], finish: str, used: Json | None) -> list[bytes]:
    frame: Json = {"object": "chat.completion.chunk", **head}
    nulls: Json = {} if used is None else {"usage": None}

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.event(fields.encode({**frame, "choices": [choice], **nulls}))

    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    for at, line in enumerate(lines):
        events.append(chunk({"content": f"\n{line}" if at else line}))
    events.append(chunk({}, finish))
    if used is not None:
        events.append(sse.event(fields.encode({**frame, "choices": [], "usage": used})))
    return [*events, sse.DONE]
