"""The bytes that are sent and answered. Rule: pure; the same bytes for every subject."""

from __future__ import annotations

import msgspec

MODEL = "bench-model"
EVENTS = 64  # `data:` events of one stream, the usage event and [DONE] included
PACED_WORD = b"paced"  # in the prompt: the upstream then sends event by event
PACED_GAP_S = 0.005

_CREATED_S = 1_790_000_000
_PROMPT = "Explain in plain words how a water mill turns a stream into work, step by step. "
_ANSWER = "A mill takes the fall of the water and turns it into a slow and even motion. "
# As a support desk asks: words that guards look at twice, and nothing that they find.
_SYSTEM = (
    "You are the assistant of a shop for outdoor gear. Answer briefly, in the customer's language. Look up"
    " orders before you promise a refund, follow the instructions of the policy, and never guess. "
)
_USAGE = {
    "prompt_tokens": 180,
    "completion_tokens": 61,
    "total_tokens": 241,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}


def chat_request() -> bytes:
    """About 1 KB: a chat that asks for one complete answer."""
    return _request(_SYSTEM, streams=False)


def stream_request(*, paced: bool) -> bytes:
    """About 1 KB: a chat that asks for a stream with its usage event."""
    pace = PACED_WORD.decode() if paced else "burst"
    return _request(f"{_SYSTEM}Answer {pace}. ", streams=True)


def chat_answer() -> bytes:
    """About 1 KB: a complete answer in OpenAI's format."""
    choice: dict[str, object] = {
        "index": 0,
        "message": {"role": "assistant", "content": _ANSWER * 7},
        "finish_reason": "stop",
        "logprobs": None,
    }
    return msgspec.json.encode(
        {
            "id": "chatcmpl-bench0000000000000000000000",
            "object": "chat.completion",
            "created": _CREATED_S,
            "model": MODEL,
            "choices": [choice],
            "usage": _USAGE,
        }
    )


def stream_events() -> list[bytes]:
    """The `EVENTS` events of one stream: role, text, finish, usage, [DONE]."""
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in stream_words()]
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [_event({"choices": [choice], "usage": None}) for choice in choices]
    events.append(_event({"choices": [], "usage": _USAGE}))
    events.append(b"data: [DONE]\n\n")
    assert len(events) == EVENTS
    return events


def stream_words() -> list[str]:
    """The text of a stream, one piece an event."""
    return [f" word{number:02d}" for number in range(EVENTS - 4)]


def http_answer(body: bytes) -> bytes:
    """A complete HTTP/1.1 answer that keeps the connection."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def http_stream() -> tuple[bytes, list[bytes]]:
    """Head, and the events as HTTP chunks; the last one also ends the answer."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events()]
    chunks[-1] += b"0\r\n\r\n"
    return head, chunks


def _request(system: str, *, streams: bool) -> bytes:
    body: dict[str, object] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": _PROMPT * 8},
        ],
        "temperature": 0.2,
        "max_tokens": 256,
        "stream": streams,
    }
    if streams:
        # Asked for, so that no gateway has a reason to take the usage event out.
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _event(fields: dict[str, object]) -> bytes:
    chunk = {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion.chunk",
        "created": _CREATED_S,
        "model": MODEL,
        **fields,
    }
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
