"""Several processes behind one port: spread, replaced, reloaded and stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import pytest

import redis_service
from cli_run import process
from gatemill.edge.workers import bound
from house_for_tests import Opened
from openapi_examples import fetch
from peer import ask, body, peer, plain, post
from running import serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
MORE = ECHO + '[models.more]\ntargets = ["echo/echo"]\n'
UP = '[providers.up]\nkind = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-upstream-key"\n'
# 2 s are promised, which tests/chaos/test_killed_worker.py asserts at length; this machine may be busy.
REPLACED_S_MAX = 60.0
LOOK_S = 0.05  # a log tells nobody that it grows; to ask without a pause takes a processor
SPREAD_MIN, SPREAD_ASKED_MAX = 12, 500


@pytest.fixture
def counters():
    with redis_service.store() as url:
        yield {"GATEMILL_SERVER__WORKERS": "2", "GATEMILL_STORES__COUNTERS": url}


def _events(running, name):
    return [line for line in running.lines() if line["event"] == name]


def _heard(running, name, count=1):
    while len(found := _events(running, name)) < count:
        assert fetch(running.url + "/livez", {}).status == 200
        time.sleep(LOOK_S)
    return found


def _gate(running):
    return Opened(port=running.port, key=running.key, door=None, home=None)


async def _who(gate, times=40):
    """The processes that answer: their part of a request id."""
    answers = [await ask(gate, plain(gate, "/v1/models")) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return [answer.headers["x-request-id"][15:27] for answer in answers]


# --- Real processes -------------------------------------------------------------------------------


async def test_two_processes_share_the_requests_and_a_reload_reaches_both(tmp_path, counters):
    with serve(tmp_path, ECHO + "[server]\nadmin_port = 0\n", **counters) as running:
        _heard(running, "workers_ready")
        gate = _gate(running)
        who: Counter[str] = Counter()
        while len(who) < 2 or min(who.values()) < SPREAD_MIN:  # the kernel spreads them
            who.update(await _who(gate, 1))
            assert who.total() < SPREAD_ASKED_MAX, who
        assert len(who) == 2
        ready = _events(running, "ready")
        assert {line["worker"] for line in ready} == {1, 2}
        (admin_url,) = {line["admin"] for line in ready}
        admin = Opened(int(admin_url.rpartition(":")[2]), running.key, door=None, home=None)
        for _ in range(12):  # each of the two has both ports
            assert (await ask(admin, plain(admin, "/api/v1/keys"))).status == 200
            assert (await ask(gate, plain(gate, "/api/v1/keys"))).status == 404
            assert (await ask(admin, post(admin, body("echo")))).status == 404
        _reload(running, tmp_path / "gatemill.toml", admin_url)
    assert running.process.returncode == 0
    assert len(_events(running, "stopped")) == 2


def _reload(running, file, admin_url):
    """Another configuration through one of them is that of both; so is one by signal."""
    before = file.read_text()
    file.write_text(before + '[models.more]\ntargets = ["echo/echo"]\n')
    headers = {"authorization": f"Bearer {running.key}"}
    answer = fetch(admin_url + "/api/v1/config/reload", headers, b"")
    assert msgspec.json.decode(answer.body)["workers"] == 2
    lines = _heard(running, "config_reloaded", 2)
    assert {line["worker"] for line in lines} == {1, 2}
    kept = fetch(admin_url + "/api/v1/config/versions", headers)
    assert [one["number"] for one in msgspec.json.decode(kept.body)["data"]] == [2, 1]
    file.write_text(before)
    running.process.send_signal(signal.SIGHUP)
    assert len({line["config"] for line in _heard(running, "config_reloaded", 4)}) == 2


async def test_the_death_of_one_hurts_only_its_own_requests(tmp_path, counters, held):
    with serve(tmp_path, UP.format(url=held.url), **counters) as running:
        _heard(running, "workers_ready")
        gate = _gate(running)
        pids = {line["worker"]: line["worker_pid"] for line in _events(running, "worker_started")}
        async with AsyncExitStack() as stack:
            streams = await _streams(gate, stack)
            os.kill(pids[1], signal.SIGKILL)
            answers = [await ask(gate, plain(gate, "/livez")) for _ in range(20)]
            assert {answer.status for answer in answers} == {200}
            held.release()
            ends = [(process, await _is_whole(client)) for process, client in streams]
        # One process answers all of its own, the other none.
        assert sorted(is_whole for _, is_whole in set(ends)) == [False, True]
        (died,) = _heard(running, "worker_died")
        assert (died["worker"], died["exit_code"]) == (1, -9)
        ready = _heard(running, "ready", 3)
        assert ready[-1]["ts"] - died["ts"] < REPLACED_S_MAX
        assert ready[-1]["worker"] == 1
        assert len(set(await _who(gate))) == 2


async def _streams(gate, stack):
    """Streams under way, at least two of each of two processes, by the process that answers."""
    found, counts = [], Counter()
    while len(counts) < 2 or min(counts.values()) < 2:
        assert len(found) < 60
        client = await stack.enter_async_context(peer(gate))
        await client.send(post(gate, body("up/m", stream=True)))
        process = (await client.head()).headers["x-request-id"][15:27]
        found.append((process, client))
        counts[process] += 1
    return found


async def _is_whole(client):
    got = b""
    try:
        while more := await client.chunk():
            got += more
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    return b"data: [DONE]" in got


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
