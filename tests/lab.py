"""A provider that fails on demand, in a process of its own, and a terminal of a given width.

with provider() as url: ...          # http://127.0.0.1:PORT
code, text = on_terminal(["jobs", "ls"], columns=80, cwd=tmp_path, env=…)
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli_run import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_STOP_S_MAX = 30.0


@contextmanager
def provider(cwd: Path) -> Iterator[str]:
    """Its URL, for as long as the block."""
    command = [sys.executable, "-m", "gatemill", "fake-provider", "--port", "0"]
    environ = clean_environment(PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.PIPE) as fake:
        try:
            assert fake.stdout is not None
            found = re.search(rb"http://127\.0\.0\.1:\d+", fake.stdout.readline())
            assert found is not None
            yield found[0].decode()
        finally:
            fake.terminate()
            fake.wait(_STOP_S_MAX)


def on_terminal(
    arguments: Sequence[str],
    columns: int,
    cwd: Path,
    env: dict[str, str],
    seen: tuple[bytes, Callable[[], None]] = (b"", lambda: None),
) -> tuple[int, str]:
    """The exit code of `gatemill …` on a terminal, and all that it wrote there, without styles.

    `seen` is a word, and what is done once it stands there.
    """
    word, then = seen
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environ = clean_environment(TERM="xterm", **env)
    del environ["COLUMNS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gatemill", *arguments],
        cwd=cwd,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    try:
        while piece := _read(ours):
            is_new = word not in written
            written += piece
            if is_new and word in written:
                then()
        code = process.wait(_STOP_S_MAX)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return code, _STYLES.sub("", written.decode())


def _read(terminal: int) -> bytes:
    """The next piece; b"" when the other side has gone."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # EIO is the end, on Linux
        return b""
