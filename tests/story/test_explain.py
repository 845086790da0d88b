"""What POST /v1/explain says is what then happens, whatever is asked, by whom, and after what."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from api import Api, api
from story.conftest import town_in

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "completions": "/v1/completions",
    "inference": "/api/v1/inference",
}
MODELS = """
[models.weighted]
targets = [
  { provider = "open", model = "fake", weight = 3 },
  { provider = "claude", model = "fake" },
]
[models.cheap]
targets = ["claude/fake", "open/fake"]
strategy = "cost"
[models.quick]
targets = ["open/fake", "open/fake+words=5"]
strategy = "latency"
[models.ab.experiment]
by = "user"
[models.ab.experiment.arms]
v1 = { model = "fast", weight = 60 }
v2 = { model = "weighted", weight = 40 }
[models.auto.complexity]
simple = "fast"
hard = "sonnet"
[models.kept]
targets = ["open/fake", "claude/fake"]
[models.kept.cache]
ttl_s = 600
[models.keptab.experiment]
[models.keptab.experiment.arms]
v1 = { model = "fast", weight = 1 }
v2 = { model = "sonnet", weight = 1 }
[models.keptab.cache]
ttl_s = 600
scope = "all"
[models.narrow]
targets = [{ provider = "open", model = "fake", context_tokens = 40 }]
[models.wide]
targets = [{ provider = "open", model = "fake", context_tokens = 60 }, "claude/fake"]
[models.busy]
targets = ["open/fake"]
[models.busy.limits]
requests_per_minute = 6
[models.unpriced]
targets = ["chatonly/fake"]
[prices."open/fake+words=5"]
input = 1.0
output = 2.0
"""
KEYS = {
    "admin": None,
    "wide": {},
    "slow": {"limits": {"requests_per_minute": 8}},
    "short": {"limits": {"tokens_per_minute": 2500}},
    "poor": {"limits": {"budgets": {"day": {"usd": "0.002"}}}},
    "soft": {"limits": {"budgets": {"day": {"usd": "0.000001", "hard": False}}}},
    "few": {"models": ["fast", "kept*"], "limits": {"concurrency": 3}},
    "wrong": None,
}
CALLERS = (*KEYS, "admin", "admin", "wide", "slow", "slow")
NAMES = (
    *("fast", "sonnet", "limited", "weighted", "cheap", "quick", "ab", "auto", "narrow", "wide"),
    *("kept", "kept", "keptab", "keptab", "busy", "busy", "unpriced", "nobody", "open/fake"),
)
TEXTS = (
    "hello",
    "Say hello to Ada.",
    "Prove that there are infinitely many primes, and compare two proofs of it step by step.",
    "Translate: good morning.",
    "word " * 60,
)
CONTROLS = (
    *("", "", "", "", "", "no-store", "no-cache", "max-age=0", "only-if-cached", "max-age=60"),
    "max-age=x",
)
WANTED = {
    *("provider", "miss", "hit", "invalid_api_key", "model_not_found", "invalid_value"),
    *("rate_limit_exceeded", "insufficient_quota"),
}
BROKEN = (b"", b"{", b"[]", b'{"model": 1}', b'{"messages": []}', b"\xff", b"[" * 400 + b"]" * 400)


def _body(rng: random.Random, operation: str) -> bytes:
    """A request, sometimes with something wrong in it."""
    if rng.random() < 0.08:
        return rng.choice(BROKEN)
    text, model = rng.choice(TEXTS), rng.choice(NAMES)
    turns = [{"role": "user", "content": text}]
    said = {
        "chat": {"messages": turns},
        "messages": {"messages": turns, "max_tokens": rng.choice((5, 40))},
        "responses": {"input": text},
        "embeddings": {"input": text},
        "completions": {"prompt": text},
        "inference": {"text": text},
    }[operation]
    more = (
        {},
        {},
        {"temperature": rng.choice((0, 0.5, 3))},
        {"max_tokens": rng.choice((1, 20, 100_000_000, 0))},
        {"user": rng.choice(("ada", "bob", "cyd"))},
        {"n": 2},
        {"logit_bias": {"1": 5}},
        {"seed": 7},
        {"stop": ["x"]},
    )
    return msgspec.json.encode({"model": model, **said, **rng.choice(more)})


def _code(operation: str, body: bytes) -> str:
    """The code of an error; Anthropic's format has only its type."""
    said = msgspec.json.decode(body)
    if operation == "messages":
        return ""
    return said["code"] if operation == "inference" else said["error"]["code"]


def _check(operation, told, answer):
    """What was told is what happened; gives a word for what it was."""
    outcome = told["outcome"]
    where = (told, answer.status, answer.body[:300])
    assert outcome["status"] == answer.status, where
    if answer.status != 200:
        code = _code(operation, answer.body)
        assert code in ("", outcome["code"]), where
        return outcome["code"]
    headers = answer.headers
    assert headers.get("x-gatemill-cache") == outcome["cache"], where
    assert headers.get("x-gatemill-model-version", "") == told["version"], where
    if outcome["from"] == "provider":
        assert headers["x-gatemill-model"] == outcome["target"], where
        assert headers.get("x-gatemill-unsupported", "") == ",".join(outcome["unsupported"]), where
        assert headers.get("x-gatemill-route", told["reason"]) == told["reason"], where
    cost, least, most = headers.get("x-gatemill-cost-usd"), *_range(told)
    if cost is None:
        assert told["cost_usd"]["expected"] is None, where
    else:
        assert least <= float(cost) <= most, where
    return outcome["cache"] or outcome["from"]


def _range(told):
    least, most = told["cost_usd"]["least"], told["cost_usd"]["most"]
    return float(least or 0), float("inf") if most is None else float(most)


@pytest.fixture
async def asking(tmp_path):
    async with town_in(tmp_path, MODELS) as town, api(town.gate) as ask:
        yield ask


async def _secrets(ask: Api) -> dict[str, str]:
    secrets = {"admin": ask.admin, "wrong": "gm-0000000000-" + "x" * 43}
    for name, said in KEYS.items():
        if said is not None:
            made = await ask.good("POST", "/api/v1/keys", {"name": name, **said})
            secrets[name] = made["secret"]
    return secrets


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_told_is_what_happens(asking, seed):
    rng = random.Random(seed)
    secrets = await _secrets(asking)
    seen, before = Counter(), []
    for number in range(300):
        if before and rng.random() < 0.35:
            operation, body, key = rng.choice(before[-10:])
        else:
            operation = rng.choice((*PATHS, "chat", "chat", "chat"))
            body, key = _body(rng, operation), secrets[rng.choice(CALLERS)]
        before.append((operation, body, key))
        headers = {"x_request_id": f"r{seed}-{number}", "cache_control": rng.choice(CONTROLS)}
        if rng.random() < 0.3:
            headers["x_user_id"] = rng.choice(("ada", "bob", "cyd"))
        query = f"?operation={operation}"
        told = await asking("POST", f"/v1/explain{query}", body, key, **headers)
        answer = await asking("POST", PATHS[operation], body, key, **headers)
        if told.status == 401:
            assert answer.status == 401
            seen["invalid_api_key"] += 1
            continue
        assert told.status == 200, told.body
        assert told.json["seed"] == headers["x_request_id"]
        seen[_check(operation, told.json, answer)] += 1
    # The generator reaches every kind of answer that it is made for.
    assert seen.keys() >= WANTED, seen
    assert seen["provider"] + seen["miss"] + seen["hit"] > 80, seen


async def test_asking_changes_nothing(asking):
    secrets = await _secrets(asking)
    turn = [{"role": "user", "content": "hello"}]
    for model in ("kept", "busy", "fast"):
        body = {"model": model, "messages": turn}
        said = [
            (await asking("POST", "/v1/explain", body, secrets["slow"], x_request_id="same")).json
            for _ in range(20)
        ]
        for each in said:
            each.pop("request_id")
        assert all(each == said[0] for each in said)
        assert said[0]["outcome"]["status"] == 200
    assert not (await asking.good("GET", "/api/v1/requests"))["data"]
    rows = (await asking.good("GET", "/api/v1/usage"))["data"]
    assert rows == []


async def test_what_happened_is_told_afterwards_as_it_was_before(asking):
    body = {"model": "weighted", "messages": [{"role": "user", "content": "hello"}]}
    before = await asking.good("POST", "/v1/explain", body)
    answer = await asking("POST", PATHS["chat"], body, x_request_id=before["seed"])
    request_id = answer.headers["x-request-id"]
    after = await asking.good("GET", f"/api/v1/requests/{request_id}/explain")
    for name in ("operation", "model", "target", "version", "reason", "candidates"):
        assert after[name] == before[name], name
    assert after["outcome"] == {"status": 200, "code": None}
