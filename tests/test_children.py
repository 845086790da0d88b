"""Who tests take for dead is dead: nobody answers any more."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from children import PATIENCE_S, lives

# What is left of a killed process for a moment: the first thread is dead, another is not yet.
HALF_DEAD = """
import ctypes, socket, sys, threading
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def until(true):
    given_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < given_up_s


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the threads of a process")
def test_a_process_lives_as_long_as_one_of_its_threads():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HALF_DEAD], **pipes) as process:
        port = int(process.stdout.readline())
        until(lambda: state(process.pid) == "Z")
        socket.create_connection(("127.0.0.1", port)).close()
        assert lives(process.pid)
        process.kill()
        until(lambda: not lives(process.pid))
    assert not lives(process.pid)
