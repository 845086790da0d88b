"""Writes docs/cli.md from the command tree.

Rule: nothing is said by hand that the code knows. A test compares; run this after changing a command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.cli.commands import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
_KINDS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
HEAD = """\
# The command line

Made by `scripts/make_cli_doc.py` from the code; do not edit.

- `--json` prints what a command has to tell for programs; where there is none, it prints a line, a file or a stream.
- A command ends with 0 when it did what it was asked for, with 1 when something outside was in the way, with 2 when the
  question was wrong. A failure is one line on standard error and one with its remedy; `--debug` shows the traceback.
- Colours and bars are for terminals; `NO_COLOR` turns them off.
- Commands that ask a running gateway take `--url` (`GATEMILL_URL`, else http://127.0.0.1:8700) and `--key`
  (`GATEMILL_API_KEY`, else `data/dev.key`). Those that read the database take `--config` and `--data-dir`.
- `gatemill --install-completion` teaches the shell the commands, their options, and the models of the running gateway.

"""


def page() -> str:
    """docs/cli.md."""
    commands = list(_walked(tree()))
    lines = [HEAD, "| command | what it does |\n| --- | --- |\n"]
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_said(one)} |\n" for name, one in commands]
    for name, command in commands:
        lines.append(_section(name, command))
    return "".join(lines)


def _walked(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if command.hidden:
        return
    if hasattr(command, "commands"):
        if path and command.invoke_without_command:
            yield "gatemill " + " ".join(path), command
        for name, inner in command.commands.items():
            yield from _walked(inner, (*path, name))
    else:
        yield "gatemill " + " ".join(path), command


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-") and not each.hidden]
    shown = " ".join([name, *map(_place, arguments)])
    text = f"\n## {name}\n\n{_whole(command)}\n\n```text\n{shown}\n```\n"
    rows = [_row(f"`{_place(each)}`", "", each) for each in arguments]
    rows += [_row(_names(each), _default(each), each) for each in options if each.name != "help"]
    if rows:
        text += "\n| argument or option | default | meaning |\n| --- | --- | --- |\n" + "".join(
            rows
        )
    return text


def _row(name: str, default: str, parameter: Any) -> str:
    meaning = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {name} | {default} | {meaning} |\n"


def _place(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = name if argument.nargs == 1 else f"{name}..."
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    words = [*option.opts, *option.secondary_opts]
    value = "" if option.is_flag else f" {option.metavar or _kind(option)}"
    *short, last = words
    return ", ".join(f"`{word}`" for word in [*short, f"{last}{value}"]).replace("|", "\\|")


def _kind(option: Any) -> str:
    kind = option.type_descriptor.annotation
    return _KINDS.get(kind, getattr(kind, "__name__", "text").upper())


def _default(option: Any) -> str:
    value = option.default
    if option.required:
        return "needed"
    if callable(value) or value in (None, "", (), []) or (option.is_flag and value is False):
        return ""
    if value is True:
        return f"`{option.opts[0]}`"
    shown = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return f"`{shown}`"


def _said(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n", 1)[0].split()).replace("|", "\\|")


def _whole(command: Any) -> str:
    parts = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page())
