"""One text, whole or in parts: what is found never depends on how it was cut."""

from __future__ import annotations

import json
import os
import re
import tomllib
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cuts import cut
from gatemill.core.guard import Finding, Pattern, Piece
from gatemill.guards import injection, pii, secrets
from gatemill.guards import scan as scanning
from gatemill.guards.scan import Scan, whole
from gatemill.policy import injection_words
from guards.pii_examples import FOUND, NOTHING
from guards.secret_examples import SECRETS, plain

# Each example is a text, cut in four ways: 1,300 of them are more than 5,000 splits.
EXAMPLES = int(os.environ.get("GATEMILL_TEST_EXAMPLES", "25"))
OWN = {"badge": r"EMP-[0-9]{6}", "tag": r"<<.+?>>"}
EVERYTHING = Scan(
    [
        *(("pii", pattern) for pattern in pii.patterns((), OWN, 64)),
        *(("secrets", pattern) for pattern in secrets.patterns(())),
    ]
)
WORD = Pattern("word", "x+", b"x", "x")
DIGITS = Pattern("digits", "[0-9]{2,}", b"0123456789", "[0-9]")


def joined(pieces: list[Piece]) -> list[tuple[Finding | None, bytes]]:
    """Pieces of one place together; how many there were is the network's business."""
    places = []
    for finding, group in groupby(pieces, key=lambda piece: piece.finding and piece.finding[::2]):
        texts = [*group]
        text = b"".join(piece.text for piece in texts)
        if finding or text:
            places.append((finding, text))
    return places


def told(pieces: list[Piece]) -> set[tuple[int, str, str]]:
    return {
        (piece.finding.start, piece.finding.guard, piece.finding.kind)
        for piece in pieces
        if piece.finding is not None
    }


def flowed(scan: Scan, parts: list[bytes]) -> list[Piece]:
    flow = scan.flow()
    pieces = [piece for part in parts for piece in flow.feed(part)]
    return [*pieces, *flow.finish()]


SNIPPETS = [plain(text) for _, text, _ in FOUND + SECRETS] + NOTHING
SNIPPETS += [
    "EMP-123456",
    "<<a b c>>",
    "ü",
    "€",
    "漢字かな",
    "😀",
    "Bearer ",
    "tel ",
    "-----BEGIN ",
]
PARTS = st.one_of(
    st.sampled_from(SNIPPETS),
    st.tuples(st.sampled_from(SNIPPETS), st.integers(0, 40)).map(lambda both: both[0][both[1] :]),
    st.tuples(st.sampled_from(SNIPPETS), st.integers(0, 40)).map(lambda both: both[0][: both[1]]),
    st.tuples(st.sampled_from(SNIPPETS), st.integers(1, 8), st.integers(1, 300)).map(
        lambda three: three[0][: three[1]] * three[2]
    ),
    st.text("0123456789 -.+@:/aZ=_", max_size=60),
    st.sampled_from(["", " ", "\n", ", ", "-", "."]),
)


@settings(max_examples=EXAMPLES)
@given(
    st.lists(PARTS, max_size=16).map("".join),
    st.lists(st.integers(0, 5000), max_size=12),
    st.integers(1, 700),
)
@example("-----BEGIN PRIVATE KEY-----" + "a" * 3000 + " a@b.example", [5, 1500], 64)
def test_any_cut_finds_the_same_and_holds_back_a_bounded_tail(text, places, size):
    data = text.encode()
    at_once = flowed(EVERYTHING, [data])
    assert b"".join(piece.text for piece in at_once) == data
    even = [data[start : start + size] for start in range(0, len(data), size)]
    for parts in (cut(data, places), even, cut(data, places[:2]), cut(data, [*places, 1, 2, 3])):
        pieces = flowed(EVERYTHING, parts)
        assert joined(pieces) == joined(at_once)
        for piece in pieces:
            piece.text.decode()  # whole characters


@settings(max_examples=EXAMPLES)
@given(st.lists(PARTS, max_size=16).map("".join))
def test_a_body_that_is_screened_out_holds_nothing(text):
    findings = EVERYTHING.find(text.encode())
    for body in (
        json.dumps({"content": text}),
        json.dumps({"content": text}, ensure_ascii=False),
        json.dumps({"content": text}).replace("/", "\\/"),
        json.dumps({"max_tokens": 5, "system": [text, "user"]}, separators=(",", ":")),
    ):
        assert EVERYTHING.screen(body.encode()) or not findings


def test_a_string_that_holds_nothing_is_read_once_and_forgotten_when_there_are_too_many(
    monkeypatch,
):
    monkeypatch.setattr(scanning, "HARMLESS_MAX", 2)
    scan = Scan([("a", Pattern("odd", "x[0-9]", b"x0123456789", "x"))])
    assert scan.strings_known == 0
    for word, known in (("xa", 1), ("xa", 1), ("xb", 2), ("xc", 2), ("xa", 2)):
        assert not scan.screen(b'{"content":"%b"}' % word.encode())
        assert scan.strings_known == known
    assert scan.screen(b'{"content":"x1"}')
    assert scan.screen(b'{"content":"x1"}')


def test_letters_of_ascii_that_are_written_as_escapes_do_not_slip_through():
    scan = Scan([("a", WORD)])
    assert scan.screen(rb'{"content":"\u0078"}')
    assert not scan.screen(rb'{"content":"\u00e4 \n"}')


@pytest.mark.parametrize(
    ("body", "suspected"),
    [
        (rb'{"a":"tel\u000axy"}', True),  # a line break
        (rb'{"a":"to\u212aen"}', True),  # the Kelvin sign is a K where case makes no difference
        (rb'{"a":"ok"}', False),
        (
            rb'{"meta":{"x\"max_tokens":"x"}}',
            True,
        ),  # no name of the format, but a text that ends so
        (rb'{"a":[0,12345678]}', True),  # a number, where it stands alone
        (rb'{"a":{},"b": "12345678"}', True),
        (rb'{"a":1234567.8,"b":0.12345678}', False),
    ],
)
def test_escapes_names_and_numbers_do_not_slip_through(body, suspected):
    looks = [
        ("pii", pattern) for pattern in pii.patterns(("tied",), {"tied": "^(?:[0-9]{8}|x)$"}, 64)
    ]
    sought = "\nxy|(?i)token"
    lines = Pattern("lines", sought, b"", sought)
    assert Scan([*looks, ("a", lines)]).screen(body) is suspected


def test_a_run_without_end_is_held_back_by_two_windows_at_most():
    flow = EVERYTHING.flow()
    out = b""
    for fed in range(1, 6000):
        out += b"".join(piece.text for piece in flow.feed(b"7"))
        assert fed - len(out) <= 2 * EVERYTHING.window_bytes
    assert out + b"".join(piece.text for piece in flow.finish()) == b"7" * 5999


def test_prose_leaves_word_by_word():
    scan = Scan([("pii", pattern) for pattern in pii.patterns((), {}, 64)])
    flow = scan.flow()
    text = b"Who goes there, asked the guard of the mill, and why so late at night? " * 3
    gone, most = 0, 0
    for at in range(0, len(text), 3):
        gone += sum(len(piece.text) for piece in flow.feed(text[at : at + 3]))
        most = max(most, min(at + 3, len(text)) - gone)
    assert most <= 12


@pytest.mark.parametrize("length", [100, 512, 1023, 1024, 1025, 5000])
def test_a_candidate_longer_than_every_window_is_one_finding(length):
    text = b"a " + b"x" * length + b" b"
    for parts in ([text], [text[at : at + 1] for at in range(len(text))]):
        pieces = flowed(Scan([("a", WORD)]), parts)
        covered = b"".join(piece.text for piece in pieces if piece.finding)
        assert covered == b"x" * length
        assert told(pieces) == {(2, "a", "word")}


def test_a_bounded_finding_is_seen_whole_wherever_it_stands_in_a_run():
    pattern = Pattern("pin", "ab{400}c", b"abcz", "ab", bytes_max=402)
    scan = Scan([("a", pattern)])
    for before in (0, 1, 401, 402, 403, 803, 804, 805, 2000):
        text = b"z" * before + b"a" + b"b" * 400 + b"c" + b"z" * 900
        assert scan.find(text) == [Finding(before, before + 402, "a", "pin")]


def test_what_opens_goes_on_until_its_end_or_until_the_text_ends():
    pattern = Pattern("box", "<<", b"<>", "<", closes=">>")
    scan = Scan([("a", pattern)])
    assert scan.find(b"x << y << z >> w") == [Finding(2, 14, "a", "box")]
    assert scan.find(b"x <<" + b" y" * 3000) == [Finding(2, 6004, "a", "box")]
    pieces = flowed(scan, [b"x <", b"< y ", b"z >", b"> w"])
    assert b"".join(piece.text for piece in pieces if piece.finding is None) == b"x  w"


def test_of_two_guards_the_first_has_the_text_and_the_other_is_told_of_all_the_same():
    wide = Pattern("wide", "[0-9x]+", b"0123456789x", "[0-9x]", score=0.5)
    pieces = flowed(Scan([("a", DIGITS), ("b", wide)]), [b"- x12x -"])
    assert [(piece.text, piece.finding and piece.finding.kind) for piece in pieces] == [
        (b"- ", None),
        (b"x", "wide"),
        (b"12", "digits"),
        (b"x", "wide"),
        (b" ", None),
        (b"-", None),
    ]
    pieces = flowed(Scan([("b", wide), ("a", DIGITS)]), [b"x12x"])
    assert [(piece.text, piece.finding.kind) for piece in pieces] == [
        (b"x12x", "wide"),
        (b"", "digits"),
    ]


def test_within_a_guard_what_is_covered_counts_only_if_it_is_worth_more():
    wide = Pattern("wide", "[0-9x]+", b"0123456789x", "[0-9x]", score=0.5)
    assert [one.kind for one in Scan([("a", wide), ("a", DIGITS)]).find(b"x12x34x")] == [
        "wide",
        "digits",
        "digits",
    ]
    low = Pattern("low", "[0-9]{2,}", b"0123456789", "[0-9]", score=0.5)
    assert [one.kind for one in Scan([("a", wide), ("a", low)]).find(b"x12x34x")] == ["wide"]


def test_a_refused_candidate_may_hold_another_one():
    def second(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
        if candidate.startswith(b"1"):
            return 1, 1
        return (0, len(candidate)) if candidate.startswith(b"2") else None

    scan = Scan([("a", Pattern("two", "[0-9]+", b"0123456789", "[0-9]", accept=second))])
    assert scan.find(b"1123 34 21") == [Finding(2, 4, "a", "two"), Finding(8, 10, "a", "two")]


def test_a_pattern_that_finds_the_empty_text_does_not_stop_the_search():
    scan = Scan([("a", Pattern("none", "z*", b"z", "", accept=lambda *_: None))])
    assert scan.find(b"abz") == []


def test_a_set_without_memory_makes_every_pattern_look():
    scan = Scan([("a", WORD), ("a", DIGITS)])

    scan._by_hint = SimpleNamespace(Match=lambda text: None)
    assert [one.kind for one in scan.find(b"x 12")] == ["word", "digits"]


def test_a_scan_of_nothing_finds_nothing():
    assert Scan([]).find(b"anything") == []


def test_bytes_that_are_no_text_are_cut_somewhere():
    assert whole(b"\x80\x80\x80\x80\x80", 4) == 4
    assert whole("a€".encode(), 3) == 1
    assert b"".join(piece.text for piece in flowed(EVERYTHING, [b"\x80" * 5000])) == b"\x80" * 5000


# What orders to a model are made of, whole and in pieces, with whatever stands between words.
PHRASES = [step for _, _, lines in injection_words.PHRASES for step in lines.split()]
SAID = [word for step in PHRASES for word in re.findall(r"[^\W\d_*]+", step)]
EXAMPLES_OF_ORDERS = tomllib.loads((Path(__file__).parent / "injection_examples.toml").read_text())
ORDERS = [text for side in EXAMPLES_OF_ORDERS["attacks"].values() for text in side["texts"]]
WORDS = st.one_of(
    st.sampled_from(sorted({*SAID})),
    st.sampled_from(
        ["the", "of", "you", "order", "4ever", "x_y", "naïve", "ẞ", "İ", "ﬁ", "Σας", "don't"]
    ),
    st.sampled_from(ORDERS),
    st.tuples(st.sampled_from(ORDERS), st.integers(0, 60), st.integers(1, 60)).map(
        lambda three: three[0][three[1] : three[1] + three[2]]
    ),
)
GAPS = st.sampled_from(
    [" ", "  ", "\n", "-", ", ", "_", "1", ". ", "\u200b", "**", '"', "\u00a0", ""]
)
ORDER = Scan([("injection", pattern) for pattern in injection.patterns(())])


@settings(max_examples=EXAMPLES * 4)
@given(st.lists(st.tuples(WORDS, GAPS), max_size=30), st.booleans())
def test_a_text_whose_words_hold_no_order_holds_none(said, shouts):
    text = "".join(word + gap for word, gap in said)
    text = text.upper() if shouts else text
    found = ORDER.find(text.encode())
    for body in ({"content": text}, {"content": [text, 1], "usage": {"prompt_tokens": 7}}):
        for spaces in (None, 2):
            encoded = json.dumps(body, ensure_ascii=spaces is None, indent=spaces).encode()
            assert ORDER.screen(encoded) or not found
