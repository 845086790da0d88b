"""The command line as a user has it: a process, or the same entry point in this one where quicker.

No test sees the keys or the model servers of the machine it runs on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gatemill.cli.main import run


class Result(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Result]


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without anything that Gatemill reads, and without discovery."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GATEMILL_") and not name.endswith(("_API_KEY", "_BASE_URL"))
    }
    return {**kept, "GATEMILL_SERVER__DISCOVER": "false", "COLUMNS": "200", **extra}


def process(*arguments: str, cwd: Path, timeout_s: float = 120, **extra: str) -> Result:
    """`python -m gatemill` until it ends."""
    done = subprocess.run(
        [sys.executable, "-m", "gatemill", *arguments],
        cwd=cwd,
        env=clean_environment(**extra),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def entered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> Command:
    """The entry point in this process, in a folder of its own."""
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name not in clean_environment():
            monkeypatch.delenv(name)
    monkeypatch.setenv("GATEMILL_SERVER__DISCOVER", "false")

    def command(*arguments: str, **extra: str) -> Result:
        with monkeypatch.context() as inner:
            for name, value in extra.items():
                inner.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                run(list(arguments))
        captured = capsys.readouterr()
        code = end.value.code
        return Result(code if isinstance(code, int) else 0, captured.out, captured.err)

    return command
