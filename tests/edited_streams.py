"""One answer as the stream of every format, cut as a test likes; and what is in a stream."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import msgspec
from hypothesis import strategies as st

from calls import call_for
from gatemill.core.call import Usage
from gatemill.wire import chat, completions, messages, responses, sse
from gatemill.wire.assembly import assembly
from gatemill.wire.editing import editor
from toy_edits import PARTS, ToyEdits

SURFACES: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (chat, {"messages": [{"role": "user", "content": "hi"}]}),
    "completions": (completions, {"prompt": "hi"}),
    "messages": (messages, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 99}),
    "responses": (responses, {"input": "hi"}),
}
parts = st.lists(st.sampled_from(PARTS), max_size=6)


def chunk(said: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    """One of the hub's chunks."""
    choice = {"index": index, "delta": said, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "m"}
    return {**head, "choices": [choice]}


def called(at: int, piece: str, *, begins: bool = False) -> dict[str, Any]:
    """A part of a tool call."""
    call: dict[str, Any] = {"index": at, "function": {"arguments": piece}}
    if begins:
        call |= {"id": f"call_{at}", "type": "function"}
        call["function"] |= {"name": "find"}
    return {"tool_calls": [call]}


def argued(text: str) -> list[str]:
    """Arguments that hold this text, in parts."""
    return list(json.dumps({"q": text}, ensure_ascii=False))


def written(operation: str, chunks: list[dict[str, Any]]) -> bytes:
    """What our own writer makes of the hub's chunks."""
    surface, body = SURFACES[operation]
    body = {"model": "m", "stream": True, **body}
    if operation in ("chat", "completions"):
        body["stream_options"] = {"include_usage": True}
    writer = surface.writer(call_for(surface, body))
    events = b"".join(map(writer.write, chunks))
    return events + writer.finish(Usage(input=3, output=4))


def edited(operation: str, stream: bytes, edits: ToyEdits, *, each: int = 1) -> bytes:
    """What leaves when `each` events come at a time."""
    walk = editor(operation, edits)
    whole = [event + b"\n\n" for event in stream.split(b"\n\n") if event]
    feeds = [b"".join(whole[at : at + each]) for at in range(0, len(whole), each)]
    out = b"".join(map(walk.feed, feeds)) + walk.finish()
    assert walk.failure is edits.failure
    assert not out or out.endswith(b"\n\n")
    return out


def assembled(operation: str, stream: bytes) -> Any:
    """The whole answer of a stream."""
    whole = assembly(operation)
    whole.add(stream)
    return whole.whole()


def events(stream: bytes) -> list[Any]:
    """The data of each event, but for the end mark."""
    return [msgspec.json.decode(data) for _, data in sse.events(stream) if data != b"[DONE]"]


def answering(stream: bytes) -> httpx2.Client:
    """What an SDK sends its requests with: every answer is this stream."""
    reply = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    return httpx2.Client(transport=httpx2.MockTransport(lambda request: reply))
