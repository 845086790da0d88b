"""How hard a prompt is, judged by its text alone: no model is asked.

Rule: what is asked for counts first, length last; a short prompt is not a simple one. Every feature
has a name, a value from 0 to 1 and a weight, and the sum is the score. docs/guides/choose-models.md
says how often it is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.policy import complexity_words as words
from gatemill.policy.prompt import prompt_of

if TYPE_CHECKING:
    import re

    from gatemill.core.ports import Json
    from gatemill.policy.prompt import Prompt

OPENING_CHARS = 120  # where people say what they want, before what they paste
CLOSING_CHARS = 80  # or behind it
LONG_CHARS = 90  # a request of this length that is no plain task asks for much

# Of the full value of each feature; set on one half of the labelled prompts, measured on the other.
# Length counted far less at first: then hard requests without any known word went to the cheap
# model, which is the worse mistake of the two.
WEIGHTS = {
    "thought": 0.80,  # prove, design, compare, implement
    "depth": 0.80,  # explain, calculate, plan
    "why": 0.55,
    "maths": 0.40,
    "code": 0.35,
    "numbers": 0.65,
    "constraints": 0.60,
    "steps": 0.30,
    "length": 0.50,
    "tools": 0.15,
    "turns": 0.10,
    "plain": -0.50,  # translate, summarise, say hello
}


class Complexity(Struct, frozen=True):
    """A cheap model for simple prompts, another for the rest."""

    simple: str  # names of [models]
    hard: str
    threshold: float  # score from which a prompt is hard


class Reading(Struct, frozen=True):
    """What was seen in a prompt."""

    score: float  # 0 to 1
    reasons: tuple[str, ...]  # the features that made it, strongest first


def read(body: Json) -> Reading:
    """The complexity of a request in any of our formats. Reads at most 9,000 characters."""
    values = features(prompt_of(body))
    parts = {name: WEIGHTS[name] * value for name, value in values.items() if value}
    score = min(1.0, max(0.0, sum(parts.values())))
    return Reading(round(score, 3), tuple(sorted(parts, key=lambda name: -abs(parts[name]))))


def features(prompt: Prompt) -> dict[str, float]:
    """The value of each feature, 0 to 1."""
    text = prompt.asked.casefold()
    thought = _kinds(words.THOUGHT, text)
    is_plain = bool(
        words.PLAIN.search(text[:OPENING_CHARS]) or words.PLAIN.search(text[-CLOSING_CHARS:])
    )
    # What a plain task carries along is material: its numbers and questions ask for nothing.
    share = 0.2 if is_plain and not thought else 1.0
    own = words.QUOTED.sub("", text)
    chars = len(own) + 2 * len(words.DENSE.findall(own))
    numbers = len(words.NUMBER.findall(own))
    questions = len(words.QUESTION.findall(text))
    steps = _kinds(words.STEP, text) + len(words.POINT.findall(text)) + max(0, questions - 1)
    bounds = _kinds(words.BOUND, text) + _kinds(words.BOUND, prompt.rules.casefold()) / 4
    return {
        "thought": _part(thought, 0.7),
        "depth": _part(_kinds(words.DEPTH, text), 0.65) * share,
        "why": float(bool(words.WHY.search(text))) * share,
        "maths": _part(len(words.MATHS.findall(text)), 0.5) * share,
        "code": _part(len(words.CODE.findall(text)), 0.3) * share,
        "numbers": _part(max(0, numbers - (1 if questions else 3)), 0.3) * share,
        "constraints": _part(bounds, 0.3) * share,
        "steps": _part(steps, 0.4) * share,
        "length": min(1.0, chars / LONG_CHARS) * share,
        "tools": min(1.0, prompt.tools / 8),
        "turns": min(1.0, prompt.earlier / 10),
        "plain": float(is_plain),
    }


def _kinds(pattern: re.Pattern[str], text: str) -> int:
    """How many different words of a kind there are: one word ten times says no more than once."""
    return len(set(pattern.findall(text)))


def _part(count: float, first: float) -> float:
    """From a count to 0..1: the first is worth `first`, each further one the same share of the rest."""
    left: float = (1.0 - first) ** count
    return 1.0 - left
