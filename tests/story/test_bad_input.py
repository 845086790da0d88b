"""Odd bodies on every inference endpoint: a clear 4xx with its reason, never a 5xx, never a hang."""

from __future__ import annotations

import http.client
import json
import random
from contextlib import closing

import pytest

from running import serve

BODIES_PER_SEED = 700
# Values that break assumptions; each is put at random places of a good body.
ODD = [
    *(None, True, False, 0, -1, 1.5, 1e308, 10**30, "", "x", "\x00", "\ud800", "é" * 10),
    *([], {}, [[]], [{}], {"a": 1}, [1, 2], ["x"], [None], {"type": "text"}, [{"type": "text"}]),
    *([{"type": "text", "text": 5}], [{"type": "image_url", "image_url": 5}], [{"role": "user"}]),
    *({"type": "json_schema"}, [{"type": "function"}], [{"type": "function", "function": {}}]),
    *([{"type": "tool_use"}], [{"type": "input_text", "text": None}]),
]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
GOOD = {
    "/v1/chat/completions": {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "stream": False,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": "auto",
        "temperature": 1,
        "max_tokens": 5,
        "n": 1,
        "stop": ["a"],
        "response_format": {"type": "text"},
        "logit_bias": {},
    },
    "/v1/completions": {"prompt": "hi", "max_tokens": 5, "stream": False, "stop": "x"},
    "/v1/embeddings": {"input": ["a", "b"], "encoding_format": "float", "dimensions": 8},
    "/v1/responses": {
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "instructions": "x",
        "tools": [],
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 20,
    },
    "/v1/messages": {
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "system": "x",
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto"},
        "stop_sequences": ["a"],
    },
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "hi"}], "system": "x"},
    "/api/v1/inference": {"text": "hi", "temperature": 1, "max_tokens": 4},
}


def places(value, path=()):
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for name, inner in items:
        found += places(inner, (*path, name))
    return found


def spoilt(good, chance):
    body = json.loads(json.dumps(good))
    for _ in range(chance.choice([1, 1, 2, 3])):
        found = places(body)
        if not found:
            break
        *way, last = chance.choice(found)
        inner = body
        for name in way:
            inner = inner[name]
        if isinstance(inner, dict) and chance.random() < 0.1:
            del inner[last]
        else:
            inner[last] = json.loads(json.dumps(chance.choice(ODD)))
    if chance.random() < 0.1:
        body[chance.choice(["foo", "seed", "x\r\ny: z"])] = 1
    return body


# Nothing listens there: a body that is forwarded ends in 502, which is the provider's fault.
CONFIG = """
[providers.open]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "k"
[providers.claude]
kind = "anthropic"
base_url = "http://127.0.0.1:1"
api_key = "k"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("odd"), CONFIG) as started:
        yield started


@pytest.mark.parametrize("seed", range(2))
def test_no_body_is_our_fault(running, seed):
    chance = random.Random(seed)
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)) as connection:
        for _ in range(BODIES_PER_SEED):
            path = chance.choice(list(GOOD))
            body = spoilt(GOOD[path], chance)
            body.setdefault("model", chance.choice(["echo", "open/m", "claude/m"]))
            head = {"authorization": f"Bearer {running.key}"}
            connection.request("POST", path, json.dumps(body), head)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status in {200, 400, 404, 502}, (path, body, answer.status, said)
            if answer.status == 502:
                assert b"upstream_unreachable" in said or b"cannot be reached" in said, said
            if answer.status == 400:
                assert len(json.loads(said)) >= 2, said
    assert not [line for line in running.lines() if line.get("level") == "error"]
