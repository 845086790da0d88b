"""Upstream streams, cut anywhere, on their way to callers of responses and completions."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from calls import call_for
from gatemill.core.ports import Outgoing
from gatemill.providers import echo
from gatemill.providers.openai import OpenAIReader
from gatemill.wire import completions, responses
from gatemill.wire.translation import Translation

ECHOED = echo.respond(
    Outgoing(
        "/chat/completions",
        msgspec.json.encode(
            {
                "model": "echo",
                "messages": [{"role": "user", "content": "Grüße  an\nalle 🌍 hier"}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ),
    ),
    now_s=17.0,
)
UPSTREAM = b"".join(ECHOED) if isinstance(ECHOED, tuple) else b""


def through(surface, parts, body):
    way = Translation(OpenAIReader(), surface.writer(call_for(surface, body)))
    return b"".join(map(way.feed, parts)) + way.finish()


@given(st.lists(st.integers(0, len(UPSTREAM)), max_size=8))
def test_any_cut_of_an_upstream_stream_gives_the_callers_same_bytes(cuts):
    edges = [0, *sorted(cuts), len(UPSTREAM)]
    parts = [UPSTREAM[a:b] for a, b in pairwise(edges)]
    for surface, field in ((responses, "input"), (completions, "prompt")):
        body = {"model": "m", field: "hi", "stream": True}
        whole = through(surface, [UPSTREAM], body)
        assert through(surface, parts, body) == whole
        assert "🌍 ".encode() in whole
