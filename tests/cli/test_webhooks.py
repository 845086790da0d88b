"""`gatemill webhooks` against a real server, with its own listener as the other side."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from cli_run import Command, clean_environment
from gatemill.cli import webhooks_shown, webhooks_sink
from gatemill.cli.failure import Failure
from gatemill.cli.webhooks_sink import Sink
from gatemill.wire import webhook
from running import serve

CONFIG = '[webhooks]\nprivate_addresses = ["127.0.0.0/8"]\n[models.echo]\ntargets = ["echo/echo"]\n'
CHAT = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]})
PATIENCE_S = 60.0


class Listener(Struct):
    """A `gatemill webhooks listen`, and what it has printed."""

    url: str
    lines: list[str]

    def heard(self, pattern: str) -> re.Match[str]:
        given_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < given_up_s:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            threading.Event().wait(0.02)
        raise AssertionError(f"nothing like {pattern}: {self.lines}")


class _Reading(threading.Thread):
    def __init__(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self._lines = lines

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip("\n"))


class Listening:
    """Starts and ends a listener."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._arguments = arguments
        self._environ = environ

    def __enter__(self) -> Listener:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gatemill",
                "webhooks",
                "listen",
                "--port",
                "0",
                *self._arguments,
            ],
            env=clean_environment(PYTHONUNBUFFERED="1", **self._environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: list[str] = []
        self._thread = _Reading(self.process, lines)
        self._thread.start()
        found = Listener("", lines)
        found.url = found.heard(r"Listening on (http://\S+?)/ ")[1]
        return found

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert code == 130


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("webhooks"), CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
def listener(known: dict[str, str]) -> Iterator[Listener]:
    with Listening(**known) as found:
        yield found


@pytest.fixture
def ask(gatemill: Command, known: dict[str, str]):
    """`gatemill webhooks`, and the place where it asks."""

    def asking(*arguments: str):
        return gatemill("webhooks", *arguments, **known)

    return asking


def deliveries(ask, *arguments: str, count: int = 1):
    given_up_s = time.monotonic() + PATIENCE_S
    while True:
        found = json.loads(ask("deliveries", "--json", *arguments).out)
        if len(found) >= count:
            return found
        assert time.monotonic() < given_up_s
        threading.Event().wait(0.05)


def test_a_test_of_a_url_says_what_came_back(ask, listener: Listener):
    good = ask("test", f"{listener.url}/x")
    assert (good.code, good.out) == (0, "")
    assert re.fullmatch(rf"{listener.url}/x answered 200 in \d+ ms.\n", good.err)
    found = listener.heard(r"webhook\.test  -  (wh_\w+)  signed  200")
    said = json.loads(ask("test", f"{listener.url}/x", "--json").out)
    assert said["delivered"] is True
    assert said["id"] != found[1]


def test_a_test_that_fails_ends_with_one(ask, known):
    with Listening("--status", "503", **known) as away:
        bad = ask("test", away.url + "/")
    assert bad.code == 1
    assert "The server answered 503." in bad.err
    refused = ask("test", "http://10.0.0.1/")
    assert refused.code == 2
    assert "10.0.0.1" not in refused.err
    assert ask("test", "we_nothing").code == 1


def test_a_webhook_is_added_listed_changed_rotated_and_removed(ask, listener: Listener):
    added = ask(
        "add", listener.url + "/a", "--events", "job.dead, batch.*", "--description", "mine"
    )
    assert added.out.startswith("whsec_")
    webhook_id = re.search(r"we_\w+", added.err)[0]
    assert "is told of job.dead, batch.*" in added.err
    assert added.out.strip() not in ask("ls").out
    row = next(line for line in ask("ls").out.splitlines() if webhook_id in line)
    assert row.split() == [
        webhook_id,
        "enabled",
        listener.url + "/a",
        "job.dead",
        "batch.*",
        "mine",
    ]
    assert webhook_id in json.dumps(json.loads(ask("ls", "--json").out))
    tested = ask("test", webhook_id)  # signed with a secret that the listener does not know
    assert tested.code == 1
    assert "The server answered 401." in tested.err
    assert "is gone" in ask("rm", webhook_id).err
    assert webhook_id not in ask("ls").out


@pytest.fixture
def added(ask, listener: Listener):
    """The id and the secret of a webhook of this test; it is removed."""
    said = json.loads(ask("add", listener.url + "/b", "--json").out)
    yield said["id"], said["secret"]
    ask("rm", said["id"])


def test_a_webhook_is_disabled_and_moved_and_enabled(ask, added, listener: Listener):
    webhook_id, _ = added
    off = ask("set", webhook_id, "--disable")
    assert "is disabled; it would be told of *" in off.err
    assert "disabled" in ask("ls").out
    on = ask("set", webhook_id, "--enable", "--to", listener.url + "/c", "--events", "job.*")
    assert f"is told of job.* at {listener.url}/c" in on.err


def test_a_secret_is_replaced(ask, added):
    webhook_id, secret = added
    new = ask("rotate", webhook_id, "--overlap", "90m")
    assert new.out.startswith("whsec_")
    assert new.out.strip() != secret
    assert "90m" in new.err
    assert ask("rotate", webhook_id, "--overlap", "soon").code == 2


def test_a_webhook_that_is_not_there_is_told(ask):
    for arguments in (("rm",), ("set",), ("rotate",)):
        gone = ask(*arguments, "we_nothing")
        assert gone.code == 1
        assert "no webhook with this id" in gone.err


def test_the_secret_of_callbacks_is_shown_and_replaced(ask):
    first = ask("secret").out
    assert ask("secret").out == first
    new = ask("secret", "--rotate", "--overlap", "24h").out
    assert new != first
    assert ask("secret").out == new


def test_what_was_sent_is_listed_shown_and_sent_again(
    ask, gatemill: Command, known, listener: Listener
):
    job = gatemill(
        "jobs", "submit", "chat.completion", "--args", CHAT, "--callback-url", listener.url + "/j",
        **known,
    ).out.strip()  # fmt: skip
    found = listener.heard(rf"job\.succeeded  {job}  (wh_\w+)  signed  200")
    (one,) = deliveries(ask, "--job", job, "--state", "succeeded")
    assert one["id"] == found[1]
    table = ask("deliveries", "--job", job).out.splitlines()
    assert table[0].split() == ["ID", "STATE", "EVENT", "TRY", "STATUS", "OF", "TO"]
    assert table[1].split()[:6] == [one["id"], "succeeded", "job.succeeded", "1/10", "200", job]
    shown = ask("show", one["id"]).out
    assert f"event      job.succeeded of {job}" in shown
    assert re.search(r"Z +200 +\d+ ms", shown)
    again = ask("resend", one["id"])
    assert (again.code, again.out) == (0, "")
    listener.heard(rf"{one['id']}  signed  again  200")
    assert len(json.loads(ask("show", one["id"], "--json").out)["tries"]) >= 1
    assert ask("resend", "wh_nothing").code == 1


def test_what_did_not_arrive_says_when_it_is_tried_again(ask, gatemill: Command, known):
    with Listening("--status", "500", **known) as away:
        job = gatemill(
            "jobs", "submit", "chat.completion", "--args", CHAT, "--callback-url", away.url + "/",
            **known,
        ).out.strip()  # fmt: skip
        away.heard(job)
    (one,) = deliveries(ask, "--job", job, "--state", "scheduled")
    row = ask("deliveries", "--job", job).out.splitlines()[1]
    assert "again in" in row
    shown = ask("show", one["id"]).out
    assert "next try" in shown
    assert "The server answered 500." in shown


# --- The listener ------------------------------------------------------------------------------------


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE_S)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_listener_refuses_what_is_not_signed(listener: Listener):
    assert post(listener.url, b"hello", {}) == 401
    listener.heard("no event  -  -  NOT SIGNED  401")


def test_the_listener_checks_with_the_secrets_that_it_is_given():
    keys = [bytes(range(at, at + 32)) for at in (0, 1, 2)]
    secrets = [part for key in keys[:2] for part in ("--secret", webhook.secret_of(key))]
    body = b'{"type":"job.dead","data":{"id":"job_1"}}'
    with Listening("--json", *secrets) as listener:
        for key, status in zip(keys, (200, 200, 401), strict=True):
            headers = dict(webhook.headers((key,), "wh_1", time.time(), body))
            assert post(listener.url, body, headers) == status
        listener.heard(re.escape(body.decode()))


def test_without_a_gateway_the_listener_checks_nothing_and_says_so(tmp_path: Path):
    nowhere = {"GATEMILL_URL": "http://127.0.0.1:1", "GATEMILL_API_KEY": "gm-x"}
    with Listening(**nowhere) as listener:
        listener.heard("Signatures are not checked")
        assert post(listener.url, b'{"type":"job.dead","data":{"id":"job_1"}}', {}) == 200
        listener.heard("job.dead  job_1  -  not checked  200")


def test_a_listener_that_cannot_be_says_why(gatemill: Command, known, listener: Listener):
    port = listener.url.rpartition(":")[2]
    taken = gatemill("webhooks", "listen", "--port", port, **known)
    assert taken.code == 1
    assert f"port {port} is in use" in taken.err
    assert gatemill("webhooks", "listen", "--host", "192.0.2.1", **known).code == 1
    assert gatemill("webhooks", "listen", "--secret", "whsec_x", **known).code == 2


# --- The application behind the listener ---------------------------------------------------------


async def told(sink: Sink, *pieces: bytes, **headers: str) -> int:
    """The status that it answers."""
    waiting = [
        {"body": piece, "more_body": at < len(pieces) - 1} for at, piece in enumerate(pieces)
    ]
    sent: list[dict[str, object]] = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    named = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    await sink({"headers": named}, receive, send)
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status


KEY = bytes(range(32))
BODY = b'{"type":"job.dead","data":{"id":"job_1"}}'


def signed(message_id: str = "wh_1", body: bytes = BODY) -> dict[str, str]:
    found = webhook.headers((KEY,), message_id, time.time(), body)
    return {name.replace("-", "_"): value for name, value in found}


async def test_a_body_in_pieces_is_one(capsys):
    sink = Sink([KEY], 202, as_json=False)
    assert await told(sink, BODY[:9], BODY[9:], **signed()) == 202
    assert "job.dead  job_1  wh_1  signed  202" in capsys.readouterr().out


async def test_what_comes_twice_is_marked_and_old_ids_are_forgotten(capsys, monkeypatch):
    monkeypatch.setattr(webhooks_sink, "SEEN_MAX", 2)
    sink = Sink([KEY], 200, as_json=False)
    for message_id in ("wh_1", "wh_1", "wh_2", "wh_3", "wh_1"):
        await told(sink, BODY, **signed(message_id))
    assert ["again" in line for line in capsys.readouterr().out.splitlines()] == [
        False, True, False, False, False,
    ]  # fmt: skip


async def test_a_body_without_end_is_not_read_to_its_end(capsys):
    sink = Sink([KEY], 200, as_json=True)
    piece = b"x" * 600_000
    assert await told(sink, piece, piece, piece, **signed()) == 401
    assert len(capsys.readouterr().out) < 1_300_000


def test_a_listener_needs_an_address_of_this_machine_and_a_secret_that_is_one():
    with pytest.raises(Failure, match="cannot listen"):
        webhooks_sink.serve(("192.0.2.1", 0), [], 200, as_json=False)
    with pytest.raises(Failure, match="whsec_"):
        webhooks_sink.serve(("127.0.0.1", 0), ["whsec_x"], 200, as_json=False)


def test_a_delivery_that_died_shows_why(capsys):
    one = {
        "id": "wh_1", "event": "job.dead", "subject": "job_1", "webhook_id": None, "url": "http://x",
        "state": "dead", "attempt": 10, "attempts_max": 10, "created_at": 1.0, "next_try_at": None,
        "delivered_at": None, "status": None, "tries": [],
        "error": {"code": "webhook_gone", "message": "The server answered 410."},
    }  # fmt: skip
    webhooks_shown.show(one)
    assert "webhook_gone: The server answered 410." in capsys.readouterr().out
    assert webhooks_shown.deliveries([one], 0.0)[1][0][4] == "webhook_gone"
    waits = {**one, "error": None, "state": "queued", "attempt": 0, "next_try_at": 5.0}
    assert webhooks_shown.deliveries([waits], 0.0)[1][0][4] == "-"
