"""Users of a gateway, for locust: chats, streams with their first token, embeddings, jobs. Rule: the environment says what to ask.

    GATEMILL_API_KEY=... uvx locust -f tests/load/locustfile.py --host http://127.0.0.1:8700 --headless -u 50 -r 10 -t 30s

See docs/guides/load-test.md.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from locust import HttpUser, between, events, task

KEY = os.environ.get("GATEMILL_API_KEY", "")
MODEL = os.environ.get("LOAD_MODEL", "echo")
EMBEDDING_MODEL = os.environ.get("LOAD_EMBEDDING_MODEL", "echo")
PROMPT = os.environ.get("LOAD_PROMPT", "Explain in plain words how a water mill works.")
OUTPUT_MAX = int(os.environ.get("LOAD_MAX_TOKENS", "64"))
PAUSE_S = float(os.environ.get("LOAD_PAUSE_S", "1"))  # of a user, on average
# How often each thing is done, relative to the others; 0 leaves it out.
WEIGHTS = {
    name: int(os.environ.get(f"LOAD_{name.upper()}", str(weight)))
    for name, weight in {"chat": 10, "stream": 5, "embeddings": 3, "job": 1}.items()
}
ANSWER_S_MAX = 120.0
_JOB_PAUSE_S = 0.25
_GOING = {"scheduled", "queued", "running", "waiting"}


class Caller(HttpUser):
    """Somebody with one key."""

    wait_time = between(PAUSE_S * 0.5, PAUSE_S * 1.5)

    def on_start(self) -> None:
        """Every request carries the key."""
        self.client.headers["authorization"] = f"Bearer {KEY}"

    @task(WEIGHTS["chat"])
    def chat(self) -> None:
        """A complete answer with text in it."""
        with self._post("/v1/chat/completions", _chat(), "chat") as answer:
            if answer.ok and not answer.json()["choices"][0]["message"]["content"]:
                answer.failure("an answer without text")

    @task(WEIGHTS["stream"])
    def stream(self) -> None:
        """A stream to its end; the time of the first word is a row of its own, `first token`."""
        begin_s = time.perf_counter()
        first_s, ended = None, False
        body = {**_chat(), "stream": True}
        with self._post("/v1/chat/completions", body, "stream", stream=True) as answer:
            if not answer.ok:
                return
            for line in answer.iter_lines():
                if line == b"data: [DONE]":
                    ended = True
                elif line.startswith(b"data: ") and first_s is None and _says(line[6:]):
                    first_s = time.perf_counter() - begin_s
            if not ended:
                answer.failure("the stream was cut short")
            if first_s is not None:
                self._row("first token", first_s)

    @task(WEIGHTS["embeddings"])
    def embeddings(self) -> None:
        """Two vectors."""
        body = {"model": EMBEDDING_MODEL, "input": [PROMPT, "another text"]}
        with self._post("/v1/embeddings", body, "embeddings") as answer:
            if answer.ok and len(answer.json()["data"]) != 2:
                answer.failure("not two vectors")

    @task(WEIGHTS["job"])
    def job(self) -> None:
        """A job to its end; how long that took is the row `job done`."""
        begin_s = time.perf_counter()
        body = {"kind": "chat.completion", "args": _chat()}
        with self._post("/v1/jobs", body, "job submitted") as answer:
            if not answer.ok:
                return
            path = f"/v1/jobs/{answer.json()['id']}"
        state = "queued"
        while state in _GOING and time.perf_counter() - begin_s < ANSWER_S_MAX:
            time.sleep(_JOB_PAUSE_S)
            with self.client.get(path, name="job looked at", catch_response=True) as answer:
                if not answer.ok:
                    return
                state = answer.json()["state"]
        wrong = None if state == "succeeded" else RuntimeError(f"the job is {state}")
        self._row("job done", time.perf_counter() - begin_s, wrong)

    def _post(self, path: str, body: dict[str, Any], name: str, *, stream: bool = False) -> Any:
        return self.client.post(
            path, json=body, name=name, stream=stream, timeout=ANSWER_S_MAX, catch_response=True
        )

    def _row(self, name: str, seconds: float, wrong: Exception | None = None) -> None:
        events.request.fire(
            request_type="measured",
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            exception=wrong,
            context={},
        )


def _chat() -> dict[str, Any]:
    turns = [{"role": "user", "content": PROMPT}]
    return {"model": MODEL, "messages": turns, "max_tokens": OUTPUT_MAX}


def _says(event: bytes) -> bool:
    """Whether an event has a word of the answer."""
    choices = json.loads(event).get("choices") or [{}]
    return bool((choices[0].get("delta") or {}).get("content"))
