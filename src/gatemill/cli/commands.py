"""All commands. Rule: one file each, named as its command; this one only lists them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from gatemill.cli.terminal import print_text
from gatemill.core.version import VERSION

# In the order of `gatemill --help`. A file holds `app`, a group of commands, or the function of its name.
NAMES = (
    *("serve", "worker", "consume", "reload", "init", "check", "doctor", "config"),
    *("keys", "teams", "users", "ui", "logs", "usage", "alerts", "db", "data"),
    *("jobs", "batch", "webhooks", "experiments", "models", "prompts", "features"),
    *("recordings", "replay", "chat", "ask", "stores", "explain", "bench", "fake-provider"),
)


@cache
def tree(only: str = "") -> Any:  # a group of Click, for which typer has no public name
    """The program, with all its commands or with the one that is wanted: that costs half as much.

    0.18 s instead of 0.35 s of CPU for `gatemill keys ls` (Python 3.11, 2026-11).
    """
    # Without rich's markup `--help` costs a third: 0.12 s of CPU instead of 0.5 (Python 3.11, 2026-11).
    program = typer.Typer(
        name="gatemill",
        help="One OpenAI-compatible door to every model, hosted or local, in one process.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for name in (only,) if only in NAMES else NAMES:
        file = name.replace("-", "_")
        module = import_module(f"gatemill.cli.{file}")
        if group := getattr(module, "app", None):
            program.add_typer(group, name=name)
        else:
            program.command(name)(getattr(module, file))
    program.callback()(_options)
    return typer.main.get_command(program)


def _version(value: bool) -> None:
    if value:
        print_text(f"gatemill {VERSION}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass  # the docstring of the program stands in `tree`; run() reads --debug
