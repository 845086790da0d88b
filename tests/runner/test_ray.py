"""The runner as a Ray Serve deployment, on one machine. `just test-heavy`."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import heavy
import tiny_llama
from openai_contract import validate

pytestmark = heavy.needs("torch", "transformers", "ray")
ROOT = Path(__file__).parents[2]
START_S = 240.0
SERVE = """
import sys, signal, ray
from ray import serve
from deploy.ray_serve import build
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=True)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
serve.run(build({"model": sys.argv[1], "name": "tiny"}))
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
serve.shutdown()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    folder = tiny_llama.make(tmp_path_factory.mktemp("tiny"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(folder), str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + START_S
        for line in process.stdout:
            if line.strip() == "ready":
                break
            assert time.monotonic() < until
        yield port
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def asked(port, **fields):
    messages = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": "tiny", "messages": messages, **fields})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", body)
    with connection.getresponse() as response:
        answer = response.status, response.read()
    connection.close()
    return answer


def test_a_replica_answers_streams_and_refuses(port):
    status, body = asked(port, max_tokens=9, temperature=0)
    assert status == 200
    answer = json.loads(body)
    validate("CreateChatCompletionResponse", answer)
    status, body = asked(port, max_tokens=9, temperature=0, stream=True)
    events = [one.removeprefix(b"data: ") for one in body.split(b"\n\n") if one]
    assert events[-1] == b"[DONE]"
    said = "".join(json.loads(one)["choices"][0]["delta"].get("content", "") for one in events[:-1])
    assert said == answer["choices"][0]["message"]["content"]
    status, body = asked(port, tools=[{"type": "function"}])
    assert (status, json.loads(body)["error"]["param"]) == (400, "tools")
