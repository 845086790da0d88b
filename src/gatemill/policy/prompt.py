"""What a person asked, out of a request in any of our formats.

Rule: bounded, and nothing is changed; text that no person wrote (tools' results, files) is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.core.ports import Json

USER_TURNS = 2  # the last ones: a short one often only makes sense with the one before
# Of one text: people ask at the beginning or at the end, and paste in between.
HEAD_CHARS = 2_000
TAIL_CHARS = 1_000
_RULES = frozenset(("system", "developer"))


class Prompt(Struct, frozen=True):
    """The text that is looked at."""

    asked: str  # the last turns of the user, the older one first
    rules: str  # system text
    earlier: int  # answers that were given before
    tools: int


def prompt_of(body: Json) -> Prompt:
    """The prompt of a request for chat, messages, responses, completions or inference."""
    asked: list[str] = []
    rules = [*_texts(body.get("system")), *_texts(body.get("instructions"))]
    earlier = 0
    for role, text in _turns(body):
        if role == "user":
            asked.append(text)
        elif role in _RULES:
            rules.append(text)
        elif role == "assistant":
            earlier += 1
    tools = body.get("tools")
    return Prompt(
        asked="\n".join(map(_cut, filter(None, asked[-USER_TURNS:]))),
        rules=_cut("\n".join(rules)),
        earlier=earlier,
        tools=len(tools) if isinstance(tools, list) else 0,
    )


def _turns(body: Json) -> Iterator[tuple[str, str]]:
    for name in ("messages", "input", "prompt", "text"):
        value = body.get(name)
        if isinstance(value, str):
            yield "user", value
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, str):
                    yield "user", item
                elif isinstance(item, dict):
                    yield str(item.get("role")), "\n".join(_texts(item.get("content")))


def _texts(content: Any) -> Iterator[str]:
    """The texts of a message's content; parts of other kinds have none."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _cut(text: str) -> str:
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n{text[-TAIL_CHARS:]}"
