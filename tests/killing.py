"""A running gateway with a child that is killed under a stream."""

from __future__ import annotations

import http.client
import json
import time

from children import kill, lives

PATIENCE_S = 60.0


class Caller:
    """Asks a running gateway."""

    def __init__(self, running):
        self._running = running
        self._headers = {"authorization": f"Bearer {running.key}"}

    def runner(self, model):
        """What the gateway says of the model's child."""
        listed = self._ask("GET", "/v1/runners", None)[1]["data"]
        return next(one for one in listed if one["model"] == model)

    def chat(self, model, **fields):
        messages = [{"role": "user", "content": "hi"}]
        body = {"model": model, "messages": messages, **fields}
        return self._ask("POST", "/v1/chat/completions", body)

    def stream(self, model, on_content, **fields):
        """All data lines of a stream; `on_content` is called at the first one with text."""
        connection = self._connection()
        messages = [{"role": "user", "content": "hi"}]
        body = {"model": model, "messages": messages, "stream": True, **fields}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), self._headers)
        lines, told = [], False
        with connection.getresponse() as response:
            assert response.status == 200
            for raw in response:
                line = raw.decode().strip()
                if line.startswith("data: "):
                    lines.append(line.removeprefix("data: "))
                    if not told and '"content":"' in line and '"content":""' not in line:
                        told = True
                        on_content()
        connection.close()
        return lines

    def _ask(self, method, path, body):
        connection = self._connection()
        connection.request(method, path, body and json.dumps(body), self._headers)
        with connection.getresponse() as response:
            answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def _connection(self):
        return http.client.HTTPConnection("127.0.0.1", self._running.port, timeout=PATIENCE_S)


def gone(pid):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if not lives(pid):
            return True
        time.sleep(0.02)
    return False


def killed_in_a_stream(caller, model, **fields):
    """One error event ends the stream, and the next request is answered by another child."""
    assert caller.chat(model, **fields)[0] == 200
    first = caller.runner(model)
    lines = caller.stream(model, lambda: kill(first["pid"]), **fields)
    failures = [line for line in lines if '"error"' in line]
    assert failures == [lines[-1]]
    assert json.loads(failures[0])["error"]["code"] == "upstream_interrupted"
    status, answer = caller.chat(model, **fields)
    assert status == 200
    assert answer["choices"][0]["message"]["content"]
    second = caller.runner(model)
    assert (second["state"], second["restarts"]) == ("ready", 1)
    assert second["pid"] != first["pid"]
    assert gone(first["pid"])
    return second["pid"]
