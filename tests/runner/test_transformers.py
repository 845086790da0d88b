"""The runner with real torch and transformers, and a Llama of random weights. `just test-heavy`."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import heavy
import tiny_llama
from openai_contract import validate

pytestmark = heavy.needs("torch", "transformers")
START_S = 120.0
SLOW = {"max_tokens": 400, "temperature": 0}


class Runner:
    """A running runner, asked over HTTP."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    def get(self, path):
        return self._ask("GET", path, None)

    def post(self, path, **fields):
        return self._ask("POST", path, json.dumps({"model": "tiny", **fields}))

    def chat(self, said="hi", **fields):
        messages = [{"role": "user", "content": said}]
        return self.post("/v1/chat/completions", messages=messages, **fields)

    def stream(self, said="hi", **fields):
        """Connection and response of a stream that has begun."""
        messages = [{"role": "user", "content": said}]
        body = json.dumps({"model": "tiny", "messages": messages, "stream": True, **fields})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/chat/completions", body)
        return connection, connection.getresponse()

    def text(self, *args, **fields):
        status, answer = self.chat(*args, **fields)
        assert status == 200, answer
        return answer["choices"][0]["message"]["content"]

    def idle(self):
        """Nothing is generated any more, soon."""
        for _ in range(200):
            figures = self.get("/stats")[1]
            if not figures["under_way"] and not figures["scheduled"]:
                return figures
            time.sleep(0.02)
        raise AssertionError(figures)

    def _ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


def events(stream):
    """Decoded events of a stream, and whether the end mark came."""
    connection, response = stream
    found, ended = [], False
    body = response.read()
    connection.close()
    for raw in body.split(b"\n\n"):
        data = raw.removeprefix(b"data: ")
        if data == b"[DONE]":
            ended = True
        elif data:
            found.append(json.loads(data))
    return found, ended


def command(folder, *options):
    return [sys.executable, "-m", "gatemill.runner", "--model", str(folder), *options]


@contextmanager
def running(folder, *options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(command(folder, "--port", str(port), *options))
    runner = Runner(process, port)
    try:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert process.poll() is None
            try:
                if runner.get("/health")[0] == 200:
                    break
            except OSError:
                time.sleep(0.1)
        yield runner
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def batched(folder):
    with running(folder) as found:
        yield found


@pytest.fixture(scope="module")
def fifo(tmp_path_factory):
    made = tiny_llama.make(tmp_path_factory.mktemp("plain"), template=False)
    with running(made, "--no-batching") as found:
        yield found


def test_it_batches_with_a_cache_that_is_no_larger_than_needed(batched):
    figures = batched.get("/stats")[1]
    assert figures["engine"] == "batched"
    assert figures["context_tokens"] == 512
    assert figures["cache_bytes"] < 32 << 20


def test_a_chat_and_its_stream_say_the_same(batched):
    status, answer = batched.chat(max_tokens=30, temperature=0)
    assert status == 200
    validate("CreateChatCompletionResponse", answer)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 30
    options = {"include_usage": True}
    found, ended = events(batched.stream(max_tokens=30, temperature=0, stream_options=options))
    assert ended
    for event in found:
        validate("CreateChatCompletionStreamResponse", event)
    said = "".join(e["choices"][0]["delta"].get("content", "") for e in found if e["choices"])
    assert said == answer["choices"][0]["message"]["content"]
    assert found[-1]["usage"] == answer["usage"]


def test_a_stop_string_ends_the_answer_before_it(batched):
    said = batched.text(max_tokens=60, temperature=0)
    stop = said[20:23]
    expected = said[: said.index(stop)]
    _, answer = batched.chat(max_tokens=400, temperature=0, stop=stop)
    assert answer["choices"][0]["message"]["content"] == expected
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] < 60
    found, _ = events(batched.stream(max_tokens=400, temperature=0, stop=[stop]))
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in found) == expected
    batched.idle()


def test_several_choices_are_several_answers(batched):
    status, answer = batched.chat(n=3, max_tokens=20)
    assert status == 200
    texts = [one["message"]["content"] for one in answer["choices"]]
    assert len(set(texts)) == 3
    assert (
        answer["usage"]["prompt_tokens"] == batched.chat(max_tokens=1)[1]["usage"]["prompt_tokens"]
    )


def test_tokens_are_a_prompt_too(batched):
    status, answer = batched.post("/v1/completions", prompt=[5, 6, 7], max_tokens=3, temperature=0)
    validate("CreateCompletionResponse", answer)
    assert answer["usage"]["prompt_tokens"] == 3
    status, answer = batched.post("/v1/completions", prompt=[100_000], max_tokens=3)
    assert (status, answer["error"]["param"]) == (400, "prompt")


def test_a_caller_who_leaves_empties_the_scheduler(batched):
    connection, response = batched.stream(**SLOW)
    response.read(64)
    assert batched.get("/stats")[1]["under_way"] == 1
    response.close()
    connection.close()
    batched.idle()
    body = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hi"}], **SLOW})
    with socket.create_connection(("127.0.0.1", batched.port)) as raw:  # not a stream
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        raw.sendall(head.encode() + body.encode())
        while not batched.get("/stats")[1]["under_way"]:
            time.sleep(0.01)
    batched.idle()


def test_sixteen_streams_at_once_say_what_each_says_alone(batched):
    prompts = [f"number {i} {'word ' * i}" for i in range(16)]
    alone = [batched.text(said, max_tokens=24, temperature=0) for said in prompts]

    def streamed(said):
        found, ended = events(batched.stream(said, max_tokens=24, temperature=0))
        assert ended
        return "".join(e["choices"][0]["delta"].get("content", "") for e in found)

    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(streamed, prompts))
    # Sums in another order round differently, which may turn a near tie; most answers are the same.
    assert sum(a == b for a, b in zip(alone, together, strict=True)) >= 14
    batched.idle()


def test_what_exceeds_the_context_is_refused_with_numbers(batched):
    status, answer = batched.chat("word " * 1000)
    assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
    assert "512 tokens" in answer["error"]["message"]
    assert batched.chat(max_tokens=600)[0] == 400


def test_a_seed_in_a_batch_is_refused(batched):
    assert batched.chat(seed=1)[1]["error"]["param"] == "seed"


def test_without_a_batch_a_seed_repeats_the_answer(fifo):
    assert fifo.get("/stats")[1]["engine"] == "fifo"

    def said(seed):
        return fifo.post("/v1/completions", prompt="a", seed=seed, max_tokens=20)[1]

    assert (
        said(1)["choices"][0]["text"]
        == said(1)["choices"][0]["text"]
        != said(2)["choices"][0]["text"]
    )
    validate("CreateCompletionResponse", said(3))
    assert said(3)["usage"]["completion_tokens"] <= 20


def test_without_a_batch_who_leaves_and_a_stop_string_end_generation(fifo):
    text = fifo.post("/v1/completions", prompt="a", max_tokens=40, temperature=0)[1]["choices"][0][
        "text"
    ]
    stop = text[10:13]
    answer = fifo.post("/v1/completions", prompt="a", max_tokens=400, temperature=0, stop=stop)[1]
    assert answer["choices"][0]["text"] == text[: text.index(stop)]
    fifo.idle()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda i: fifo.post("/v1/completions", prompt=f"{i}", max_tokens=9), range(4))
        )
    assert [status for status, _ in answers] == [200] * 4


def test_a_model_without_a_template_holds_no_conversation(fifo):
    status, answer = fifo.chat()
    assert (status, answer["error"]["code"]) == (400, "no_chat_template")


def refused(folder, *options):
    done = subprocess.run(
        command(folder, *options), capture_output=True, text=True, timeout=START_S, check=False
    )
    assert done.returncode == 3
    return done.stderr


def test_a_cache_that_is_too_small_is_refused_with_numbers(folder):
    assert "cache_bytes is 0.0 MiB, and 256 tokens need" in refused(folder, "--cache-bytes", "9000")


def test_pickles_and_code_are_not_loaded(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    assert "no *.safetensors; pickled weights are not loaded" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    assert "code of its own" in refused(tmp_path)


@pytest.mark.parametrize("when", ["loading", "serving"])
def test_it_ends_with_its_parent_and_leaves_nothing(folder, when):
    place = Path(tempfile.mkdtemp(prefix="gm-")) / "runner"
    process = subprocess.Popen(
        command(folder, "--socket", str(place), "--with-parent"), stdin=subprocess.PIPE
    )
    until = time.monotonic() + START_S
    while when == "serving" and not place.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.stdin.close()
    code = process.wait(START_S)
    if when == "serving":
        assert code == 0
        assert not place.parent.exists()
    shutil.rmtree(place.parent, ignore_errors=True)
