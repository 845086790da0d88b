"""The command `gatemill`. Rule: a failure is one line and its fix; tracebacks only with --debug."""

from __future__ import annotations

import sys
from typing import Any

from gatemill.cli import serving
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import complain, note
from gatemill.core.errors import GatemillError

_DEBUG = "--debug"


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = given[: given.index("--")] if "--" in given else given
    debug = _DEBUG in options
    if debug:  # accepted after the command too
        given = [word for word in options if word != _DEBUG] + given[len(options) :]
    try:
        flags = serving.plain(given)
        if flags is not None:
            raise SystemExit(serving.run(flags))
        _command(given)
    except (Failure, GatemillError) as error:
        if debug:
            raise
        failure = error if isinstance(error, Failure) else Failure(error.message)
        complain(failure)
        raise SystemExit(failure.code) from None
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; nothing more can be said
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _command(given: list[str]) -> None:
    """The command that is named has run. Raises SystemExit with its code, and Failure for words that make none."""
    from typer import Abort, BadParameter

    from gatemill.cli.commands import tree

    mistake: Any = BadParameter.__bases__[0]  # typer has no public name for it
    try:
        program = tree(given[0] if given else "")
        code = program(args=given, prog_name="gatemill", standalone_mode=False)
    except mistake as error:
        said = error.format_message()
        if said.startswith("Usage:"):  # only the group was named: its commands are the answer
            note(said)
            raise SystemExit(2) from None
        asked = error.ctx.command_path if error.ctx is not None else "gatemill"
        raise Failure(said, fix=f"{asked} --help", code=2) from None
    except Abort:
        raise Failure("nothing was done") from None
    raise SystemExit(code or 0)
