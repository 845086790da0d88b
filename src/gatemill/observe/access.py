"""One line per request: JSON for machines, a coloured line on a terminal.

Rule: a line names ids, models, counts and times; never a prompt, an answer or a secret. Lines are
collected and encoded a few times a second, off the way of the request.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Struct

from gatemill.core.money import dollars
from gatemill.observe.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.call import Call, UsageRow
    from gatemill.core.guard import Verdict
    from gatemill.observe.lines import LineWriter

PENDING_MAX = 50_000  # lines between two flushes; more are counted and dropped
FLUSH_S = 0.2
RECENT_MAX = (
    2_000  # lines that are kept for whoever follows; older ones make room, and are in the log
)
MODEL_CHARS_MAX = 200  # of a name that the caller made up


class Access(Struct):
    """What one line says. Durations are milliseconds; `ts` is Unix time of arrival."""

    ts: float
    request_id: str
    status: int
    operation: str
    model: str
    target: str  # provider/model that answered; "" when none was asked
    key: str
    duration_ms: float
    ours_ms: float  # of it not spent waiting for a provider
    first_token_ms: float | None
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int | None
    stream: bool
    error: str
    client_request_id: str = ""
    retries: int = 0  # x-stainless-retry-count: how often the SDK has tried before
    cache: str = ""  # "hit", "stale", "coalesced", "miss"; "" where nothing is kept
    version: str = ""  # the experiment's arm
    # What guards have found: (side, guard, kind, mode, places, characters).
    guards: tuple[tuple[str, str, str, str, int, int], ...] = ()
    trace_id: str = ""
    level: str = "info"
    event: str = "request"


class Asking(Protocol):
    """What a line needs to know of the caller."""

    client_request_id: str
    retries: int


# What the way of a request hands over, because a tuple costs it least: arrival in Unix time, the
# call, the caller, the last attempt's row, duration and our part of it in seconds, status, error
# code, cost in micro-dollars.
Seen = tuple[float, "Call", Asking, "UsageRow | None", float, float, int, str, int | None]


def line_of(seen: Seen) -> Access:
    """The line for one request."""
    arrived_at, call, caller, row, duration_s, ours_s, status, error, cost = seen
    # By position, in the order of the fields: by name it takes twice as long.
    return Access(
        arrived_at,
        call.id,
        status,
        call.operation,
        # Somebody may have put their key where the model's name belongs.
        hide(call.head.model[:MODEL_CHARS_MAX]) if error else call.head.model[:MODEL_CHARS_MAX],
        call.attempts[-1].target.label if call.attempts else "",
        call.key.id if call.key else "",
        round(duration_s * 1e3, 3),
        round(ours_s * 1e3, 3),
        row.first_token_ms if row else None,
        len(call.attempts),
        row.prompt_tokens if row else 0,
        row.completion_tokens if row else 0,
        cost,
        call.head.stream,
        error,
        hide(caller.client_request_id) if caller.client_request_id else "",
        caller.retries,
        call.cache,
        call.version,
        tuple(map(_verdict, call.verdicts)) if call.verdicts else (),
        call.trace.id if call.trace is not None else "",
    )


def _verdict(one: Verdict) -> tuple[str, str, str, str, int, int]:
    return one.side, one.guard, one.kind, one.mode, one.count, one.chars


class AccessLog:
    """Collects lines and hands them to the writer."""

    def __init__(self, writer: LineWriter, render: Callable[[list[Access]], bytes]) -> None:
        self._writer = writer
        self._render = render
        self._pending: list[Seen] = []
        self.dropped = 0
        self.recent: deque[Access] = deque(
            maxlen=RECENT_MAX
        )  # written by flush, read by edge/admin
        self.count = 0  # lines so far; the newest in `recent` has this number
        self.add = self._pending.append  # rebound by flush; the cheapest call there is

    def flush(self) -> None:
        """All collected lines are with the writer."""
        pending, self._pending = self._pending, []
        self.add = self._pending.append
        if len(pending) > PENDING_MAX:
            self.dropped += len(pending) - PENDING_MAX
            del pending[PENDING_MAX:]
        if pending:
            lines = [line_of(seen) for seen in pending]
            self.recent.extend(lines)
            self.count += len(lines)
            self._writer.write(self._render(lines))


_encode_lines = msgspec.json.Encoder().encode_lines


def as_json(lines: list[Access]) -> bytes:
    """One JSON object a line."""
    return _encode_lines(lines)


def as_text(lines: list[Access]) -> bytes:
    """One coloured line each, for a terminal."""
    return "".join(map(_text, lines)).encode()


_GREEN, _YELLOW, _RED, _DIM, _OFF = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def _text(line: Access) -> str:
    colour = _GREEN if line.status < 400 else _YELLOW if line.status < 500 else _RED
    day_s = int(line.ts) % 86_400
    clock = f"{day_s // 3600:02}:{day_s // 60 % 60:02}:{day_s % 60:02}"
    model = "".join(char if char.isprintable() else "?" for char in line.model)
    parts = [f"{_DIM}{clock}{_OFF} {colour}{line.status}{_OFF} {line.operation:<11} {model}"]
    if line.target:
        parts.append(f"-> {line.target}")
    parts.append(f" {line.duration_ms:.0f} ms {_DIM}(ours {line.ours_ms:.1f}){_OFF}")
    if line.first_token_ms is not None and line.stream:
        parts.append(f"first {line.first_token_ms:.0f} ms")
    if line.input_tokens or line.output_tokens:
        parts.append(f" in {line.input_tokens} out {line.output_tokens}")
    if line.target:
        cost = "price unknown" if line.cost_microusd is None else dollars(line.cost_microusd)
        parts.append(f" {cost}")
    if line.guards:
        parts.append(f"{_YELLOW}{' '.join(sorted({one[1] for one in line.guards}))}{_OFF}")
    if line.attempts > 1:
        parts.append(f"{_YELLOW}{line.attempts} attempts{_OFF}")
    if line.error:
        parts.append(f"{colour}{line.error}{_OFF}")
    parts.append(f" {_DIM}key {line.key or '-'}  {line.request_id}{_OFF}")
    return " ".join(parts) + "\n"
