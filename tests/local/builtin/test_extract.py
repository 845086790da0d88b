"""builtin/extract: nothing but sentences that were sent."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import InvalidRequest, UnsupportedParameter
from gatemill.local.builtin import extract
from gatemill.local.builtin.words import sentences

TEXT = """The mill stands by the river. It was built in 1820 by Ada Miller. The mill grinds grain for \
three villages. Storms broke its wheel twice. The wheel of the mill was made new in 1901. Visitors \
come on Sundays. Bread is sold in the yard. The yard has a well. An owl lives in the loft."""
PASSAGES = [
    '<passage n="1" title="a.md">The mill was built in 1820. It grinds grain.</passage>',
    '<passage n="2">Bread &amp; flour are sold on Sundays [9].</passage>',
]


def ask(*messages, **fields):
    turns = [{"role": role, "content": text} for role, text in messages]
    body = {"model": "extract", "messages": turns, **fields}
    return extract.answer(msgspec.json.encode(body), 7.0)


def said(*messages, **fields):
    return ask(*messages, **fields)["choices"][0]["message"]["content"]


def asked(question, passages=PASSAGES):
    return said(("user", "\n".join(passages) + f"\n<question>{question}</question>"))


def test_the_sentence_that_answers_is_quoted_with_its_number():
    assert asked("When was the mill built?") == "The mill was built in 1820. [1]"
    assert asked("When is bread sold?") == "Bread & flour are sold on Sundays (9). [2]"


def test_what_stands_in_two_passages_is_quoted_once():
    assert asked("When was the mill built?", [PASSAGES[0], PASSAGES[0].replace("1", "2", 1)]) == (
        "The mill was built in 1820. [1]"
    )


def test_where_nothing_fits_it_says_so_and_cites_nothing():
    assert asked("Who won the cup?") == extract.NOTHING
    assert "[" not in extract.NOTHING


def test_every_sentence_of_an_answer_was_sent():
    sent = set(sentences(TEXT))
    for lines in (
        said(("system", "Sum it up."), ("user", TEXT)),
        said(("user", f"{TEXT}\n\nWhen was the wheel made new?")),
        said(("user", TEXT), ("assistant", "Fine."), ("user", "Where does the owl live?")),
        said(("system", "Who built it?"), ("user", TEXT)),
    ):
        assert set(lines.split("\n")) <= sent
        assert lines


def test_a_question_beside_a_text_is_answered_from_it():
    assert said(("user", f"When was the wheel made new?\n\n{TEXT}")) == (
        "The wheel of the mill was made new in 1901."
    )
    assert "Ada Miller" in said(("system", "Who built the mill?"), ("user", TEXT))
    assert said(("system", TEXT), ("user", "Where does the owl live?")) == (
        "An owl lives in the loft."
    )


def test_a_summary_holds_what_the_text_is_about_and_what_the_reader_wants():
    plain = said(("system", "Sum it up."), ("user", TEXT))
    assert "The mill stands by the river." in plain
    assert len(plain.split("\n")) == 3
    wish = "Sum it up.\n\nWhat matters to the reader: owl loft"
    assert "owl" in said(("system", wish), ("user", TEXT))
    assert said(("user", f"Sum this up:\n\n{TEXT}")) == plain


def test_headings_stay_above_what_is_below_them():
    text = f"Before. All. That.\n\n## One\n\n{TEXT}\n\n## Two\n\nThe forge is old. It is hot. Done."
    lines = said(("system", "Report."), ("user", text)).split("\n")
    assert lines.index("## One") < lines.index("## Two")
    assert "The forge is old." in lines[lines.index("## Two") :]


def test_a_short_text_is_its_own_summary_and_nothing_is_nothing():
    assert said(("system", "Sum up."), ("user", "It is red.")) == "It is red."
    assert said(("user", "Hello")) == extract.NO_TEXT
    assert said(("user", "Who are you?")) == extract.NO_TEXT
    assert said(("system", "Sum up."), ("user", " ")) == extract.NO_TEXT
    assert said(("user", '<passage n="1"> </passage> Who?')) == extract.NO_TEXT
    assert ask()["choices"][0]["message"]["content"] == extract.NO_TEXT


def test_parts_of_content_are_one_text():
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}]}
    found = extract.answer(msgspec.json.encode(body), 0.0)
    assert "mill" in found["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "broken",
    [
        '<passage n="1">never closed. The owl.',
        '<passage n="1',
        '</passage><passage n="x">a.</passage>',
    ],
)
def test_a_broken_passage_is_text(broken):
    assert said(("user", f"{broken}\n\nHe left. She came. It rained."), max_tokens=50)


def test_an_answer_ends_at_its_tokens():
    whole = ask(("system", "Sum up."), ("user", TEXT))
    assert whole["choices"][0]["finish_reason"] == "stop"
    cut = ask(("system", "Sum up."), ("user", TEXT), max_completion_tokens=10)
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["choices"][0]["message"]["content"] == "The mill stands by the river."
    tiny = ask(("system", "Sum up."), ("user", TEXT), max_tokens=2)
    assert tiny["choices"][0]["message"]["content"] == "The mil"
    assert tiny["usage"]["completion_tokens"] == 2


def test_a_sentence_without_end_is_cut_between_words():
    line = asked("Which owl?", [f'<passage n="3">{"owl word " * 300}</passage>'])
    assert line.endswith("… [3]")
    assert len(line) < 620


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(fields, param):
    with pytest.raises(UnsupportedParameter) as refused:
        ask(("user", "x"), **fields)
    assert refused.value.param == param


def test_a_body_that_no_surface_would_send_is_refused_too():
    with pytest.raises(InvalidRequest):
        extract.answer(b'{"messages":7}', 0.0)


def test_a_stream_says_the_same_and_ends_with_its_usage_where_asked():
    turns = [{"role": "user", "content": "\n".join(PASSAGES) + "\nWhen was the mill built? Grain?"}]
    for options, count in ((None, 0), ({"include_usage": True}, 1)):
        body = {"messages": turns, "stream": True, "stream_options": options}
        events = extract.answer(msgspec.json.encode(body), 0.0)
        assert events[-1] == b"data: [DONE]\n\n"
        assert sum(b'"completion_tokens"' in event for event in events) == count


def test_much_of_anything_takes_not_long():
    """Linear, or the time limit of the whole test would end it."""
    for piece in ("<passage n=", '<passage n="1">', "a. ", "# x\n", "[1] ", "\n"):
        assert said(("user", piece * (200_000 // len(piece))), max_tokens=100)
