"""The command `gatemill`. Rule: a failure is one line and its fix; tracebacks only with --debug."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gatemill import __version__
from gatemill.cli import chat, check, config, fake_provider, init, keys, models, serve
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import complain, print_text
from gatemill.core.errors import GatemillError

_DEBUG = "--debug"

# Without rich's markup `--help` costs a third: 0.12 s of CPU instead of 0.5 (Python 3.11, 2026-11).
app = typer.Typer(
    name="gatemill",
    help="One OpenAI-compatible door to every model, hosted or local, in one process.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("init")(init.init)
app.command("check")(check.check)
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")
app.command("models")(models.models)
app.command("chat")(chat.chat)
app.command("fake-provider")(fake_provider.fake_provider)


def _version(value: bool) -> None:
    if value:
        print_text(f"gatemill {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option(_DEBUG, help="Show tracebacks.")] = False,
) -> None:
    pass  # the docstring of the program stands in `app`; run() reads --debug


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = given[: given.index("--")] if "--" in given else given
    debug = _DEBUG in options
    if debug:  # accepted after the command too
        given = [word for word in options if word != _DEBUG] + given[len(options) :]
    try:
        app(args=given, prog_name="gatemill")
    except Failure as failure:
        _end(failure, debug=debug)
    except GatemillError as error:
        _end(Failure(error.message), debug=debug)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; nothing more can be said
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _end(failure: Failure, *, debug: bool) -> Any:
    if debug:
        raise  # noqa: PLE0704 - called from an except block
    complain(failure)
    raise SystemExit(failure.code) from None
