from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from cli_run import Command, clean_environment, process
from gatemill import __version__
from gatemill.cli import commands, main
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import console, paint

HEAVY = ("fastapi", "pydantic", "aiohttp", "uvicorn", "rich", "msgspec", "asyncio", "sqlite3")
MODULES_MAX = 260
CPU_MAX_S = 1.0  # a machine may be slow; the modules are counted

COUNTED = """
import resource, sys
from gatemill.cli.main import run
try:
    run(["--help"])
except SystemExit:
    pass
usage = resource.getrusage(resource.RUSAGE_SELF)
print(len(sys.modules), usage.ru_utime + usage.ru_stime, *sys.modules, file=sys.stderr)
"""


def test_help_is_quick_because_it_imports_little() -> None:
    # CPU time, not the clock: the machine may be busy. The best of up to five, for the same reason.
    best_s, tries = 99.0, 0
    while best_s >= CPU_MAX_S and tries < 5:
        tries += 1
        done = subprocess.run(
            [sys.executable, "-c", COUNTED],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(),
        )
        count, seconds, *modules = done.stderr.split()
        best_s = min(best_s, float(seconds))
        assert "Start the gateway." in done.stdout
        assert [name for name in HEAVY if name in modules] == []
        assert int(count) <= MODULES_MAX
    assert best_s < CPU_MAX_S


def test_every_command_is_listed_and_explained(gatemill: Command) -> None:
    result = gatemill("--help")
    assert result.code == 0
    for name in (
        "serve",
        "reload",
        "init",
        "check",
        "config",
        "keys",
        "models",
        "chat",
        "jobs",
        "batch",
        "fake-provider",
    ):
        assert f"\n  {name} " in result.out
        assert gatemill(name, "--help").code == 0
    assert "..." not in result.out.partition("Commands:")[2]


def test_the_version_is_one_line(tmp_path: Path) -> None:
    assert process("--version", cwd=tmp_path) == (0, f"gatemill {__version__}\n", "")


def test_an_unknown_command_or_option_ends_with_2(gatemill: Command) -> None:
    result = gatemill("serv")
    assert result.code == 2
    assert "Did you mean 'serve'" in result.err
    assert gatemill("serve", "--prt", "1").code == 2


def test_a_failure_is_one_line_and_its_fix(gatemill: Command) -> None:
    result = gatemill("keys", "ls")
    assert result.code == 1
    assert result.out == ""
    first, second = result.err.splitlines()
    assert first == "gatemill: there is no database at data/gatemill.db"
    assert second.startswith("  fix: gatemill keys create NAME ")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = process("--debug", "keys", "ls", cwd=tmp_path)
    assert result.code == 1
    assert "Traceback" in result.err
    assert "there is no database" in result.err


@pytest.mark.usefixtures("gatemill")
@pytest.mark.parametrize("arguments", [["--debug", "keys", "ls"], ["keys", "ls", "--debug"]])
def test_debug_is_said_before_the_command_or_after_it(arguments: list[str]) -> None:
    with pytest.raises(Failure, match="there is no database"):
        main.run(arguments)


def test_debug_after_two_dashes_is_a_text(gatemill: Command) -> None:
    result = gatemill("chat", "--url", "nonsense", "--", "--debug")
    assert (result.code, result.err.splitlines()[0]) == (2, "gatemill: nonsense is not a URL")


def test_errors_of_the_ledger_are_one_line_too(gatemill: Command) -> None:
    assert gatemill("keys", "create", "ci").code == 0
    result = gatemill("keys", "revoke", "0000000000")
    assert result.code == 1
    assert result.err.startswith("gatemill: There is no key with this id.")
    assert "Traceback" not in result.err


def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    script = f'"{sys.executable}" -m gatemill config schema | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}  # it may have written everything before the reader left
    assert "Traceback" not in done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_styles_are_for_terminals_that_want_them(monkeypatch, environ, styled) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    console(stream).print("x", style="bold red")
    assert ("\x1b" in stream.getvalue()) is styled
    assert ("\x1b" in paint("x", "1", stream)) is styled
    assert paint("x", "1", io.StringIO()) == "x"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 1)])
def test_an_interruption_ends_quietly(capsys, monkeypatch, error: BaseException, code: int) -> None:
    def tree(_only: str) -> None:
        raise error

    monkeypatch.setattr(commands, "tree", tree)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(SystemExit) as end:
        main.run([])
    assert end.value.code == code
