"""Nothing that callers send is run: Python's own audit events are watched while it goes everywhere.

Events come from the interpreter, so nothing that compiles, unpickles or starts a program can miss them.
"""

from __future__ import annotations

import base64
import pickle
import sys
from contextlib import contextmanager

import pytest

from api import api
from gatemill.fake_provider import server as fake_provider
from house_for_tests import opened
from jobs_over_http import events_of

MARK = "pwned_by_data"
TEXT = (
    f"__import__('os').system('touch {MARK}') {{{{ 7 * 7 }}}} {{% for x in ''.__class__ %}} ${{7*7}}"
    f" {{0.__class__}} %(x)s `touch {MARK}` $(touch {MARK}) !!python/object/apply:os.system [{MARK}]"
)


class _Bomb:
    def __reduce__(self):
        return (exec, (f"open('{MARK}', 'w')",))


PICKLED = base64.b64encode(pickle.dumps(_Bomb())).decode()
NEVER = {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
CHILDREN = ("gatemill", "subprocess")
CONFIG = """
[recordings]
share = 1.0
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
[models.mini]
targets = ["up/mini"]
[cache]
ttl_s = 60
"""


class _Watch:
    """Hears audit events while it is on; a hook cannot be taken away."""

    def __init__(self) -> None:
        self.on = False
        self.heard: list[str] = []
        self.seen = 0
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        self.seen += 1
        if event in NEVER:
            self.heard.append(f"{event} {arguments!r}"[:300])
        elif event in ("compile", "exec"):
            self._code(event, arguments)
        elif event == "subprocess.Popen" and not _is_ours(arguments[1]):
            self.heard.append(f"{event} {arguments[1]!r}")

    def _code(self, event: str, arguments: tuple) -> None:
        found = repr(arguments[0])
        if hasattr(arguments[0], "co_consts"):
            found += repr(arguments[0].co_consts) + repr(arguments[0].co_names)
        if MARK in found and not __file__.startswith(getattr(arguments[0], "co_filename", "\0")):
            self.heard.append(f"{event} {found[:300]}")


def _is_ours(command) -> bool:
    """A child that the house declares: Python with a module of ours."""
    words = [str(word) for word in command]
    return words[0] == sys.executable and any("gatemill" in word for word in words[1:])


WATCH = _Watch()


@contextmanager
def watched():
    WATCH.heard.clear()
    WATCH.on = True
    try:
        yield WATCH
    finally:
        WATCH.on = False


async def test_what_callers_send_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provider = await fake_provider.start("127.0.0.1", 0)
    config = CONFIG.format(url=provider.url)
    async with opened(tmp_path, config, works=True) as gate, api(gate) as ask:
        with watched() as watch:
            for data in (TEXT, PICKLED):
                await _everywhere(ask, data)
    await provider.stop()
    assert watch.heard == []
    assert watch.seen  # how much depends on what has been imported before
    assert not list(tmp_path.rglob(MARK))


async def _everywhere(ask, data: str) -> None:
    turns = [{"role": "user", "content": data}]
    said = await ask.chat(data)
    assert said.json["choices"][0]["message"]["content"] == data, "an echo, not a result"
    for path, body in (
        ("/v1/chat/completions", {"model": data[:200], "messages": turns}),
        (
            "/v1/chat/completions",
            {"model": "mini", "messages": turns, "metadata": {"a": data[:400]}},
        ),
        ("/v1/messages", {"model": "mini", "messages": turns, "max_tokens": 9, "system": data}),
        ("/v1/responses", {"model": "mini", "input": data, "instructions": data}),
        ("/v1/embeddings", {"model": "mini", "input": data}),
        ("/v1/predict", {"model": "builtin/sentiment", "inputs": [data]}),
        ("/api/v1/models/versions", {"name": "m", "source": f"file:{data}"}),
        ("/api/v1/keys", {"name": data[:60]}),
    ):
        assert (await ask("POST", path, body)).status < 500, path
    prompt = {"kind": "prompt", "name": "greet", "template": {"messages": turns}}
    assert (await ask("POST", "/api/v1/models", prompt)).status < 500
    args = {"model": "echo", "messages": turns}
    job = await ask("POST", "/v1/jobs", {"kind": "chat.completion", "args": args})
    assert events_of(await ask("GET", f"/v1/jobs/{job.json['id']}/events"))
    report = {
        "kind": "report.generate",
        "args": {"model": "echo", "title": data, "sources": [data]},
    }
    await ask("POST", "/v1/jobs", report)
    store = await ask.good("POST", "/v1/vector_stores", {"name": "notes"})
    path = f"/v1/vector_stores/{store['id']}"
    filled = await ask("POST", f"{path}/documents", {"documents": [{"id": "d", "text": data}]})
    assert filled.status < 300
    found = await ask("POST", f"{path}/search", {"query": data})
    assert found.status == 200
    asked = {"store": "notes", "query": data, "model": "echo"}
    assert (await ask("POST", "/v1/rag/query", asked)).status < 500


@pytest.mark.parametrize(
    "run",
    [
        lambda: eval(f"'{MARK}'"),
        lambda: exec(f"x = '{MARK}'"),
        lambda: pickle.loads(pickle.dumps(_Bomb)),
        lambda: __import__("os").system("true"),
        lambda: __import__("subprocess").run(["true"], check=True),
    ],
)
def test_the_watch_hears_it(run):
    with watched() as watch:
        run()
    assert watch.heard
