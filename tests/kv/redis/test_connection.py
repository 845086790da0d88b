"""The connection to Redis, against a server that does as it is told."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gatemill.core.redis_address import address
from gatemill.kv.redis import wire
from gatemill.kv.redis.connection import DEADLINE_S, Connection, script
from gatemill.kv.redis.wire import Away

OK, PONG = b"+OK\r\n", b"+PONG\r\n"


class Scripted:
    """A server that answers what `answer(words)` says; None is silence."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []
        self.writers = []
        self.tasks = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        self.tasks.append(asyncio.current_task())
        try:
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                self.heard.append(words)
                reply = self.answer(words)
                if reply is not None:
                    writer.write(reply)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _polite(words):
    return PONG if words[0] == b"PING" else OK


@asynccontextmanager
async def _scripted(answer=_polite, url="redis://127.0.0.1:{port}", deadline_s=DEADLINE_S):
    scripted = Scripted(answer)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(address(url.format(port=port)), deadline_s=deadline_s)
    try:
        yield connection, scripted
    finally:
        await connection.close()
        server.close()
        await server.wait_closed()
        for writer in scripted.writers:
            writer.close()
        await asyncio.gather(*scripted.tasks)


async def test_it_introduces_itself_and_picks_its_database():
    async with _scripted(url="redis://me:a%20b@127.0.0.1:{port}/3") as (connection, scripted):
        assert await connection.open()
        assert scripted.heard == [
            [b"AUTH", b"me", b"a b"],
            [b"CLIENT", b"SETNAME", b"gatemill"],
            [b"SELECT", b"3"],
            [b"PING"],
        ]
        assert connection.away == 0


@pytest.mark.parametrize("refused", [b"AUTH", b"SELECT", b"PING"])
async def test_a_server_that_refuses_us_is_away_and_the_password_is_not_logged(refused):
    def answer(words):
        return b"-WRONGPASS no\r\n" if words[0] == refused else _polite(words)

    with capture_logs() as logs:
        async with _scripted(answer, "redis://:secret@127.0.0.1:{port}") as (connection, _):
            assert not await connection.open()
            assert connection.away == 1
            with pytest.raises(Away):
                await connection.call("GET", "a")
    assert [each["event"] for each in logs] == ["redis_away"]
    assert "secret" not in str(logs)


async def test_every_caller_gets_the_reply_to_his_own_command():
    def answer(words):
        return b"$%d\r\n%b\r\n" % (len(words[1]), words[1]) if words[0] == b"ECHO" else OK

    async with _scripted(answer) as (connection, _):
        await connection.open()
        replies = await asyncio.gather(*(connection.call("ECHO", f"n{n}") for n in range(300)))
        assert replies == [b"n%d" % n for n in range(300)]


async def test_a_late_reply_is_nobodys():
    silent = asyncio.Event()

    def answer(words):
        if words[0] == b"SLOW":
            silent.set()
            return None
        return _polite(words)

    async with _scripted(answer) as (connection, scripted):
        await connection.open()
        with pytest.raises(Away):
            await connection.call("SLOW")
        assert (connection.timeouts, connection.away) == (1, 1)
        returned = asyncio.Event()
        connection.returned = returned.set
        scripted.writers[0].write(b"$4\r\nlate\r\n")
        await returned.wait()
        assert await connection.call("SET", "a", "b") == b"OK"


async def test_a_reply_that_this_process_was_too_busy_to_read_is_not_late():
    async with _scripted() as (connection, _):
        await connection.open()
        call = asyncio.ensure_future(connection.call("GET", "a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        busy_until_s = time.monotonic() + 0.08
        while time.monotonic() < busy_until_s:
            pass
        assert await call == b"OK"
        assert connection.timeouts == 0


async def test_a_redis_that_answers_many_callers_one_after_the_other_is_not_late():
    async def drip(writer):
        for number in range(6):
            await asyncio.sleep(0.02)  # what the deadline is about passes only in real time
            writer.write(b":%d\r\n" % number)

    async with _scripted(lambda words: None if words[0] == b"GET" else _polite(words)) as (
        connection,
        scripted,
    ):
        await connection.open()
        dripping = asyncio.ensure_future(drip(scripted.writers[0]))
        replies = await asyncio.gather(*(connection.call("GET", "a") for _ in range(6)))
        assert (replies, connection.timeouts) == ([0, 1, 2, 3, 4, 5], 0)
        await dripping


async def test_nobody_waits_for_ever_behind_others(monkeypatch):
    monkeypatch.setattr(wire, "QUEUED_S_MAX", 0.03)

    async def drip(writer):
        for _ in range(6):
            await asyncio.sleep(0.02)
            writer.write(b":1\r\n")

    async with _scripted(lambda words: None if words[0] == b"GET" else _polite(words)) as (
        connection,
        scripted,
    ):
        await connection.open()
        dripping = asyncio.ensure_future(drip(scripted.writers[0]))
        calls = [connection.call("GET", "a") for _ in range(6)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(done[-1], Away)
        await dripping


async def test_a_longer_patience_is_kept_behind_others_too(monkeypatch):
    monkeypatch.setattr(wire, "QUEUED_S_MAX", 0.0)
    monkeypatch.setattr(wire, "_SECOND_LOOK_S", 0.0)
    asked = asyncio.Event()

    def answer(words):
        if words[0] != b"GET":
            return _polite(words)
        asked.set()
        return None

    async with _scripted(answer, deadline_s=60.0) as (connection, scripted):
        await connection.open()
        call = asyncio.ensure_future(connection.call("GET", "a"))
        await asked.wait()
        connection._wire._look()
        for _ in range(3):
            await asyncio.sleep(0)
        scripted.writers[0].write(b":1\r\n")
        assert await call == 1
        assert connection.timeouts == 0


async def test_a_closed_connection_tells_everybody_at_once_and_is_made_anew():
    all_heard = asyncio.Event()

    def answer(words):
        if words == [b"GET", b"2"]:
            all_heard.set()
        return None if words[0] == b"GET" else _polite(words)

    async with _scripted(answer) as (connection, scripted):
        await connection.open()
        calls = [asyncio.ensure_future(connection.call("GET", n)) for n in range(3)]
        returned = asyncio.Event()
        connection.returned = returned.set
        await all_heard.wait()
        scripted.writers[0].close()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert [each.reason for each in failures] == ["closed"] * 3
        await returned.wait()
        assert len(scripted.writers) == 2
        assert (connection.timeouts, connection.times_away) == (0, 1)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n", OK + OK])
async def test_a_server_that_speaks_otherwise_is_away(garbage):
    def answer(words):
        return garbage if words[0] == b"GET" else _polite(words)

    async with _scripted(answer) as (connection, _):
        await connection.open()
        lost = asyncio.Event()
        connection._failed = lambda wire, reason: lost.set()
        connection._wire._failed = connection._failed
        call = asyncio.ensure_future(connection.call("GET", "a"))
        await lost.wait()
        assert not connection._wire.is_open
        await asyncio.gather(call, return_exceptions=True)


async def test_what_asks_too_much_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(wire, "WAITING_MAX", 5)
    async with _scripted() as (connection, _):
        await connection.open()
        done = await asyncio.gather(
            *(connection.call("GET", "a") for _ in range(8)), return_exceptions=True
        )
        assert sum(isinstance(each, Away) for each in done) == 3
        assert connection.away == 0


async def test_an_unknown_script_is_sent_in_full():
    program = script("return 1")

    def answer(words):
        if words[0] == b"EVALSHA":
            return b"-NOSCRIPT No matching script.\r\n"
        return b":1\r\n" if words[0] == b"EVAL" else _polite(words)

    async with _scripted(answer) as (connection, scripted):
        await connection.open()
        assert await connection.run(program, "k", 5, 1.5, b"x") == 1
        assert scripted.heard[-2][:2] == [b"EVALSHA", program.sha.encode()]
        assert scripted.heard[-1] == [b"EVAL", b"return 1", b"1", b"k", b"5", b"1.5", b"x"]


async def test_a_server_that_greets_well_and_then_refuses_is_asked_once_a_second():
    def answer(words):
        return b"-READONLY You can't write.\r\n" if words[0] == b"SET" else _polite(words)

    with capture_logs() as logs:
        async with _scripted(answer) as (connection, _):
            await connection.open()
            for _ in range(50):
                with pytest.raises(Away) as away:
                    await connection.call("SET", "a", "b")
                await asyncio.sleep(0)
            assert away.value.reason in ("READONLY", "away")
            assert connection.times_away == 1
    assert [each["reason"] for each in logs] == ["READONLY"]


async def test_a_host_that_does_not_answer_is_away():
    connection = Connection(address("rediss://127.0.0.1:1"))
    assert not await connection.open()
    await connection.close()
    assert connection.away == 1
