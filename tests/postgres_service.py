"""A Postgres for tests: the one on 127.0.0.1:5432, else one of our own, else the test is skipped.

A test gets a database of its own: a new one, which is dropped after it, or, in a tenth of the time, one
that has the present schema and nothing in it, which the next test gets too.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

import needs
from gatemill.ledger import queries
from gatemill.ledger.place import Place
from quiet_ports import quiet_port

HOST = "127.0.0.1"
STANDARD = f"postgresql://postgres@{HOST}:5432"
BINARIES = "/usr/lib/postgresql/*/bin"
START_S = 120.0


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


@contextmanager
def cleared() -> Iterator[str]:
    """The URL of a database with the present schema and what a migration puts there, for the block."""
    url = _cleared.pop() if _cleared else _migrated()
    yield url
    server, _, name = url.rpartition("/")
    try:
        command(server, _CLEAR, name)
    except asyncpg.PostgresError:  # somebody still uses it
        command(server, f"DROP DATABASE {name} WITH (FORCE)")
    else:
        _cleared.append(url)


_cleared: list[str] = []
MADE_S = 1_000_000.0
# As it was after the migrations, which keep the rows that they made in tables of their own.
_CLEAR = """
DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL lock_timeout = '2s';
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('DELETE FROM public.%I', name);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', name, name);
    END LOOP;
END $$
"""
_KEEP = """
DO $$ DECLARE name text; BEGIN
    CREATE SCHEMA kept;
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name);
    END LOOP;
END $$
"""


def _migrated() -> str:
    server = address()
    name = f"gatemill_test_{secrets.token_hex(6)}"
    command(server, f"CREATE DATABASE {name}")
    atexit.register(command, server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    url = f"{server}/{name}"
    opened = Place(url=url).open(writes=True)
    try:
        opened.migrate(queries.migrations(), now_s=MADE_S)
    finally:
        opened.close()
    command(server, _KEEP, name)
    return url


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


def _installed() -> Path:
    found = sorted(Path("/").glob(f"{BINARIES[1:]}/initdb"))
    if not found:
        needs.missing(f"no Postgres on {HOST}:5432, none in {BINARIES}")
    return found[-1].parent


class Server:
    """A server of our own in a new folder, on a free port."""

    def __init__(self, binaries: Path | None = None) -> None:
        """`binaries` is the folder of its programs; by default those that are installed."""
        self._bin = binaries or _installed()
        self._folder = Path(tempfile.mkdtemp(prefix="gatemill-postgres-"))
        # Postgres refuses to run as root.
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        atexit.register(self.remove)
        self._data = self._folder / "data"
        # Whoever runs the tests may have no locale, in which only English letters have a small form.
        words = ("--locale=C.UTF-8", "--encoding=UTF8", "--no-sync")
        self._run("initdb", "-A", "trust", "-U", "postgres", *words, "-D", str(self._data))
        self._port = quiet_port()
        self.start()

    @classmethod
    def left_in(cls, folder: Path, binaries: Path) -> Server:
        """A server that another process started, to be removed."""
        server = cls.__new__(cls)
        server._bin, server._folder, server._data = binaries, folder, folder / "data"
        server._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        return server

    @property
    def folder(self) -> Path:
        return self._folder

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
