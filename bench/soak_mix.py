"""What callers of the soak do. Rule: each operation knows the one right outcome, because it knows the provider's script.

An operation returns "" when that outcome came, `SCRIPTED` when a failure came that the script demands, and otherwise a
sentence: that is a failure which the gateway has caused.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bench import soak_chores as chores
from bench import soak_visits as visits
from bench.soak_wire import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.soak_wire import Answer, Wires

SCRIPTED = "scripted"
CACHE_TTL_S = 5
_CHAT = "/v1/chat/completions"
_CACHED_PROMPTS = 40
_USERS = 200
_encode = msgspec.json.encode

# The name that callers use: the provider, and what the provider is asked for, faults included.
TARGETS = {
    "chat": ("up", "chat+words=20"),
    "stream": ("up", "stream+words=40"),
    "slow": ("up", "slow+words=30+slow=0.02"),
    "late": ("up", "late+first-byte=0.3"),
    "good": ("up", "good+words=5"),
    "cached": ("up", "cached+words=8"),
    "lie": ("up", "lie+words=4+keepalive-lie"),
    "stale": ("up", "stale+words=4+stale"),
    "embed": ("up", "embed"),
    "work": ("up", "work+words=6"),
    "claude": ("claude", "claude+words=10"),
    "refuses": ("bad", "refuses+status=503"),
    "resets": ("bad", "resets+abort"),
    "hangs": ("bad", "hangs+hang"),
    "cuts": ("bad", "cuts+cut=0"),
    "fails": ("bad", "fails+status=500"),
    "broken": ("bad", "broken+words=9+cut=5"),
}
FALLING = ("refuses", "resets", "hangs", "cuts")  # these fall back to `good`
LEFT = frozenset({"slow", "late"})  # the caller hangs up
RESENT = frozenset({"resets"})  # the provider ends the connection without a byte
EMPTY_HANDED = frozenset({*FALLING, "fails", "broken"})  # the provider never answers these whole


class Deed(NamedTuple):
    """One operation and its share of all."""

    name: str
    weight: float
    run: Callable[[Wires, random.Random], Awaitable[str]]


def body(model: str, text: str, **more: Any) -> bytes:
    """A chat."""
    turns = [{"role": "user", "content": text}]
    return _encode({"model": model, "messages": turns, **more})


def words(count: int) -> str:
    """What the provider says in so many words."""
    return " ".join(f"word{number}" for number in range(count))


def _number(chance: random.Random) -> str:
    return f"number {chance.randrange(1_000_000)}"


async def _chat(wires: Wires, chance: random.Random) -> str:
    user = f"user-{chance.randrange(_USERS)}"
    data = body("chat", _number(chance), user=user)
    return _said(await wires.ask(wires.request("POST", _CHAT, data)), words(20))


async def _message(wires: Wires, chance: random.Random) -> str:
    data = body("claude", _number(chance), max_tokens=100)
    answer = await wires.ask(wires.request("POST", "/v1/messages", data))
    if answer.status == 200 and answer.json["content"][0]["text"] == words(10):
        return ""
    return _wrong(answer)


async def _stream(wires: Wires, chance: random.Random) -> str:
    data = body("stream", _number(chance), stream=True)
    answer = await wires.ask(wires.request("POST", _CHAT, data))
    text, ended = _heard(answer)
    return "" if (text, ended) == (words(40), "done") else _wrong(answer)


async def _leave_stream(wires: Wires, chance: random.Random) -> str:
    wire = await wires.open()
    data = body("slow", _number(chance), stream=True)
    await wire.begin(wires.request("POST", _CHAT, data), 5.0)
    await asyncio.sleep(chance.uniform(0.0, 0.3))
    wire.close()
    return ""


async def _leave_early(wires: Wires, chance: random.Random) -> str:
    wire = await wires.open()
    data = body("late", _number(chance), stream=chance.random() < 0.5)
    await wire.begin(wires.request("POST", _CHAT, data), chance.uniform(0.0, 0.25))
    wire.close()
    return ""


async def _fall_back(wires: Wires, chance: random.Random) -> str:
    model = chance.choice(FALLING)
    streams = model == "cuts" or chance.random() < 0.5  # `cut=0` is a fault of streams
    data = body(model, _number(chance), stream=streams)
    answer = await wires.ask(wires.request("POST", _CHAT, data))
    if not streams:
        return _said(answer, words(5))
    return "" if _heard(answer) == (words(5), "done") else _wrong(answer)


async def _fail(wires: Wires, chance: random.Random) -> str:
    answer = await wires.ask(wires.request("POST", _CHAT, body("fails", _number(chance))))
    return SCRIPTED if answer.status in {502, 503} else _wrong(answer)


async def _break(wires: Wires, chance: random.Random) -> str:
    data = body("broken", _number(chance), stream=True)
    answer = await wires.ask(wires.request("POST", _CHAT, data))
    if answer.status == 200:
        text, ended = _heard(answer)
        return SCRIPTED if ended == "error" and words(9).startswith(text) else _wrong(answer)
    return SCRIPTED if answer.status in {502, 503} else _wrong(answer)  # its breaker is open


async def _cached(wires: Wires, chance: random.Random) -> str:
    number = chance.randrange(_CACHED_PROMPTS)
    data = body("cached", f"question {number}", stream=number % 2 == 0)
    answer = await wires.ask(wires.request("POST", _CHAT, data))
    if number % 2:
        return _said(answer, words(8))
    return "" if _heard(answer) == (words(8), "done") else _wrong(answer)


async def _twice(wires: Wires, chance: random.Random) -> str:
    headers = {"idempotency-key": f"order-{chance.getrandbits(64)}"}
    data = wires.request("POST", _CHAT, body("chat", "an order"), headers)
    first, second = await wires.ask(data), await wires.ask(data)
    return _said(first, words(20)) or ("" if first.body == second.body else _wrong(second))


async def _odd_provider(wires: Wires, chance: random.Random) -> str:
    model = chance.choice(("lie", "stale"))
    answer = await wires.ask(wires.request("POST", _CHAT, body(model, _number(chance))))
    return _said(answer, words(4))


async def _embed(wires: Wires, chance: random.Random) -> str:
    data = _encode({"model": "embed", "input": [_number(chance)] * 3})
    answer = await wires.ask(wires.request("POST", "/v1/embeddings", data))
    return "" if answer.status == 200 and len(answer.json["data"]) == 3 else _wrong(answer)


async def _predict(wires: Wires, chance: random.Random) -> str:
    answer = await wires.ask(wires.request("POST", "/predict", _encode({"text": "I love it"})))
    return "" if answer.status == 200 else _wrong(answer)


async def _refused(wires: Wires, chance: random.Random) -> str:
    wanted, data, headers = chance.choice(
        (
            (404, body("nobody", "hi"), {}),
            (400, b'{"model": "chat", "messages": [', {}),
            (401, body("chat", "hi"), {"authorization": f"Bearer sk-{chance.getrandbits(64)}"}),
        )
    )
    answer = await wires.ask(wires.request("POST", _CHAT, data, headers))
    return "" if answer.status == wanted else _wrong(answer)


def _said(answer: Answer, text: str) -> str:
    if answer.status == 200 and answer.json["choices"][0]["message"]["content"] == text:
        return ""
    return _wrong(answer)


def _heard(answer: Answer) -> tuple[str, str]:
    """The text of a stream, and how it ended: done, error or cut."""
    text, ended = [], "cut"
    for line in answer.body.split(b"\n"):
        if line == b"data: [DONE]":
            ended = "done"
        elif line.startswith(b"data: "):
            event = msgspec.json.decode(line[6:])
            if "error" in event:
                ended = "error"
            text += [each["delta"].get("content") or "" for each in event.get("choices", ())]
    return "".join(text), ended


def _wrong(answer: Answer) -> str:
    return f"{answer.status} {answer.body[:150]!r} ... {answer.body[-150:]!r}"


DEEDS = (
    Deed("chat", 36, _chat),
    Deed("message", 4, _message),
    Deed("stream", 18, _stream),
    Deed("hang up in a stream", 4, _leave_stream),
    Deed("hang up early", 3, _leave_early),
    Deed("fall back", 8, _fall_back),
    Deed("provider fails", 2, _fail),
    Deed("stream breaks", 2, _break),
    Deed("cached", 8, _cached),
    Deed("idempotent", 0.5, _twice),
    Deed("odd provider", 3, _odd_provider),
    Deed("embeddings", 5, _embed),
    Deed("predict", 1, _predict),
    Deed("refused", 2, _refused),
    Deed("job", 1.5, chores.job),
    Deed("batch", 0.05, chores.batch),
    Deed("key rotation", 0.01, chores.rotate),
    Deed("admin", 1.5, chores.admin),
    Deed("metrics", 0.2, chores.metrics),
    Deed("dashboard", 0.1, visits.look),
    Deed("websocket", 0.5, visits.talk),
    Deed("documents", 0.02, visits.consult),
)


async def done(deed: Deed, wires: Wires, chance: random.Random) -> str:
    """What came of one; a connection that broke is a failure as well."""
    try:
        return await deed.run(wires, chance)
    except Broken as broken:
        return str(broken)
