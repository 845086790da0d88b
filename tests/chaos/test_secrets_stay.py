"""Secrets go in by every way there is, and come out by none; nor does what callers write reach a log.

A real server and its children, a provider that says aloud what it was told, every format, failures, jobs
and dead letters. Then everything that anybody could read is searched: answers, headers, logs, metrics,
files, the database, arguments and environments of processes.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx2
import pytest

import cli_run
from indiscreet import Indiscreet
from running import serve

MARK = "CANARY7f3a"  # in every secret, and nowhere else
PROMPT = "xylophonistic"  # in every question
ANSWER = "zygomorphously"  # in every answer
COMMAND_ENV = "GATEMILL_PROVIDERS__ENVIED__API_KEY"

CONFIG = """
[server]
log_level = "debug"
log = "{log}"
[stores]
cache = "redis://reader:{mark}-redis@127.0.0.1:1/0"
[alerts]
webhook = "http://127.0.0.1:1/alerts"
secret = "whsec_{signing}"
[guards.hooks.judge]
url = "http://127.0.0.1:1/judge"
secret = "whsec_{signing}"
[auth]
public_url = "http://127.0.0.1:8700"
[recordings]
share = {recorded}
[providers.plain]
kind = "openai"
base_url = "{url}/v1"
api_keys = ["sk-{mark}-pool-one-0000000", "sk-{mark}-pool-two-0000000"]
headers = {{ x-tenant-secret = "{mark}-header" }}
timeout = {{ connect_s = 1, first_token_s = 3, between_chunks_s = 3, total_s = 8 }}
[providers.envied]
kind = "openai"
base_url = "{url}/v1"
[providers.claude]
kind = "anthropic"
base_url = "{url}"
api_key = "sk-ant-{mark}-anthropic-000"
[retries]
attempts_max = 2
[local.child]
task = "generate"
engine = "command"
command = ["{python}", "-m", "gatemill", "fake-provider", "--port", "{{port}}"]
health = "/livez"
served_name = "fake"
{models}
"""
STATUSES = ("m200", "m400", "m401", "m403", "m404", "m429", "m500", "stream", "redirect", "zipped")
PROVIDERS = ("plain", "envied", "claude")


def config(url: str, *, log: str = "json", recorded: float = 0.0) -> str:
    signing = base64.b64encode(f"{MARK}-signing-secret-000".encode()).decode()
    models = "".join(
        f'[models."{provider}-{name}"]\ntargets = ["{provider}/{name}"]\n'
        for provider in PROVIDERS
        for name in STATUSES
    )
    python = os.sys.executable
    return CONFIG.format(
        mark=MARK,
        url=url,
        signing=signing,
        models=models,
        python=python,
        log=log,
        recorded=recorded,
    )


def marks() -> list[bytes]:
    """The secrets' mark as it may be written: plain, in base64, percent-encoded."""
    signing = base64.b64encode(f"{MARK}-signing-secret-000".encode())
    return [MARK.encode(), signing, MARK.encode().hex().encode()]


class Heard:
    """Everything that the server said, with where."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.said: list[tuple[str, bytes]] = []

    async def ask(self, method: str, path: str, **more) -> httpx2.Response:
        answer = await self._client.request(method, path, **more)
        # Whoever sends an id of their own gets it back.
        told = [pair for pair in answer.headers.items() if pair[0] != "x-client-request-id"]
        head = "\n".join(f"{name}: {value}" for name, value in told)
        where = f"{method} {path.partition('?')[0]} -> {answer.status_code}"
        self.said.append((where, head.encode() + b"\n" + answer.content))
        return answer


def bodies(model: str, text: str) -> list[tuple[str, dict]]:
    turns = [{"role": "user", "content": text}]
    return [
        ("/v1/chat/completions", {"model": model, "messages": turns}),
        ("/v1/chat/completions", {"model": model, "messages": turns, "stream": True}),
        ("/v1/responses", {"model": model, "input": text}),
        ("/v1/messages", {"model": model, "messages": turns, "max_tokens": 9}),
        ("/v1/completions", {"model": model, "prompt": text}),
        ("/v1/embeddings", {"model": model, "input": text}),
    ]


async def everything(heard: Heard, key: str) -> None:
    """Every format meets every failure; jobs and documents too."""
    auth = {"authorization": f"Bearer {key}"}
    for provider in PROVIDERS:
        for name in STATUSES:
            # Every format for the first provider, one for the others: their dialects differ, not the formats.
            forms = bodies(f"{provider}-{name}", f"{PROMPT} of {name}")
            for path, body in forms if provider == "plain" else forms[:2]:
                await heard.ask("POST", path, json=body, headers=auth)
    await heard.ask(
        "POST", "/v1/chat/completions", headers=auth, content=b'{"model": "' + PROMPT.encode()
    )
    for body in (
        {"model": "no-such-model", "messages": [{"role": "user", "content": PROMPT}]},
        {"model": "plain-m200", "messages": [{"role": PROMPT, "content": PROMPT}]},
        {"model": "plain-m200", "messages": PROMPT, "stream": PROMPT, "max_tokens": PROMPT},
    ):
        await heard.ask("POST", "/v1/chat/completions", json=body, headers=auth)
    args = {"model": "plain-m200", "messages": [{"role": "user", "content": f"{PROMPT} in a job"}]}
    job = await heard.ask(
        "POST", "/v1/jobs", json={"kind": "chat.completion", "args": args}, headers=auth
    )
    dead = {**args, "model": "plain-m401"}
    dying = await heard.ask(
        "POST", "/v1/jobs", json={"kind": "chat.completion", "args": dead}, headers=auth
    )
    for one in (job, dying):
        await heard.ask("GET", f"/v1/jobs/{one.json()['id']}/events", headers=auth)
        await heard.ask("GET", f"/v1/jobs/{one.json()['id']}", headers=auth)
    await heard.ask("GET", "/v1/dead-letters", headers=auth)
    store = await heard.ask("POST", "/v1/vector_stores", json={"name": "notes"}, headers=auth)
    documents = {"documents": [{"id": "d", "text": f"The {PROMPT} is loud."}]}
    path = f"/v1/vector_stores/{store.json()['id']}"
    await heard.ask("POST", f"{path}/documents", json=documents, headers=auth)
    await heard.ask("POST", f"{path}/search", json={"query": PROMPT}, headers=auth)
    local = {"model": "local/child", "messages": [{"role": "user", "content": PROMPT}]}
    answer = await heard.ask("POST", "/v1/chat/completions", json=local, headers=auth)
    assert answer.status_code == 200, answer.text


async def with_wrong_keys(heard: Heard) -> None:
    """A key that nobody knows, in every place where somebody might put it."""
    wrong = f"gm-abcdefghij-{MARK}{'0' * 33}"
    body = {"model": "plain-m200", "messages": [{"role": "user", "content": "hi"}]}
    for headers in (
        {"authorization": f"Bearer {wrong}"},
        {"authorization": wrong},
        {"authorization": f"Basic {base64.b64encode(wrong.encode()).decode()}"},
        {"x-api-key": wrong},
        {"api-key": wrong},
        {"cookie": f"gatemill_session={wrong}"},
        {"x-request-id": wrong},
        {"traceparent": wrong, "baggage": wrong, "x-forwarded-for": wrong},
        {"sec-websocket-protocol": f"gatemill-key.{wrong}"},
    ):
        for path in (
            "/v1/chat/completions",
            "/api/v1/keys",
            f"/v1/models?api_key={wrong}",
            "/nowhere",
        ):
            if "?" in path or path == "/nowhere":
                await heard.ask("GET", path, headers=headers)
            else:
                await heard.ask("POST", path, json=body, headers=headers)


async def read_all(heard: Heard, key: str) -> None:
    """Every page that only reads."""
    auth = {"authorization": f"Bearer {key}"}
    for path in (
        *("/metrics", "/api/v1/config/versions", "/api/v1/audit", "/api/v1/keys", "/api/v1/usage"),
        *("/api/v1/requests", "/v1/models", "/openapi.json", "/docs", "/readyz", "/api/v1/budgets"),
        *("/v1/recordings", "/api/v1/limits", "/v1/jobs", "/api/v1/models/runners", "/v1/webhooks"),
    ):
        await heard.ask("GET", path, headers=auth)
    found = (await heard.ask("GET", "/api/v1/requests?limit=5", headers=auth)).json()
    for one in found.get("data", []):
        await heard.ask("GET", f"/api/v1/requests/{one['request_id']}/explain", headers=auth)


def parents() -> dict[int, int]:
    """Whose child each process is."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            told = (folder / "stat").read_text().rpartition(")")[2].split()
            found[int(folder.name)] = int(told[1])
    return found


def family(pid: int, parents: dict[int, int]) -> set[int]:
    """The process and all below it. Numbers come again: a child's may be the smaller one."""
    found = {pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def processes(pid: int) -> dict[str, bytes]:
    """Arguments of the server and all below it, and the environments of those below."""
    found = {}
    for each in family(pid, parents()):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if each != pid:
                found[f"{each} environ"] = Path(f"/proc/{each}/environ").read_bytes()
            found[f"{each} cmdline"] = Path(f"/proc/{each}/cmdline").read_bytes()
    return found


def files(folder: Path) -> dict[str, bytes]:
    """What the server has written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "gatemill.toml"
    }


def tables(database: Path, words: list[bytes]) -> set[str]:
    """Those that hold a word, but for the index that is made of others."""
    connection = sqlite3.connect(database)
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    found = {
        name
        for name in names
        if not name.startswith("derived_")
        for row in connection.execute(f"SELECT * FROM {name}")
        if hits({name: repr(row).encode()}, words)
    }
    connection.close()
    return found


def hits(places: dict[str, bytes] | list[tuple[str, bytes]], words: list[bytes]) -> list[str]:
    pairs = places.items() if isinstance(places, dict) else places
    return [
        f"{where}: …{data[max(0, at - 60) : at + 60]!r}…"
        for where, data in pairs
        for word in words
        if (at := data.find(word)) >= 0
    ]


@pytest.mark.parametrize("log", ["json", "pretty"])
async def test_no_secret_and_no_prompt_comes_out(log, tmp_path):
    if log == "pretty" and os.environ.get("GATEMILL_TEST_HEAVY") != "1":
        pytest.skip("heavy: the same for people's logs; set GATEMILL_TEST_HEAVY=1")
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Indiscreet(told=[], answer=ANSWER))
        environ = {COMMAND_ENV: f"sk-{MARK}-from-environment", "OTHER_API_KEY": f"sk-{MARK}-other"}
        text = config(provider.url, log=log)
        server = stack.enter_context(serve(tmp_path, text, **environ))
        client = await stack.enter_async_context(
            httpx2.AsyncClient(
                base_url=server.url,
                timeout=30.0,
                limits=httpx2.Limits(max_keepalive_connections=0),
            )
        )
        heard = Heard(client)
        await everything(heard, server.key)
        told = b"".join(str(one).encode() for one in provider.told)
        assert told.count(MARK.encode()) > 20, "the provider was told its keys"
        said_by_jobs = len(heard.said)
        await with_wrong_keys(heard)
        await read_all(heard, server.key)
        of_processes = processes(server.process.pid)
        assert len(of_processes) >= 5, "the server, the model, and who stands between"
        assert "\n".join(hits(heard.said, marks())) == ""
        assert hits(heard.said[said_by_jobs:], [PROMPT.encode(), ANSWER.encode()]) == []
        assert hits(of_processes, marks()) == []
        key = server.key.encode()
        assert hits(heard.said, [key]) == []
        assert hits(of_processes, [key]) == []
    written = files(tmp_path)
    # `gatemill config rollback` needs the files as they were: their owner alone can read them.
    copies = {name for name in written if name.startswith("data/config/")}
    assert all(not (tmp_path / name).stat().st_mode & 0o077 for name in copies)
    written = {name: data for name, data in written.items() if name not in copies}
    assert hits(written, marks()) == []
    assert {name for name, data in written.items() if key in data} == {"data/dev.key"}
    legitimate = {
        "data/gatemill.db"
    }  # jobs, documents: tests/ledger/test_purge.py says which tables
    words = [PROMPT.encode(), ANSWER.encode()]
    assert {name for name in written if hits({name: written[name]}, words)} == legitimate
    assert len(written["server.log"]) > 1000


def test_a_child_with_a_smaller_number_than_its_parent_is_looked_at_too():
    assert family(300, {2: 1, 300: 2, 17: 300, 40: 17, 16: 40, 301: 1}) == {300, 17, 40, 16}


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    return cli_run.entered(capsys, monkeypatch, tmp_path)


def test_no_command_shows_a_secret(command, tmp_path):
    """Of a configuration whose every place for a secret has one."""
    text = config("http://127.0.0.1:1").partition("[models.")[0]
    text += f'[jobs]\nbroker = "amqp://jobs:{MARK}-broker@127.0.0.1:1/"\n'
    stores = f"""[stores]
database = "postgresql://gatemill:{MARK}-database@127.0.0.1:1/none"
counters = "redis://:{MARK}-counters@127.0.0.1:1/0"
"""
    text = text.replace("[stores]\n", stores)
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    commands = (
        *(
            "check",
            "check --json",
            "config show",
            "config history",
            "db status",
            "keys ls",
            "usage",
        ),
        *("serve", f"models ls --url http://user:{MARK}@127.0.0.1:1"),
    )
    shown = {name: command(*name.split(), OTHER_API_KEY=f"sk-{MARK}-other") for name in commands}
    file.write_text(text.replace("kind =", "knid ="))
    shown["wrong"] = command("check")
    file.write_text(text.replace("api_key = ", "api_key = 7 #"))
    shown["broken"] = command("check")
    assert shown["wrong"].code != 0 != shown["broken"].code
    texts = {name: (done.out + done.err).encode() for name, done in shown.items()}
    assert hits(texts, marks()) == []
    assert "sk-" in texts["check"].decode() or "…" in texts["check"].decode()
