"""Server-sent events, cut anywhere, with any line ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuts import cut
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse

EVENTS = b'data: {"a":1}\n\nevent: ping\ndata: 2\n\n: a comment\n\ndata: three\ndata: lines\n\n'
BITS = st.sampled_from([b"\r", b"\n", b"\r\n", b"data: x", b"d", b": c", b"event: e", b"\n\n"])


def passed(pieces: list[bytes]) -> bytes:
    cutter = sse.Cutter()
    out = [cutter.feed(piece) for piece in pieces]
    assert all(piece.endswith(b"\n\n") for piece in out if piece)
    return b"".join(out)


def reference(data: bytes) -> bytes:
    """All whole events of the whole text, without the empty lines at its end."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    end = lines.rfind(b"\n\n")
    return lines[: end + 2].rstrip(b"\n") if end >= 0 else b""


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_output_does_not_depend_on_the_cuts(places, line_end):
    assert passed(cut(EVENTS.replace(b"\n", line_end), places)) == EVENTS


@given(st.lists(BITS, max_size=40).map(b"".join), st.lists(st.integers(0, 500)))
def test_any_bytes_come_out_as_the_whole_events_of_the_text(data, places):
    assert passed(cut(data, places)).rstrip(b"\n") == reference(data)


def test_an_event_leaves_at_the_cr_that_ends_it_and_its_lf_is_swallowed():
    cutter = sse.Cutter()
    assert cutter.feed(b"data: x\r\n\r") == b"data: x\n\n"
    assert cutter.feed(b"\ndata: y\n\n") == b"data: y\n\n"


@given(st.lists(st.integers(0, 10_000)))
def test_a_byte_order_mark_before_the_first_event_alone_is_no_part_of_it(places):
    mark = b"\xef\xbb\xbf"
    assert passed(cut(mark + EVENTS + mark + EVENTS, places)) == EVENTS + mark + EVENTS


def test_an_event_ends_behind_its_blank_line_and_more_of_them_are_nothing():
    block = b"data: 1\n\n\n\n\n"
    assert [sse.end_of(block, at) for at in (0, 9, 11)] == [9, 11, 12]


def test_an_event_above_the_limit_is_refused():
    cutter = sse.Cutter()
    with pytest.raises(UpstreamBadReply):
        for _ in range(200):
            cutter.feed(b"x" * 65_536)


def test_events_of_the_limit_pass_one_after_the_other():
    big = b"data: " + b"x" * (sse.EVENT_BYTES_MAX - 100) + b"\n\n"
    assert passed([big[:500_000], big[500_000:], big]) == big * 2


def test_events_have_names_and_joined_lines_and_no_comments():
    assert list(sse.events(EVENTS)) == [
        ("", b'{"a":1}'),
        ("ping", b"2"),
        ("", b"three\nlines"),
    ]


def test_fields_without_a_space_and_others_are_read_as_the_standard_says():
    block = b"id: 7\ndata:tight\nretry: 5\n\nevent: only a name\n\ndata\n\n"
    assert list(sse.events(block)) == [("", b"tight")]


def test_an_event_is_written_with_or_without_a_name():
    assert sse.event(b"{}") == b"data: {}\n\n"
    assert sse.event(b"{}", "done") == b"event: done\ndata: {}\n\n"
