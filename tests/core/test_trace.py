"""W3C's `traceparent`: what is one, what is none, and what is said of our own work."""

from __future__ import annotations

import pytest

from gatemill.core.trace import NOT_TRACED, Trace, header, headers, parse

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (f"00-{ID}-{SPAN}-01", True),
        (f"00-{ID}-{SPAN}-00", False),
        (f"00-{ID}-{SPAN}-03", True),  # the other flags are not ours to read
        (f"cc-{ID}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_context_is_read(text, is_sampled):
    assert parse(text) == Trace(ID, SPAN, is_sampled=is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID[1:]}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01, 00-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01\n",
        f"00-{'ü' * 32}-{SPAN}-01",
    ],
)
def test_anything_else_is_no_context(text):
    assert parse(text) is None


def test_what_is_said_is_read_again():
    for trace in (Trace(ID, SPAN, is_sampled=True), Trace(ID, SPAN)):
        assert parse(header(trace)) == trace
    assert header(None) == header(NOT_TRACED) == ""


def test_an_attempt_has_a_span_of_its_own_that_nobody_remembers():
    trace = Trace(ID, "f" * 16, is_sampled=True)
    spans = [trace.attempt(number) for number in range(1, 4)]
    assert spans == ["f" * 16, f"{1:016x}", f"{2:016x}"]  # none is all zeros
    ((_, said),) = headers(Trace(ID, SPAN, is_sampled=True), 1)
    assert parse(said).span == Trace(ID, SPAN).attempt(1)


def test_what_we_do_not_record_goes_on_as_it_came():
    for is_wanted in (True, False):
        ((_, said),) = headers(Trace(ID, SPAN, is_wanted=is_wanted), 3)
        assert parse(said) == Trace(ID, SPAN, is_sampled=is_wanted)
