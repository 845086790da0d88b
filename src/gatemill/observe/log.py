"""Log lines about the process itself: starts, stops, faults, changes of state.

Rule: structlog, JSON unless a person is watching; the request id travels as a bound value; no
prompt, answer or key is ever a field, so tracebacks are written without local variables.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

if TYPE_CHECKING:
    from gatemill.observe.lines import LineWriter

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Output:
    """structlog's logger at the end of the chain."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str) -> None:
        self._writer.write(line.encode("utf-8", "backslashreplace") + b"\n")

    debug = info = warning = error = critical = exception = log = msg


def configure(writer: LineWriter, *, level: str, pretty: bool, libraries: bool = True) -> None:
    """Every log line of the process, those of libraries included, goes to `writer`.

    Without `libraries`, only ours: in a program that is not ours the others have their place.
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
        processors=[*shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Output(writer),
        cache_logger_on_first_use=False,
    )
    if libraries:
        _take_over(writer, level, (shared, end))


def _take_over(writer: LineWriter, level: str, processors: tuple[list[Any], list[Any]]) -> None:
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
    root.setLevel(max(_LEVELS[level], logging.WARNING))


class _Stream:
    """The file that logging.StreamHandler expects."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def write(self, text: str) -> None:
        self._writer.write(text.encode("utf-8", "backslashreplace"))

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
