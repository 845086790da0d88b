"""The guard `http` over real sockets: what it sends, what it takes for an answer, and what it does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from gatemill.core.call import Key
from gatemill.core.clock import SystemClock
from gatemill.core.errors import GuardUnavailable
from gatemill.core.guard import Finding
from gatemill.upstream import hook
from gatemill.upstream.hook import Hook
from gatemill.upstream.pool import Pool
from gatemill.wire import webhook
from playbook import call
from sink import HANG, Sink, answer

KEY = b"0123456789abcdef0123456789abcdef"


def judged(said):
    return answer(200, body=said if isinstance(said, bytes) else msgspec.json.encode(said))


@pytest.fixture
async def asking():
    """Judges with a server that gives this answer; says what the server has seen."""
    pools = []

    async def ask(said, texts, *, key=None, timeout_s=5.0):
        async with Sink() as sink:
            sink.by_default = said
            pool = Pool(sink.url.rpartition("/")[0], (), connections_max=4, tls=None)
            pools.append(pool)
            judge = Hook((pool, "/judge"), key, timeout_s, SystemClock())
            one = call(deadline_s=SystemClock().monotonic_s() + 30.0)
            one.key = Key(id="k1", name="")
            return SimpleNamespace(
                found=await judge.judge(texts, one, "input"), seen=sink.seen, call=one
            )

    yield ask
    for pool in pools:
        await pool.close()


async def test_what_is_sent_is_all_texts_and_who_asks(asking):
    told = await asking(judged({"action": "pass"}), ["a", "b"])
    (seen,) = told.seen
    assert msgspec.json.decode(seen.body) == {
        "side": "input",
        "texts": ["a", "b"],
        "request_id": told.call.id,
        "key_id": "k1",
        "model": told.call.head.model,
    }
    assert told.found == [[], []]
    assert "webhook-signature" not in seen.headers


async def test_it_is_signed_as_webhooks_are(asking):
    told = await asking(judged({"findings": []}), ["a"], key=KEY)
    (seen,) = told.seen
    assert webhook.is_signed(KEY, seen.headers, seen.body, SystemClock().unix_s())
    assert seen.headers["webhook-id"] == f"{told.call.id}-input"


async def test_places_in_characters_become_places_in_bytes(asking):
    found = [{"text": 1, "start": 1, "end": 3, "kind": "odd", "score": 0.5}]
    told = await asking(judged({"findings": found}), ["x", "ä€😀"])
    assert told.found == [[], [Finding(2, 9, "http", "odd", 0.5)]]


async def test_a_block_without_a_place_means_every_text(asking):
    told = await asking(judged({"action": "block"}), ["ab", "ä"])
    assert told.found == [[Finding(0, 2, "http", "blocked")], [Finding(0, 2, "http", "blocked")]]


async def test_kinds_are_bounded_because_metrics_name_them(asking, monkeypatch):
    monkeypatch.setattr(hook, "KINDS_MAX", 2)
    found = [{"text": 0, "start": 0, "end": 1, "kind": kind} for kind in ("a", "b", "c", "a")]
    told = await asking(judged({"findings": found}), ["x"])
    assert [one.kind for one in told.found[0]] == ["a", "b", "other", "a"]


PLACE = {"text": 0, "start": 0, "end": 1, "kind": "a"}


@pytest.mark.parametrize(
    "said",
    [
        answer(204),
        answer(500),
        answer(302, "location: http://127.0.0.1:9/"),
        judged(b"no json"),
        judged(b""),
        judged({}),
        judged({"action": "delete"}),
        judged({"findings": [], "more": 1}),
        judged({"findings": [PLACE | {"text": 1}]}),
        judged({"findings": [PLACE | {"end": 3}]}),
        judged({"findings": [PLACE | {"start": 1}]}),
        judged({"findings": [PLACE | {"start": -1}]}),
        judged({"findings": [PLACE | {"kind": "No Kind"}]}),
        judged({"findings": [PLACE | {"score": 2}]}),
        judged({"findings": [PLACE | {"why": "x"}]}),
        judged({"findings": [PLACE] * (hook.FINDINGS_MAX + 1)}),
        judged(b'{"action": "pass"}' + b" " * hook.ANSWER_BYTES_MAX),
    ],
    ids=lambda said: said[-40:].decode("latin-1").strip()[:30],
)
async def test_whatever_else_it_says_is_no_answer(asking, said):
    with pytest.raises(GuardUnavailable):
        await asking(said, ["ab"])


async def test_silence_and_nobody_are_no_answer(asking):
    with pytest.raises(GuardUnavailable, match="cannot be asked"):
        await asking(HANG, ["ab"], timeout_s=0.05)
    pool = Pool("http://127.0.0.1:9", (), connections_max=1, tls=None)
    judge = Hook((pool, "/"), None, 1.0, SystemClock())
    with pytest.raises(GuardUnavailable, match="cannot be asked"):
        await judge.judge(["ab"], call(deadline_s=asyncio.get_running_loop().time() + 9), "output")
    await pool.close()
