"""A Postgres for tests: the one on 127.0.0.1:5432, else one of our own, else the test is skipped.

Each test gets a database of its own, which is dropped after it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

import needs

HOST = "127.0.0.1"
STANDARD = f"postgresql://postgres@{HOST}:5432"
BINARIES = "/usr/lib/postgresql/*/bin"
START_S = 60.0


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, for as long as the block."""
    server = address()
    name = f"gatemill_test_{secrets.token_hex(6)}"
    command(server, f"CREATE DATABASE {name}")
    try:
        yield f"{server}/{name}"
    finally:
        command(server, f"DROP DATABASE {name} WITH (FORCE)")


def command(server: str, text: str, name: str = "postgres") -> list[tuple[object, ...]]:
    """The rows of a statement, run as superuser."""

    async def run() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(f"{server}/{name}", timeout=10.0)
        try:
            return [tuple(row) for row in await connection.fetch(text)]
        finally:
            await connection.close()

    with asyncio.Runner() as runner:
        return runner.run(run())


@functools.cache
def address() -> str:
    """The URL of a server whose superuser needs no password."""
    try:
        command(STANDARD, "SELECT 1")
    except (OSError, asyncpg.PostgresError):
        return Server().url
    return STANDARD


class Server:
    """A server of our own in a new folder, on a free port."""

    def __init__(self) -> None:
        found = sorted(Path("/").glob(f"{BINARIES[1:]}/initdb"))
        if not found:
            needs.missing(f"no Postgres on {HOST}:5432, none in {BINARIES}")
        self._bin = found[-1].parent
        self._folder = Path(tempfile.mkdtemp(prefix="gatemill-postgres-"))
        # Postgres refuses to run as root.
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        atexit.register(self.remove)
        self._data = self._folder / "data"
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", str(self._data))
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self._port = probe.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self._port}"

    def start(self) -> None:
        """It answers."""
        options = f"-h {HOST} -p {self._port} -k {self._folder}"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-D", str(self._data), "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """It is gone, and so are all connections."""
        self._run("pg_ctl", "-w", "-m", "immediate", "-D", str(self._data), "stop")

    def remove(self) -> None:
        """Nothing is left of it."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, *arguments],
            check=True,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_S,
            **self._user,
        )
