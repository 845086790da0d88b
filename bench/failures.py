"""What stops a benchmark. Rule: the message says what to do next."""

from __future__ import annotations


class BenchStopped(Exception):
    """The run cannot go on; `python -m bench` prints the message and exits with `code`."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
