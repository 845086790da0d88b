"""Which process this is, and whether another still lives. Rule: where nobody can tell, it lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_STARTED = 19  # field 22 of /proc/<pid>/stat, counted after the command's name


def here() -> str:
    """The one place where a process id means a process: the host, its boot, its namespace of ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = space = ""
    return f"{socket.gethostname()} {boot} {space}".strip()


def started(pid: int) -> int:
    """When a process began, in ticks since the boot; 0 when it is gone, or nobody can tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    # A zombie has died; nobody has looked yet.
    return 0 if fields[0] == "Z" else int(fields[_STARTED])


def is_alive(pid: int, pid_started: int) -> bool:
    """Whether this very process still lives; True where the system does not tell when one began."""
    return not started(os.getpid()) or started(pid) == pid_started
