"""Which work is traced, and the thread that makes spans of it and sends them.

Rule: on the way of a request a decision and one entry in a bounded buffer, and only for what is
sampled; spans are made afterwards, from times that were noted anyway. A receiver that is slow, away
or wrong costs spans, which are counted, and nothing else.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gatemill.core.trace import Trace, current, parse
from gatemill.observe.spans import UNMADE, count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.observe.spans import Maker, Seen, Span

FLUSH_S = 1.0  # between two looks at the buffer
BATCH_SPANS_MAX = 512
TRIES_MAX = 3  # for one batch
_PAUSE_S = 1.0  # before the second try; it doubles


class Terms(Struct, frozen=True):
    """How much is traced."""

    sample_share: float
    trusts: bool  # a caller's context decides
    queue_max: int
    flush_timeout_s: float


class Receives(Protocol):
    """Takes spans."""

    def send(self, spans: Sequence[Span]) -> tuple[bool, bool]:
        """Whether they have arrived, and whether another try may help if not. May take its time."""
        ...


class Tracer:
    """One for the process."""

    def __init__(
        self,
        terms: Terms,
        maker: Maker,
        receiver: Receives,
        rng: Callable[[], float],
        bits: Callable[[int], int],
    ) -> None:
        """`rng` gives numbers in [0, 1), `bits` random integers of so many bits; see the SDK's rules on ids."""
        self._terms = terms
        self._maker = maker
        self._receiver = receiver
        self._rng = rng
        self._bits = bits
        # Written by the event loop, emptied by the thread.
        self._waiting: deque[Seen] = deque()
        self._closing = threading.Event()
        self.sent = 0  # spans; written by the thread, read by metrics
        self.refused = 0  # tries; the same
        self._lost = 0  # spans that the receiver did not take; the same
        self._dropped = 0  # spans that found no room; written by the event loop
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Spans that nobody will see."""
        return self._lost + self._dropped

    @property
    def waiting(self) -> int:
        """Requests and jobs whose spans are not sent yet."""
        return len(self._waiting)

    # --- On the event loop -----------------------------------------------------------------------

    def begin(self, parent: Trace | None) -> Trace | None:
        """The place of new work below `parent`, a context from outside; None for work not traced."""
        if parent is None:
            if self._rng() >= self._terms.sample_share:
                return None
            return Trace(f"{self._bits(128) or 1:032x}", self._span(), is_sampled=True)
        is_sampled = (
            parent.is_sampled if self._terms.trusts else self._rng() < self._terms.sample_share
        )
        if not is_sampled:
            # Their span stands for it: we have none, and it may be asked for by our providers.
            return Trace(parent.id, parent.span, is_wanted=parent.is_sampled)
        return Trace(parent.id, self._span(), parent.span, is_sampled=True)

    def below(self, parent: Trace) -> Trace | None:
        """The place of new work within work of ours."""
        if not parent.is_sampled:
            return parent if parent.id else None
        return Trace(parent.id, self._span(), parent.span, is_sampled=True)

    def link(self, submitted: Trace | None) -> Trace | None:
        """The place of a job: a trace of its own, since it may run days later."""
        decides = submitted is not None and submitted.is_sampled
        if not decides and (submitted is not None or self._rng() >= self._terms.sample_share):
            return None
        return Trace(f"{self._bits(128) or 1:032x}", self._span(), is_sampled=True)

    def add(self, seen: Seen) -> None:
        """It becomes spans, unless too much waits already."""
        if len(self._waiting) < self._terms.queue_max:
            self._waiting.append(seen)
        else:
            self._dropped += count(seen)

    def close(self) -> None:
        """What waits has been sent, or the time for it is over. Waits."""
        self._closing.set()
        self._thread.join(self._terms.flush_timeout_s)
        if self._thread.is_alive():
            self._dropped += sum(map(count, tuple(self._waiting)))

    def _span(self) -> str:
        return f"{self._bits(64) or 1:016x}"

    # --- In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        spans: list[Span] = []
        while self._waiting:
            seen = self._waiting.popleft()
            try:
                spans += self._maker.spans(seen)
            except UNMADE:
                self._lost += count(seen)
            if len(spans) >= BATCH_SPANS_MAX:
                self._send(spans)
                spans = []
        if spans:
            self._send(spans)

    def _send(self, spans: Sequence[Span]) -> None:
        pause_s = _PAUSE_S
        for number in range(1, TRIES_MAX + 1):
            has_arrived, may_help = self._receiver.send(spans)
            if has_arrived:
                self.sent += len(spans)
                return
            self.refused += 1
            if not may_help or number == TRIES_MAX or self._closing.wait(pause_s):
                break
            pause_s *= 2
        self._lost += len(spans)


def trace_of(tracer: Tracer | None, traceparent: bytes) -> Trace | None:
    """The place of a request, by what its caller says and what it is asked for; None: not traced.

    Without a tracer a caller's context is handed on as it came.
    """
    parent = parse(traceparent.decode("latin-1")) if traceparent else None
    if tracer is None:
        if parent is None:
            return None
        return Trace(parent.id, parent.span, is_wanted=parent.is_sampled)
    above = current.get()
    return tracer.begin(parent) if above is None else tracer.below(above)
