"""Stands between us and a child process: it ends when we do, and its output stays bounded.

    python -I -S guard.py LOG LOG_BYTES GRACE_S

Rule: the standard library only, run by its path in an isolated interpreter; it knows nothing of ours.

The first line that it reads is JSON, {"argv": [...], "variables": {...}}: what is run, and what its
environment holds besides ours. Everybody may read arguments, so ours hold no secret. Of our environment
the child gets what does not look like a secret: the keys of providers are not its business.

The first line it writes is the child's process id, or what kept it from starting. The child's output
goes to LOG, and what was there before to LOG.1, so that both together stay below LOG_BYTES. When our
standard input ends or SIGTERM comes, the child's process group gets SIGTERM and, GRACE_S seconds
later, SIGKILL. Exit code: the child's, or 128 plus its signal.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # Linux: the child hears of its parent's death by a signal
_READ_BYTES = 1 << 16
_LAST_WORDS_S = 1.0  # for output that is still on its way when the child has ended
_CANNOT_RUN = 127  # as a shell says it
_OURS = "GATEMILL_"
_SECRETS = ("_API_KEY", "_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_CREDENTIALS")  # as names end
_NEEDED = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # by servers that fetch their weights themselves


def main(arguments: list[str]) -> int:
    """Runs the command until it ends; its exit code."""
    log, log_bytes, grace_s = arguments
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return _CANNOT_RUN  # who has started us is gone
    told = json.loads(line)
    command = told["argv"]
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # stays open as long as we live
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=inherited() | told["variables"],
            process_group=0,
            # This process has one thread when it forks, so what runs between fork and exec is safe.
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        _say(f"cannot run {command[0]!r}: {error.strerror}")
        return _CANNOT_RUN
    assert child.stdout is not None
    _say(str(child.pid))
    copier = threading.Thread(
        target=_copy, args=(child.stdout, Path(log), int(log_bytes) // 2), daemon=True
    )
    copier.start()
    grace = float(grace_s)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: _end(child.pid, grace))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_until_alone, args=(child.pid, grace), daemon=True).start()
    code = child.wait()
    _kill(child.pid, signal.SIGKILL)  # what it has started itself
    copier.join(_LAST_WORDS_S)
    return code if code >= 0 else 128 - code


def inherited() -> dict[str, str]:
    """What of this process's environment a child may see, and whoever stands between them."""
    return harmless(os.environ)


def harmless(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that a child may see."""
    return {
        name: value
        for name, value in variables.items()
        if name in _NEEDED or not (name.startswith(_OURS) or name.upper().endswith(_SECRETS))
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _until_alone(group: int, grace_s: float) -> None:
    while os.read(0, _READ_BYTES):
        pass
    _end(group, grace_s)


def _end(group: int, grace_s: float) -> None:
    """The group is asked to end, and made to a while later."""
    _kill(group, signal.SIGTERM)
    timer = threading.Timer(grace_s, _kill, (group, signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _kill(group: int, number: int) -> None:
    # No permission is what macOS says of a group of zombies.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _copy(source: IO[bytes], log: Path, part_bytes: int) -> None:
    """Everything that comes is written; a file that is full makes room for the next."""
    while True:
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        written = 0
        with open(log, "wb", buffering=0, opener=_private) as file:
            while written < part_bytes:
                data = os.read(source.fileno(), min(_READ_BYTES, part_bytes - written))
                if not data:
                    return
                written += file.write(data) or 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it may hold what was asked and answered


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
