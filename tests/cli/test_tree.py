"""The command tree as a whole: JSON wherever there is something to read, and no mistake ends in a traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_run import Command, process
from gatemill.cli.commands import tree

AWAY = "http://127.0.0.1:9"
# They run until they are told to stop; their options are tried in tests of their own.
_RUN = {"serve", "worker", "consume", "fake-provider", "webhooks listen", "jobs watch"}
# What they print is no list and no object: a line that says what was done, a file, a stream.
_LINES = {
    *(_RUN - {"webhooks listen"}),
    *("init", "config schema", "config rollback"),
    *("keys create", "keys set", "keys rotate", "keys revoke"),
    *(f"{who} {what}" for who in ("teams", "users") for what in ("create", "set", "rm")),
    *(f"db {what}" for what in ("upgrade", "export", "import", "backup", "restore")),
    *(f"jobs {what}" for what in ("watch", "cancel", "replay", "dlq replay", "dlq purge")),
    *("batch cancel", "batch results", "webhooks set", "webhooks rm", "webhooks resend"),
    *(f"experiments {what}" for what in ("start", "pause", "weights", "conclude", "arm", "rm")),
    *(f"{what} {done}" for what in ("models", "prompts") for done in ("archive", "rm")),
    *("models export", "features rm", "features write", "recordings show", "recordings rm"),
    "stores rm",
}


def walked(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if command.hidden:  # an older name of one that is listed
        return
    if hasattr(command, "commands"):
        if path and command.invoke_without_command:
            yield " ".join(path), command
        for name, inner in command.commands.items():
            yield from walked(inner, (*path, name))
    else:
        yield " ".join(path), command


ROOT = tree()
COMMANDS = dict(walked(ROOT))


def options(command: Any) -> set[str]:
    return {option for each in command.params for option in each.opts}


def test_whatever_tells_something_tells_it_as_json_too() -> None:
    assert {name for name, one in COMMANDS.items() if "--json" not in options(one)} == _LINES


def test_every_command_says_what_it_does_and_each_option_what_it_means() -> None:
    for name, command in COMMANDS.items():
        assert (command.help or "").rstrip().endswith("."), name
        for each in command.params:
            if each.name != "help" and each.opts[0].startswith("-"):
                assert each.help, f"{name} {each.opts[0]}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in _RUN])
def test_a_mistake_ends_with_a_line_and_its_remedy(
    gatemill: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    words = name.split()
    assert gatemill(*words, "--no-such-option").code == 2
    # Nobody answers, there is no database, and the arguments mean nothing.
    required = [
        "zzz"
        for each in COMMANDS[name].params
        if each.required and not each.opts[0].startswith("-")
        for _ in range(max(1, each.nargs))
    ]
    for each in COMMANDS[name].params:
        if each.required and each.opts[0].startswith("-"):
            required += [each.opts[0], "zzz"]
    result = gatemill(*words, *required, GATEMILL_URL=AWAY)
    assert result.code in {0, 1, 2}
    assert "Traceback" not in result.err
    if result.code:
        lines = result.err.splitlines()
        assert any(line.startswith("gatemill: ") for line in lines), result
        assert any(line.startswith("  fix: ") or ": write " in line for line in lines), result


def test_completion_is_offered_without_a_gateway_and_quickly(tmp_path: Path) -> None:
    env = {"_GATEMILL_COMPLETE": "complete_bash", "GATEMILL_URL": AWAY}
    jobs = process(cwd=tmp_path, COMP_WORDS="gatemill jobs ", COMP_CWORD="2", **env)
    assert {"submit", "ls", "watch"} <= set(jobs.out.split())
    models = process(cwd=tmp_path, COMP_WORDS="gatemill chat hi -m x", COMP_CWORD="4", **env)
    assert (models.code, models.out.split()) == (0, [])
