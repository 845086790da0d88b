"""Several processes behind one port: spread, replaced, reloaded and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap

import msgspec
import pytest

import redis_service
from cli_run import process
from gatemill.edge.workers import QUICK_DEATHS_MAX, bound
from house_for_tests import Opened
from openapi_examples import fetch
from peer import ask, body, peer, plain, post
from running import serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
MORE = ECHO + '[models.more]\ntargets = ["echo/echo"]\n'
UP = '[providers.up]\nkind = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-upstream-key"\n'
REPLACED_S_MAX = 2.0


@pytest.fixture
def counters():
    with redis_service.store() as url:
        yield {"GATEMILL_SERVER__WORKERS": "2", "GATEMILL_STORES__COUNTERS": url}


def _events(running, name):
    return [line for line in running.lines() if line["event"] == name]


def _heard(running, name, count=1):
    while len(found := _events(running, name)) < count:
        assert fetch(running.url + "/livez", {}).status == 200
    return found


def _gate(running):
    return Opened(port=running.port, key=running.key, door=None, home=None)


async def _who(gate, times=40):
    """The processes that answer: their part of a request id."""
    answers = [await ask(gate, plain(gate, "/v1/models")) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return [answer.headers["x-request-id"][15:27] for answer in answers]


# --- Real processes -------------------------------------------------------------------------------


async def test_two_processes_share_the_requests(tmp_path, counters):
    with serve(tmp_path, ECHO, **counters) as running:
        _heard(running, "workers_ready")
        who = await _who(_gate(running), 60)
        assert len(set(who)) == 2
        if sys.platform == "linux":  # the kernel spreads them
            assert min(who.count(one) for one in set(who)) >= 12
        assert {line["worker"] for line in _events(running, "ready")} == {1, 2}
        assert running.key
    assert running.process.returncode == 0
    assert len(_events(running, "stopped")) == 2


async def test_the_death_of_one_hurts_only_its_own_requests(tmp_path, counters, fake):
    with serve(tmp_path, UP.format(url=fake.url), **counters) as running:
        _heard(running, "workers_ready")
        gate = _gate(running)
        pids = {line["worker"]: line["worker_pid"] for line in _events(running, "worker_started")}
        streams = []
        for _ in range(12):
            client = peer(gate)
            streams.append((client, await client.__aenter__()))
        for _, client in streams:
            await client.send(post(gate, body("up/fake+words=6+slow=0.1", stream=True)))
        for _, client in streams:
            await client.head()
        os.kill(pids[1], signal.SIGKILL)
        answers = [await ask(gate, plain(gate, "/livez")) for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        whole = [await _is_whole(client) for _, client in streams]
        for context, _ in streams:
            await context.__aexit__(None, None, None)
        assert 0 < whole.count(True) < 12
        (died,) = _heard(running, "worker_died")
        assert (died["worker"], died["exit_code"]) == (1, -9)
        ready = _heard(running, "ready", 3)
        assert ready[-1]["ts"] - died["ts"] < REPLACED_S_MAX
        assert ready[-1]["worker"] == 1
        assert len(set(await _who(gate))) == 2


async def _is_whole(client):
    got = b""
    try:
        while more := await client.chunk():
            got += more
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    return b"data: [DONE]" in got


async def test_a_reload_through_one_reaches_all(tmp_path, counters):
    file = tmp_path / "gatemill.toml"
    with serve(tmp_path, ECHO, **counters) as running:
        _heard(running, "workers_ready")
        file.write_text(MORE)
        headers = {"authorization": f"Bearer {running.key}"}
        answer = fetch(running.url + "/api/v1/config/reload", headers, b"")
        assert msgspec.json.decode(answer.body)["workers"] == 2
        lines = _heard(running, "config_reloaded", 2)
        assert {line["worker"] for line in lines} == {1, 2}
        kept = fetch(running.url + "/api/v1/config/versions", headers)
        assert [one["number"] for one in msgspec.json.decode(kept.body)["data"]] == [2, 1]
        file.write_text(ECHO)
        running.process.send_signal(signal.SIGHUP)
        assert len({line["config"] for line in _heard(running, "config_reloaded", 4)}) == 2


async def test_one_that_joins_while_the_file_is_broken_runs_what_the_others_run(tmp_path, counters):
    file = tmp_path / "gatemill.toml"
    with serve(tmp_path, ECHO, **counters) as running:
        _heard(running, "workers_ready")
        file.write_text(MORE)
        running.process.send_signal(signal.SIGHUP)
        _heard(running, "config_reloaded", 2)
        file.write_text("broken")
        os.kill(_events(running, "worker_started")[0]["worker_pid"], signal.SIGKILL)
        ready = _heard(running, "ready", 3)
        assert ready[2]["config"] == _events(running, "config_reloaded")[0]["config"]


async def test_without_their_supervisor_they_end(tmp_path, counters):
    with serve(tmp_path, ECHO, **counters) as running:
        _heard(running, "workers_ready")
        running.process.kill()
        running.process.wait()
    # Its log has ended, which both of them held open.
    assert len(_events(running, "supervisor_gone")) == 2
    assert len(_events(running, "stopped")) == 2


def test_several_processes_with_counters_of_their_own_are_refused(tmp_path):
    done = process("serve", "--workers", "3", "--port", "0", cwd=tmp_path)
    assert done.code == 2
    assert "flag --workers: " in done.err
    assert 'set stores.counters = "redis://host:6379/0", or workers = 1' in done.err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "gatemill.toml").write_text("[server]\nworkers = 3\n")
    done = process("check", cwd=tmp_path)
    assert done.code == 2
    assert "gatemill.toml:2: server.workers: 3 processes need shared counters" in done.err


def test_a_start_that_fails_says_why_once(tmp_path, counters):
    done = process("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path, **counters)
    assert done.code == 1
    assert done.err.count("there is no admin key") == 1
    assert "Traceback" not in done.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = process("serve", "--port", port, cwd=tmp_path, **counters)
    assert f"gatemill: port {port} on 127.0.0.1 is in use\n" in done.err


# --- Sockets --------------------------------------------------------------------------------------


def test_each_worker_has_a_socket_of_the_same_port():
    seats = bound("127.0.0.1", 0, 3)
    try:
        ports = {one.getsockname()[1] for (one,) in seats}
        assert len(ports) == 1
        if sys.platform == "linux":
            assert len({one.fileno() for (one,) in seats}) == 3
        for (one,) in seats:
            one.listen()
        with pytest.raises(OSError, match="in use"):  # other workers have it
            bound("127.0.0.1", ports.pop(), 2)
    finally:
        for (one,) in seats:
            one.close()


def test_every_address_of_a_name_is_bound():
    seats = bound("localhost", 0, 2)
    try:
        families = {one.family for seat in seats for one in seat}
        assert len(seats[0]) == len(families) == len(seats[1])
    finally:
        for seat in seats:
            for one in seat:
                one.close()


# --- What the supervisor decides ------------------------------------------------------------------

SUPERVISED = """
import os, signal, sys
import msgspec
from gatemill.core.errors import StartRefused
from gatemill.edge.workers import Supervisor, bound

class Hasty:
    "A clock that a look moves on, so that no pause takes long."
    now_s = 0.0
    def monotonic_s(self):
        self.now_s += {step_s}
        return self.now_s

def say(event, **fields):
    sys.stdout.write(msgspec.json.encode({{"event": event, **fields}}).decode() + "\\n")
    sys.stdout.flush()

def work(seat, replaces):
{work}

try:
    code = Supervisor(bound("127.0.0.1", 0, 2), work, say, Hasty(), 1.0).run()
except StartRefused as refusal:
    say("refused", words=refusal.message)
    code = 1
raise SystemExit(code)
"""


def _supervised(work, step_s=0.2):
    """What a supervisor says of workers that do this, and how it ended."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SUPERVISED.format(work=textwrap.indent(work, "    "), step_s=step_s),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    return lines, done.returncode, done.stderr


def test_a_first_worker_that_fails_ends_it_all_with_its_words():
    lines, code, _ = _supervised('seat.say("failed", "no\\nroom")\nreturn 3')
    assert code == 1
    assert lines[-1] == {"event": "refused", "words": "no room"}
    assert [line["worker"] for line in lines if line["event"] == "worker_started"] == [1]


def test_a_worker_that_dies_at_once_again_and_again_is_given_up():
    work = """
seat.say("ready")
if seat.number == 1:
    signal.pause()
seat.say("failed", "the disk is full")
return 7
"""
    lines, code, _ = _supervised(work)
    assert code == 1
    died = [line for line in lines if line["event"] == "worker_died"]
    assert [line["worker"] for line in died] == [2] * QUICK_DEATHS_MAX
    assert died[0]["words"] == "the disk is full"
    assert lines[-1]["words"] == (
        f"worker 2 ended with exit code 7, {QUICK_DEATHS_MAX} times in a row: the disk is full"
    )


def test_a_fault_in_a_worker_is_shown_and_one_that_is_killed_is_called_so():
    lines, code, errors = _supervised('raise ValueError("a bug")')
    assert code == 1
    assert b"ValueError: a bug" in errors
    assert lines[-1]["words"] == "worker 1 ended with exit code 1"
    lines, code, _ = _supervised("signal.raise_signal(signal.SIGKILL)")
    assert lines[-1]["words"] == "worker 1 was killed by signal 9"


def test_a_worker_that_does_not_end_is_killed_when_patience_is_over():
    work = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
seat.say("ready")
if seat.number == 2:
    os.kill(os.getppid(), signal.SIGTERM)
while True:
    signal.pause()
"""
    lines, code, _ = _supervised(work, step_s=4.0)
    assert code == 1
    assert "worker_died" not in [line["event"] for line in lines]
