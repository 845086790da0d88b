"""How hard a prompt is: right often enough, bounded, and never fooled by length alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.complexity import WEIGHTS, read

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))  # where the measurement is made

import measure_complexity as measured


def score(text: str, **fields) -> float:
    return read({"messages": [{"role": "user", "content": text}], **fields}).score


def test_the_labelled_prompts_are_many_varied_and_half_hard():
    rows = measured.prompts()
    texts = [row["prompt"] for row in rows]
    assert len(rows) == len(set(texts)) >= 200
    assert 0.45 < sum(row["label"] == "hard" for row in rows) / len(rows) < 0.55
    assert len({row["language"] for row in rows}) >= 10
    assert {row["label"] for row in rows} == {"simple", "hard"}


@pytest.mark.parametrize(("lot", "share"), [("kept out", 0.85), ("seen", 0.85), ("last", 0.7)])
def test_prompts_are_judged_right(lot, share):
    found = measured.confusion([row for row in measured.prompts() if measured.lot(row) == lot])
    assert found.total() >= 40
    assert measured.right(found) >= share


def test_the_guide_shows_the_numbers_of_now():
    text = measured.GUIDE.read_text(encoding="utf-8")
    assert measured.page(text) == text, "run: python scripts/measure_complexity.py"


@pytest.mark.parametrize(
    "text",
    [
        "Is P = NP? Prove it.",
        "Beweise den Satz des Pythagoras.",
        "证明√2是无理数。",
        "Why does gzip beat LZ4?",
    ],
)
def test_a_short_prompt_may_be_hard(text):
    assert score(text) >= 0.5


def test_a_long_prompt_may_be_simple():
    letter = "We met at the station, walked along the river and came home late. " * 40
    assert score(f"Translate into French: {letter}") < 0.5
    assert score(f"{letter}\n\nSummarize this in one sentence.") < 0.5


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("prove it", "thought"),
        ("explain it", "depth"),
        ("why", "why"),
        ("x^2 = 9", "maths"),
        ("def f(x): return x;\n", "code"),
        ("3 and 4 and 5 and 6", "numbers"),
        ("exactly one", "constraints"),
        ("is it? was it?", "steps"),
        ("blue " * 30, "length"),
        ("hello", "plain"),
    ],
)
def test_every_feature_has_a_name_and_is_seen(text, feature):
    assert feature in read({"text": text}).reasons


def test_tools_and_earlier_answers_count_a_little():
    turns = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "and now?"}]
    found = read({"messages": turns, "tools": [{"type": "function"}] * 20})
    assert {"tools", "turns"} <= set(found.reasons)
    assert 0 < found.score - score("and now?") <= WEIGHTS["tools"] + WEIGHTS["turns"]


def test_rules_of_the_system_text_count_as_bounds_and_its_length_does_not():
    rules = {"role": "system", "content": "You must answer. " * 200}
    asked = {"role": "user", "content": "ok"}
    found = read({"messages": [rules, asked]})
    assert "constraints" in found.reasons
    assert found.score < 0.2


def test_reasons_stand_by_strength():
    assert read({"text": "Prove it, then explain why."}).reasons[0] == "thought"


def test_nothing_asked_is_simple():
    assert read({}).score == 0
    assert read({}).reasons == ()


@given(st.text(max_size=200))
def test_every_text_has_a_score_from_0_to_1_and_always_the_same(text):
    found = read({"text": text})
    assert 0 <= found.score <= 1
    assert found == read({"text": text})
    assert set(found.reasons) <= set(WEIGHTS)
