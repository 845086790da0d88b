"""A Redis for tests: the one on 127.0.0.1:6379, else one of our own, else the test is skipped.

`store()` gives a test an empty database of its own; `Server` is a process that a test may freeze.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hiredis

import needs
from quiet_ports import quiet_port

HOST = "127.0.0.1"
PORT = 6379
START_S = 60.0
_CLAIM = "gatemill-test:{database}"  # in database 0: a test may flush its own
_CLAIM_S = 900


@contextmanager
def store() -> Iterator[str]:
    """The URL of an empty database, for as long as the block."""
    server = address()
    database = next((each for each in range(1, 16) if _claims(server, each)), None)
    if database is None:  # all in use
        own = Server()
        try:
            yield f"{own.url}/0"
        finally:
            own.remove()
        return
    url = f"{server}/{database}"
    try:
        yield url
    finally:
        command(url, "FLUSHDB")
        command(f"{server}/0", "DEL", _CLAIM.format(database=database))


def command(url: str, *words: str) -> object:
    """The reply to one command."""
    port, _, database = url.removeprefix(f"redis://{HOST}:").partition("/")
    reader = hiredis.Reader(encoding="utf-8")
    with socket.create_connection((HOST, int(port)), timeout=5.0) as to:
        to.sendall(hiredis.pack_command(("SELECT", database or "0")))
        to.sendall(hiredis.pack_command(words))
        replies: list[object] = []
        while len(replies) < 2:
            data = to.recv(65536)
            if not data:
                raise ConnectionError("closed")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                replies.append(reply)
    if isinstance(replies[1], hiredis.ReplyError):
        raise replies[1]
    return replies[1]


@functools.cache
def address() -> str:
    """The URL of a server, without a database."""
    standard = f"redis://{HOST}:{PORT}"
    try:
        if command(standard, "PING") == "PONG":
            return standard
    except (OSError, hiredis.ReplyError):
        pass
    own = Server()
    atexit.register(own.remove)
    return own.url


class Server:
    """A server of our own, without persistence, on a free port."""

    def __init__(self) -> None:
        self._program = needs.program("redis-server")
        self._folder = Path(tempfile.mkdtemp(prefix="gatemill-redis-"))
        self._port = quiet_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self._port}"

    def start(self) -> None:
        """It answers."""
        options = f"--bind {HOST} --port {self._port} --save '' --appendonly no".replace("'", "")
        self._process = subprocess.Popen(
            [self._program, *options.split(" "), "--dir", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end_s = time.monotonic() + START_S
        while True:
            try:
                command(self.url, "PING")
            except OSError:
                assert self._process.poll() is None, "redis-server does not start"
                assert time.monotonic() < end_s, "redis-server does not answer"
                time.sleep(0.02)
            else:
                return

    def freeze(self) -> None:
        """It keeps its connections and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was, if it has not died."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """It is gone, and so is what it held."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Nothing is left of it."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _claims(server: str, database: int) -> bool:
    """Whether the database was empty and is ours now."""
    claim = _CLAIM.format(database=database)
    if command(f"{server}/0", "SET", claim, "1", "NX", "EX", str(_CLAIM_S)) is None:
        return False
    if command(f"{server}/{database}", "DBSIZE") == 0:
        return True
    command(f"{server}/0", "DEL", claim)
    return False
