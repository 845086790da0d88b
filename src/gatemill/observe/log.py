"""Log lines about the process itself: starts, stops, faults, changes of state.

Rule: structlog, JSON unless a person is watching; the request id travels as a bound value; no
prompt, answer or key is ever a field.
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
        self._writer.write(line.encode() + b"\n")

    debug = info = warning = error = critical = exception = log = msg


def configure(writer: LineWriter, *, level: str, pretty: bool) -> None:
    """Every log line of the process, those of libraries included, goes to `writer`."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(key="ts", utc=True, fmt=None),
    ]
    if pretty:
        end: list[Any] = [structlog.dev.ConsoleRenderer(timestamp_key="ts", pad_event_to=24)]
        shared[-1] = structlog.processors.TimeStamper(key="ts", fmt="%H:%M:%S", utc=True)
    else:
        end = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(_dumps)]
    structlog.configure(
        processors=[*shared, *end],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Output(writer),
        cache_logger_on_first_use=False,
    )
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
        self._writer.write(text.encode())

    def flush(self) -> None:
        """The thread flushes."""


def _dumps(value: Any, **_: Any) -> str:
    return msgspec.json.encode(value, enc_hook=repr).decode()
