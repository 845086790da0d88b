"""Ports for programs that have to be told theirs before they listen.

A port that the kernel has named free it may give to any connection a moment later; these it gives to nobody.
"""

from __future__ import annotations

import os
import secrets
import socket
from itertools import count
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PER_WORKER = 250  # each worker of pytest-xdist has its own
# Not by `random`, which begins alike in every process of the tests.
_numbers = count(secrets.randbelow(_PER_WORKER))


def quiet_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, outside the range of connections."""
    lowest = int(_RANGE.read_text().split()[0])
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    top = (lowest if lowest > 12_000 else 30_000) - 1 - worker * _PER_WORKER
    while True:
        port = top - next(_numbers) % _PER_WORKER
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
