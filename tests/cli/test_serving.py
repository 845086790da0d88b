"""How `serve` begins and ends: its plain form, and a terminal that hangs up."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from cli_run import clean_environment
from gatemill.cli.serving import plain

SERVE = [sys.executable, "-m", "gatemill", "serve", "--port", "0"]


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("serve", {}),
        ("serve --port 1 --host h", {"server.port": 1, "server.host": "h"}),
        ("serve --workers=4 --watch", {"server.workers": 4, "server.watch": True}),
        ("serve --watch --config a.toml", {"server.watch": True, "config": "a.toml"}),
        ("serve --no-watch --data-dir d", {"server.watch": False, "server.data_dir": "d"}),
        ("serve --workers four", None),
        ("serve --workers", None),
        ("serve --workers -1", None),
        ("serve --help", None),
        ("serve --unheard of", None),
        ("check", None),
        ("", None),
    ],
)
def test_the_plain_form_is_read_without_the_command_line_library(words, flags):
    assert plain(words.split()) == flags


@pytest.mark.parametrize("ignores", [False, True], ids=["bound", "nohup"])
def test_it_ends_with_its_terminal_unless_it_was_told_to_ignore_that(tmp_path: Path, ignores: bool):
    ours, theirs = pty.openpty()
    command = ["nohup", *SERVE] if ignores else SERVE
    server = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean_environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.login_tty(theirs) if not ignores else _own(theirs),
    )
    os.close(theirs)
    assert server.stdout is not None
    try:
        if ignores:
            assert _says(server.stdout, b'"ready"')
        else:
            shown = b""
            while b"hello\"}]}'" not in shown:  # the banner's last line
                shown += os.read(ours, 65_536)
        os.close(ours)
        if ignores:
            assert _says(server.stdout, b'"config_unchanged"')
        else:
            assert server.wait(30) == 0
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait(30)
        server.stdout.close()


def _says(lines: IO[bytes], word: bytes) -> bool:
    """A line with the word comes before the end."""
    return any(word in line for line in lines)


def _own(terminal: int) -> None:
    """The terminal is ours, and standard output still is the pipe."""
    saved = os.dup(1)
    os.login_tty(terminal)
    os.dup2(saved, 1)
    os.close(saved)
