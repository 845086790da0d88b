"""A gateway, its runner and a Llama of random weights, as one. `just test-heavy`."""

from __future__ import annotations

import signal

import openai
import pytest

import heavy
import tiny_llama
from killing import Caller, gone, killed_in_a_stream
from running import serve

pytestmark = heavy.needs("torch", "transformers")
CONFIG = """
[local.tiny]
task = "generate"
engine = "torch"
source = "file:{folder}"
device = "cpu"
stop_timeout_s = 5
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return CONFIG.format(folder=tiny_llama.make(tmp_path_factory.mktemp("tiny")))


def test_the_openai_sdk_talks_to_a_model_of_ones_own(tmp_path, config):
    with serve(tmp_path, config) as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
        messages = [{"role": "user", "content": "hi"}]
        answer = client.chat.completions.create(
            model="tiny", messages=messages, max_tokens=9, temperature=0
        )
        assert answer.usage.completion_tokens == 9
        chunks = list(
            client.chat.completions.create(
                model="tiny", messages=messages, max_tokens=9, temperature=0, stream=True
            )
        )
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert said == answer.choices[0].message.content
        plain = client.completions.create(model="tiny", prompt="a", max_tokens=3)
        assert plain.usage.total_tokens == 4
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model="tiny", messages=[{"role": "user", "content": "word " * 900}]
            )
        assert refused.value.code == "context_length_exceeded"
        runner = Caller(running).runner("tiny")
        assert runner["state"] == "ready"
        assert runner["memory_bytes"] > 100 << 20
        pid = runner["pid"]
    assert gone(pid)


def test_killing_the_runner_costs_one_stream_and_killing_the_gateway_leaves_nobody(
    tmp_path, config
):
    with serve(tmp_path, config) as running:
        pid = killed_in_a_stream(Caller(running), "tiny", max_tokens=400, temperature=0)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        assert gone(pid)
