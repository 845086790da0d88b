from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from cli_run import Command, clean_environment, process

SERVE = [sys.executable, "-m", "gatemill", "serve", "--port", "0"]


@contextmanager
def on_a_terminal(folder: Path, **extra: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A gateway whose output is a terminal; gives the process and the terminal's other end."""
    ours, theirs = pty.openpty()
    environ = clean_environment(TERM="xterm", **extra)
    with subprocess.Popen(SERVE, cwd=folder, env=environ, stdout=theirs, stderr=theirs) as server:
        os.close(theirs)
        try:
            yield server, ours
        finally:
            server.send_signal(signal.SIGTERM)
            _read_until(ours, "\0")  # to its end, so that it never waits for us
            os.close(ours)
            assert server.wait(30) == 0


def _read_until(terminal: int, text: str) -> str:
    """What is shown, until `text` is or the other side has closed."""
    shown = b""
    while text.encode() not in shown:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # Linux: the other side has closed
            break
        if not piece:
            break
        shown += piece
    return shown.decode(errors="ignore")  # half a character may be at its end


def _signed_in(link: re.Match[str]) -> int:
    """The status for whoever presses the button of this link."""
    site = {"origin": link[1].removesuffix("/ui/login")}
    return httpx2.post(link[1], data={"link": link[2]}, headers=site, timeout=60).status_code


BUILTIN = (
    "builtin/extract, builtin/sentiment, builtin/moderation, builtin/hash-512, builtin/lexical"
)


def test_a_terminal_shows_the_banner(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, NO_COLOR="1") as (_, terminal):
        shown = _read_until(terminal, "hello\"}]}'").replace("\r\n", "\n")
        link = re.search(
            r"(http://\S+/ui/login)\?token=(\S+)   one-time link, valid 30 min\n", shown
        )
        assert link is not None
        assert [_signed_in(link) for _ in range(2)] == [303, 401]
    url = re.search(r"http://127\.0\.0\.1:\d+", shown)
    assert url is not None
    assert re.match(r"gatemill \d\S* +ready in \d+\.\d s +pid \d+ · config: none ", shown)
    assert f"\n  API       {url[0]}/v1   docs {url[0]}/docs" in shown
    assert "\n  Key       in data/dev.key (0600)\n" in shown
    assert f"\n  Models    echo, {BUILTIN} ✓ built in\n" in shown
    assert "\n  Stores    sqlite:///data/gatemill.db\n" in shown
    assert f'\n  Try       gatemill chat "hello" --url {url[0]}\n' in shown
    assert "\x1b" not in shown
    secret = (tmp_path / "data/dev.key").read_text().strip()
    assert secret not in shown


def test_hints_and_origins_stand_in_the_banner(tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(
        '[server]\ndata_dir = "d"\nopenapi = false\n[providers.vllm]\n'
        '[models.fast]\ntargets = ["vllm/x"]\n'
    )
    extra = {"ANTHROPIC_API_KEY": "sk-ant-secret-0000", "GATEMILL_SERVER__DISCOVER": "true"}
    with on_a_terminal(tmp_path, **extra) as (_, terminal):
        shown = _read_until(terminal, "\n  or")
    assert "config: gatemill.toml" in shown
    assert (
        f"fast ✓ │ claude-* ✓ ANTHROPIC_API_KEY │ echo, {BUILTIN} ✓ built in │ gpt-* - set OPENAI_API_KEY"
        in shown
    )
    assert " --data-dir d" in shown
    assert "/docs" not in shown
    assert "sk-ant-secret" not in shown


def test_a_pipe_gets_json_lines_and_no_secret(tmp_path: Path) -> None:
    environ = clean_environment()
    with subprocess.Popen(SERVE, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline()]
        server.send_signal(signal.SIGTERM)
        lines += server.stdout.readlines()
        assert server.wait(30) == 0
    events = [msgspec.json.decode(line) for line in lines]
    assert events[0]["event"] == "ready"
    secret = (tmp_path / "data/dev.key").read_text().strip()
    assert secret.encode() not in b"".join(lines)
    assert b"token" not in b"".join(lines)


def test_chat_talks_to_it(gatemill: Command, tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, NO_COLOR="1") as (_, terminal):
        url = re.search(r"http://127\.0\.0\.1:\d+", _read_until(terminal, "\n  or"))
        assert url is not None
        result = gatemill("chat", "good morning", "--url", url[0])
    assert result.code == 0
    assert "good morning" in result.out
    assert result.err.startswith("echo/echo · in ")
    assert "$0.000000" in result.err


def test_a_port_in_use_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = process("serve", "--port", str(port), cwd=tmp_path)
    assert result.code == 1
    assert f"gatemill: port {port} on 127.0.0.1 is in use\n" in result.err
    assert f"fix: gatemill serve --port {port + 1}" in result.err
    assert "Traceback" not in result.err


def test_an_open_door_without_an_admin_key_is_refused(tmp_path: Path) -> None:
    result = process("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert result.code == 1
    assert "gatemill keys create NAME --admin" in result.err
    assert "Traceback" not in result.err


def test_a_bad_file_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text("[server]\nprot = 1\n")
    result = process("serve", cwd=tmp_path)
    assert result.code == 2
    assert result.err.startswith(
        'gatemill.toml:2: server.prot: unknown key (did you mean "port"?)\n'
    )


@pytest.mark.parametrize("address", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_explained(
    gatemill: Command, tmp_path: Path, address: str
) -> None:
    gatemill("keys", "create", "admin", "--admin")
    result = process("serve", "--host", address, "--port", "0", cwd=tmp_path)
    assert result.code == 1
    assert "gatemill: cannot start: " in result.err
    assert "Traceback" not in result.err


def test_the_fake_provider_says_where_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gatemill", "fake-provider", "--port", "0"]
    environ = clean_environment(PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as fake:
        assert fake.stdout is not None
        url = re.search(rb"http://127\.0\.0\.1:(\d+)", fake.stdout.readline())
        assert url is not None
        with socket.create_connection(("127.0.0.1", int(url[1]))):
            result = process("fake-provider", "--port", url[1].decode(), cwd=tmp_path)
        fake.send_signal(signal.SIGINT)
        assert fake.wait(30) == 130
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        f"gatemill: port {url[1].decode()} is in use",
    )
