"""What belongs to a person is found; what only looks like it is not."""

from __future__ import annotations

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.core.guard import Pattern
from gatemill.guards import pii
from gatemill.guards.scan import Scan
from guards.pii_examples import FOUND, NOTHING
from guards.secret_examples import plain

SCAN = Scan([("pii", pattern) for pattern in pii.patterns((), {}, 256)])


def found(text: str, scan: Scan = SCAN) -> list[tuple[str, str]]:
    data = text.encode()
    return [(one.kind, data[one.start : one.end].decode()) for one in scan.find(data)]


@pytest.mark.parametrize("kind", pii.KINDS)
def test_every_example_of_a_kind_is_found_with_its_place(kind):
    wrong = []
    for wanted, text, part in FOUND:
        places = found(text)
        if wanted == kind and not any(
            one == kind and part in {None, place} for one, place in places
        ):
            wrong.append((text, places))
    assert wrong == []


def test_nothing_is_found_in_what_only_looks_like_it():
    wrong = [(text, found(plain(text))) for text in NOTHING if found(plain(text))]
    assert wrong == []


def test_only_the_kinds_that_are_asked_for_are_looked_for():
    scan = Scan([("pii", pattern) for pattern in pii.patterns(("email",), {}, 256)])
    assert found("a@b.example, 4111 1111 1111 1111", scan) == [("email", "a@b.example")]


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidValue, match=r"'passport'; it knows card, .*, badge\.") as refused:
        pii.patterns(("passport",), {"badge": "EMP-[0-9]+"}, 256)
    assert refused.value.param == "kinds"


def test_own_patterns_are_kinds_of_their_own():
    own = {"badge": r"\bEMP-[0-9]{6}\b", "first": r"^Dr\. \w+", "room": r"R[0-9]+"}
    scan = Scan([("pii", pattern) for pattern in pii.patterns(("badge", "first", "room"), own, 8)])
    assert found("Dr. No has EMP-123456", scan) == [("first", "Dr. No")]  # a badge has ten bytes
    scan = Scan([("pii", pattern) for pattern in pii.patterns(("badge", "first"), own, 10)])
    assert found("Dr. No has EMP-123456", scan) == [("first", "Dr. No"), ("badge", "EMP-123456")]
    assert found("a Dr. No has EMP-1234567", scan) == []


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("bad", "(a", r"not an expression that RE2 knows \(missing \)"),
        ("look", "(?=a)a", "no look-around"),
        ("empty", "x*", "finds the empty text"),
        ("edge", r"\b", "finds the empty text"),
        ("named", "(?P<n>a)", "cannot be used"),
        ("card", "[0-9]+", "built in"),
        ("", "a", "begins with a letter"),
        ("1a", "a", "begins with a letter"),
        ("emp-id", "a", "letters, digits and _"),
        ("größe", "a", "letters, digits and _"),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused_by_name(name, source, said):
    with pytest.raises(InvalidValue, match=said) as refused:
        pii.patterns((), {name: source}, 256)
    assert refused.value.param == f"guards.patterns.{name}"


BOMBS = ["<", "1", "@", "1 ", "a.", ":", "+4", "eyJ", "1234 ", "AB12 ", "a@b.c ", "(0", "0171 "]


@pytest.mark.parametrize("unit", BOMBS)
def test_a_bomb_is_looked_at_once(unit):
    asked = []

    def counted(pattern: Pattern) -> Pattern:
        def accept(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
            asked.append(len(candidate))
            return pattern.accept(before, candidate, after)

        names = ("kind", "expression", "alphabet", "hint")
        return Pattern(*(getattr(pattern, name) for name in names), accept=accept)

    scan = Scan([("pii", counted(pattern)) for pattern in pii.patterns((), {}, 256)])
    size = 6_000
    assert scan.find((unit * size)[:size].encode()) == []
    # A byte is in few candidates, and few bytes begin one; windows that overlap double both.
    assert len(asked) <= size * 0.6
    assert sum(asked) <= size * 25
