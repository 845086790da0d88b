"""The process that gets the text out of one file: `python -m gatemill.knowledge.extracting.child`.

Rule: it gets a line of options and a file, answers one JSON object, and may use only so much memory and
time; what becomes of it harms nobody.
"""

from __future__ import annotations

import resource
import sys

import msgspec
from msgspec import Struct

from gatemill.knowledge.extracting import formats
from gatemill.knowledge.extracting.limits import INVALID, Limits, UnreadableError


class Options(Struct):
    """The first line."""

    filename: str
    limits: Limits


class Result(Struct):
    """The answer; without a code there is a text."""

    text: str = ""
    code: str = ""
    message: str = ""


def main() -> None:
    """The answer stands on the standard output."""
    options = msgspec.json.decode(sys.stdin.buffer.readline(), type=Options)
    limits = options.limits
    seconds = int(limits.timeout_s) + 1
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    result = Result()
    try:
        result.text = formats.read(sys.stdin.buffer.read(), options.filename, limits)
    except UnreadableError as error:
        result.code, result.message = error.code, error.message
    except (MemoryError, RecursionError):
        result.code, result.message = INVALID, TOO_LARGE
    sys.stdout.buffer.write(msgspec.json.encode(result))


TOO_LARGE = "Reading it takes more memory or time than one file may. Split it, or save it anew."

if __name__ == "__main__":
    main()
