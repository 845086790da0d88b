"""What the fake model says, before any vendor's form: text, thoughts, tool calls and token counts.

Rule: pure, and the same request and faults give the same turn. One word is one token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

GREETING = ("Hello", " from", " fake-provider.")
REFUSAL = ("I", " cannot", " help", " with", " that.")
THOUGHTS = ("The", " user", " greets", " me.")
# Two-, three- and four-byte characters, a skin tone and a joined family: each is cut inside.
MANY_BYTES = ("Grüße", " 👋🏽", " 你好,世界", " 👩‍👩‍👧", " café.")
# Stands for a text too large to hold; delivery.py puts the megabytes in its place.
HUGE = "@@huge@@"
CACHE_READ = 100
CACHE_WRITE = 50
CACHE_HOUR = 20
CITIES = ("Paris", "Tokyo", "Lima", "Oslo")


class ToolCall(Struct, frozen=True):
    """One call, its arguments in the pieces that a stream sends."""

    id: str  # vendors put their prefix before it
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        """The whole arguments, JSON as text."""
        return "".join(self.pieces)


class Turn(Struct, frozen=True):
    """One answer. `finish` is "stop", "length", "tools" or "refusal"."""

    number: int  # the provider's request number: makes ids differ
    model: str
    created_s: int  # Unix time
    words: tuple[str, ...]  # the text in the pieces that a stream sends, spaces included
    reasoning: tuple[str, ...]
    calls: tuple[ToolCall, ...]
    finish: str
    choices: int  # OpenAI's `n`
    prompt_tokens: int  # neither read from nor written to a cache
    cache_read: int
    cache_write: int
    cache_hour: int  # of cache_write: to be kept for an hour, which only Anthropic tells
    says_usage: bool
    streams_usage: bool  # OpenAI's stream_options.include_usage

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.words)

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of thought in all choices."""
        return len(self.reasoning) * self.choices

    @property
    def completion_tokens(self) -> int:
        """All generated tokens, thoughts included."""
        calls = sum(len(call.pieces) for call in self.calls)
        return (len(self.words) + calls) * self.choices + self.reasoning_tokens

    @property
    def prompt_total(self) -> int:
        """All prompt tokens, cached ones included."""
        return self.prompt_tokens + self.cache_read + self.cache_write


def take(body: Json, faults: Mapping[str, float], number: int, now_s: float) -> Turn:
    """The turn that answers a request; `now_s` is Unix time."""
    calls = _calls(body, int(faults["tools"]), number) if "tools" in faults else ()
    words = () if calls else _words(faults)
    words, cut = _limited(words, body)
    n = body.get("n")
    options = body.get("stream_options")
    return Turn(
        number=number,
        model=str(body.get("model", "")),
        created_s=int(now_s),
        words=words,
        reasoning=THOUGHTS if "reasoning" in faults else (),
        calls=calls,
        finish=_finish(faults, calls, cut=cut),
        choices=min(n, 16) if isinstance(n, int) and n > 0 else 1,
        prompt_tokens=prompt_tokens(body),
        cache_read=CACHE_READ if "cached" in faults else 0,
        cache_write=CACHE_WRITE if "cached" in faults else 0,
        cache_hour=CACHE_HOUR if "cached" in faults else 0,
        says_usage="no-usage" not in faults,
        streams_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def prompt_tokens(body: Json) -> int:
    """Words in whatever the request calls its prompt; a token list counts its tokens."""
    fields = ("messages", "input", "prompt", "system", "instructions")
    return sum(_count(body.get(field), depth=4) for field in fields)


def _count(node: Any, depth: int) -> int:
    """Words below `node`. Only texts are followed, and not deep: images and tools are free."""
    if isinstance(node, str):
        return len(node.split())
    if isinstance(node, int):
        return 1
    if depth and isinstance(node, list):
        return sum(_count(item, depth - 1) for item in node)
    if depth and isinstance(node, dict):
        return _count(node.get("content"), depth - 1) + _count(node.get("text"), depth - 1)
    return 0


def _words(faults: Mapping[str, float]) -> tuple[str, ...]:
    if "refusal" in faults:
        return REFUSAL
    if "huge" in faults or "gzip-bomb" in faults:
        return (HUGE,)
    if "split-utf8" in faults:
        return MANY_BYTES
    if "words" in faults:
        return tuple(f" word{i}" if i else "word0" for i in range(int(faults["words"])))
    return GREETING


def _limited(words: tuple[str, ...], body: Json) -> tuple[tuple[str, ...], bool]:
    """The words within the caller's token limit, and whether it cut."""
    for field in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        limit = body.get(field)
        if isinstance(limit, int) and 0 < limit < len(words):
            return words[:limit], True
    return words, False


def _finish(faults: Mapping[str, float], calls: tuple[ToolCall, ...], *, cut: bool) -> str:
    if "length" in faults or cut:
        return "length"
    if calls:
        return "tools"
    return "refusal" if "refusal" in faults else "stop"


def _calls(body: Json, count: int, number: int) -> tuple[ToolCall, ...]:
    """`count` calls of the request's tools in turn; none when the request brings a tool's result."""
    if _brings_result(body):
        return ()
    names = _tool_names(body.get("tools")) or ("get_weather",)
    return tuple(
        ToolCall(
            id=f"fake{number:08d}_{i}",
            name=names[i % len(names)],
            pieces=('{"city":', f' "{CITIES[i % len(CITIES)]}"', "}"),
        )
        for i in range(count)
    )


def _tool_names(tools: Any) -> tuple[str, ...]:
    """Names in OpenAI's chat form (below `function`) and in all others (at the top)."""
    if not isinstance(tools, list):
        return ()
    entries = [tool for tool in tools if isinstance(tool, dict)]
    found = (
        tool["function"] if isinstance(tool.get("function"), dict) else tool for tool in entries
    )
    return tuple(entry["name"] for entry in found if isinstance(entry.get("name"), str))


def _brings_result(body: Json) -> bool:
    turns = body.get("messages", body.get("input"))
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], dict):
        return False
    last = turns[-1]
    if last.get("role") == "tool" or last.get("type") == "function_call_output":
        return True
    parts = last.get("content")
    return isinstance(parts, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_result" for part in parts
    )


encode = msgspec.json.Encoder().encode
"""Compact JSON; characters outside ASCII stay as they are, which `split-utf8` needs."""
