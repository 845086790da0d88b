"""Which trace a piece of work belongs to, and how W3C's `traceparent` says it.

Rule: data and text; no clock, no randomness. `current` is set while the control plane answers and
while a job runs, so that what is asked on their behalf is told apart from what callers ask.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

from msgspec import Struct

SPAN_MASK = (1 << 64) - 1
_CONTEXT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_ID, _NO_SPAN = "0" * 32, "0" * 16


class Trace(Struct, frozen=True, gc=False):
    """A span's place in its trace, in hexadecimal digits."""

    id: str  # 32 digits; "" is work that nobody traces
    span: str  # 16 digits: the span that stands for this work
    parent: str = ""  # 16 digits: the span above it; "" is none
    is_sampled: bool = False  # by us
    is_wanted: bool = False  # by whoever sent the context, where that is not for them to decide

    def attempt(self, number: int) -> str:
        """The id of the span of an attempt, counted from 1: nobody has to remember it."""
        return f"{(int(self.span, 16) + number) & SPAN_MASK or SPAN_MASK:016x}"


NOT_TRACED = Trace("", "")
current: ContextVar[Trace | None] = ContextVar("gatemill_trace", default=None)


def parse(text: str) -> Trace | None:
    """What a `traceparent` says, as the span of whoever sent it; None where it is not valid."""
    found = _CONTEXT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or trace_id == _NO_ID or span == _NO_SPAN:
        return None
    return Trace(trace_id, span, is_sampled=bool(int(flags, 16) & 1))


def header(trace: Trace | None, span: str = "") -> str:
    """The `traceparent` of this work, or of a span below it; "" where nobody traces."""
    if trace is None or not trace.id:
        return ""
    return f"00-{trace.id}-{span or trace.span}-{'01' if trace.is_sampled else '00'}"


def headers(trace: Trace, number: int) -> tuple[tuple[str, str], ...]:
    """What an attempt tells a provider of ours."""
    if trace.is_sampled:
        return (("traceparent", header(trace, trace.attempt(number))),)
    # What we do not record ourselves has no span here: the caller's own context goes on.
    flags = "01" if trace.is_wanted else "00"
    return (("traceparent", f"00-{trace.id}-{trace.span}-{flags}"),)
