"""How a command fails: one line, and the way out. Rule: exit code 1 for the world, 2 for the input."""

from __future__ import annotations


class Failure(Exception):
    """Shown as `gatemill: message` and `fix: ...`; without a traceback unless --debug was given."""

    def __init__(self, message: str, *, fix: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code


class Invalid(Failure):
    """Errors of a configuration, one a line, each with its own place."""

    def __init__(self, lines: list[str]) -> None:
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        super().__init__(
            f"{count} in the configuration", fix="docs/settings.md lists every option", code=2
        )
        self.lines = lines
