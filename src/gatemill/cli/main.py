"""The command `gatemill`. Rule: a failure is one line and its fix; tracebacks only with --debug."""

from __future__ import annotations

import sys

from gatemill.cli import serving
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import complain
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
        from gatemill.cli.commands import app

        app(args=given, prog_name="gatemill")
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
