"""Events that are alike: what is spliced is what reading them would have given."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edited_streams import chunk, edited, events
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse
from gatemill.wire.editing import editor
from gatemill.wire.editing.channels import Part
from gatemill.wire.editing.splice import UNUSED_MAX, Splice
from toy_edits import PARTS, ToyEdits

RAW = b'data: {"id":"c","x":{"text":"ab"},"y":null}'
EVENT = {"id": "c", "x": {"text": "a"}, "y": None}
PART = Part("key", is_json=True, text="ab", told="a")
odd = ["data:x", "\u00a0", "\x7f", "ä", "role", "assistant", "c", '","content":"', "\ud7ff"]


def learned() -> Splice:
    splice = Splice()
    splice.learn(RAW, EVENT, PART)
    return splice


def raw(inner: bytes) -> bytes:
    return RAW.replace(b"ab", inner)


@given(
    operation=st.sampled_from(["chat", "messages"]),
    texts=st.lists(st.sampled_from(PARTS + odd) | st.text(max_size=3), max_size=12),
    blocks=st.booleans(),
)
def test_events_that_are_alike_leave_as_those_that_are_not(operation, texts, blocks):
    def stream(*, alike):
        for at, text in enumerate(texts):
            more = {} if alike else {"number": at}
            if operation == "chat":
                yield sse.event(msgspec.json.encode(chunk({"content": text}) | more))
            else:
                block = {"type": "text_delta", "text": text}
                delta = {"type": "content_block_delta", "index": 0, "delta": block}
                yield sse.event(msgspec.json.encode(delta | more), "content_block_delta")

    told = [
        [
            event | {"number": None}
            for event in events(
                edited(operation, b"".join(stream(alike=alike)), ToyEdits(blocks=blocks))
            )
        ]
        for alike in (True, False)
    ]
    assert told[0] == told[1]


def test_the_one_text_of_an_event_like_the_last_is_found():
    splice = learned()
    assert (splice.key, splice.is_json) == ("key", True)
    assert splice.text(raw("Grüße 🌍".encode())) == "Grüße 🌍"
    assert splice.event('say "hi"\n') == raw(b'say \\"hi\\"\\n') + b"\n\n"


@pytest.mark.parametrize(
    "other",
    [
        raw(b""),
        raw(b'a","b":"c'),
        raw(b"a\\u0062"),
        raw(b"\xff"),
        raw(b"a\x01b"),
        raw("\u2028".encode()),
        raw(b"data:image/png;base64,AAAA"),
        RAW.replace(b'"c"', b'"d"'),
        RAW.replace(b"null", b"1"),
        RAW[:20],
        b"",
    ],
)
def test_any_other_event_has_to_be_read(other):
    assert learned().text(other) is None
    assert Splice().text(other) is None


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (RAW.replace(b'"c"', b'"ab"'), PART),  # which of the two is the text?
        (RAW.replace(b"ab", b"\\u0061b"), PART),
        (RAW.replace(b"null", b'"\\n"'), PART),
        (RAW, PART._replace(told="other")),
        (RAW.replace(b'"y":null', b'"y":7'), PART),  # something else has changed, too
    ],
)
def test_what_is_not_proven_is_not_learned(event, part):
    splice = Splice()
    splice.learn(event, EVENT, part)
    assert splice.key is None


def test_a_stream_whose_events_differ_is_not_learned_for_ever():
    splice = Splice()
    for number in range(UNUSED_MAX):
        splice.learn(RAW.replace(b"null", b"%d" % number), EVENT | {"y": number}, PART)
    assert splice.text(RAW.replace(b"null", b"%d" % (UNUSED_MAX - 1))) == "ab"  # that was of use
    for number in range(UNUSED_MAX + 1):
        splice.learn(RAW.replace(b"null", b"%d" % number), EVENT | {"y": number}, PART)
    assert splice.text(RAW.replace(b"null", b"%d" % UNUSED_MAX)) is None


def test_a_text_that_ended_does_not_go_on_in_an_event_like_the_last():
    walk = editor("messages", ToyEdits())
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "x", "text": "a"}}
    same = sse.event(msgspec.json.encode(delta))
    stop = sse.event(b'{"type":"content_block_stop","index":0}')
    assert walk.feed(same + same + stop + same) == same + same + stop
    assert isinstance(walk.failure, UpstreamBadReply)
