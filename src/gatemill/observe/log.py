"""Log lines about the process itself: starts, stops, faults, changes of state.

Rule: structlog, JSON unless a person is watching; the request id travels as a bound value; no
prompt, answer or key is ever a field, so tracebacks are written without local variables. What looks
like a key, or is one of the configuration's, is taken out of the finished line nevertheless.
"""

from __future__ import annotations

import inspect
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from gatemill.observe.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.observe.lines import LineWriter

LIBRARIES = "libraries"  # in place of a room: code that is not ours
_OURS = "gatemill."
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Output:
    """structlog's logger at the end of the chain."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.write(hide(line).encode("utf-8", "backslashreplace") + b"\n")

    debug = info = warning = error = critical = exception = log = msg


def configure(
    writer: LineWriter,
    *,
    level: str,
    pretty: bool,
    levels: Mapping[Any, str] = MappingProxyType({}),
    libraries: bool = True,
) -> None:
    """Every log line of the process, those of libraries included, goes to `writer`.

    `levels` are those of single rooms. Without `libraries`, only our lines: in a program that is not
    ours the others have their place.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(key="ts", utc=True, fmt=None),
    ]
    if pretty:
        tracebacks = structlog.dev.RichTracebackFormatter(show_locals=False)
        end: list[Any] = [
            structlog.dev.ConsoleRenderer(
                timestamp_key="ts", pad_event_to=24, exception_formatter=tracebacks
            )
        ]
        shared[-1] = structlog.processors.TimeStamper(key="ts", fmt="%H:%M:%S", utc=True)
    else:
        faults = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        end = [
            structlog.processors.ExceptionRenderer(faults),
            structlog.processors.JSONRenderer(_dumps),
        ]
    structlog.configure(
        processors=[*([_ByRoom(level, levels)] if levels else []), *shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(
            min(_LEVELS[one] for one in (level, *levels.values()))
        ),
        logger_factory=lambda *_: _Output(writer),
        cache_logger_on_first_use=False,
    )
    if libraries:
        # Theirs are many: what they merely tell is heard only where it was asked for.
        least = levels.get(LIBRARIES)
        number = max(_LEVELS[level], logging.WARNING) if least is None else _LEVELS[least]
        _take_over(writer, number, (shared, end))


class _ByRoom:
    """Lets pass what is important enough for the room that says it."""

    def __init__(self, level: str, levels: Mapping[str, str]) -> None:
        self._level = _LEVELS[level]
        self._levels = {room: _LEVELS[one] for room, one in levels.items()}

    def __call__(self, _logger: Any, method: str, event: Any) -> Any:
        name = "error" if method == "exception" else method
        if _LEVELS.get(name, logging.CRITICAL) < self._levels.get(_room(), self._level):
            raise structlog.DropEvent
        return event


def _room() -> str:
    """Who says it: the nearest caller of ours outside this file."""
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(_OURS) and name != __name__:
            return str(name.split(".")[1])
        frame = frame.f_back
    return ""


def _take_over(writer: LineWriter, level: int, processors: tuple[list[Any], list[Any]]) -> None:
    """The lines of libraries go the same way."""
    shared, end = processors
    handler = logging.StreamHandler(_Stream(writer))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *end],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Stream:
    """The file that logging.StreamHandler expects."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def write(self, text: str) -> None:
        self._writer.write(hide(text).encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """The thread flushes."""


def _dumps(value: Any, **_: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except UnicodeEncodeError:  # a lone surrogate, for example of an odd file name
        mended = {name: _printable(item) for name, item in value.items()}
        return msgspec.json.encode(mended).decode()


def _printable(item: Any) -> Any:
    if isinstance(item, str):
        return item.encode("utf-8", "backslashreplace").decode()
    return item if isinstance(item, (int, float)) else ascii(item)
