"""The seams of the house. A module or an object satisfies them; nobody inherits.

Two families meet in the middle. A *surface* is a format that callers speak (chat, messages,
responses ...). A *dialect* is a format that an upstream speaks (openai, anthropic). Where both
name the same operation, bytes pass through. Everywhere else the hub is OpenAI's chat completion:
surface -> chat -> dialect on the way in, dialect -> chat -> surface on the way out.
In the hub, bodies and chunks are plain decoded JSON (`dict[str, Any]`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatemill.core.call import Call, Head, Target, Timeouts, Usage
    from gatemill.core.errors import GatemillError
    from gatemill.core.job import Ring
    from gatemill.core.limits import Hold, Level, Refusal, Rule, Wanted

Json = dict[str, Any]


class Outgoing(NamedTuple):
    """A request to an upstream."""

    path: str  # appended to the provider's base_url, query included
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()  # beyond those fixed for the target


class Incoming(NamedTuple):
    """A complete answer of an upstream."""

    status: int
    headers: Mapping[str, str]  # lower-case names; may be empty for a 2xx, nobody reads them there
    body: bytes


class Sink(Protocol):
    """Takes bytes as they come."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; never called again after `close`."""

    def close(self, error: GatemillError | None) -> None:
        """The source has ended: None for the regular end. Called exactly once, unless aborted."""


class Source(Protocol):
    """Bytes that arrive later and are pushed to a sink."""

    def attach(self, sink: Sink) -> None:
        """Deliver what has arrived and all that follows to `sink`; called once."""

    def pause(self) -> None:
        """Stop reading until `resume`: the caller does not keep up."""

    def resume(self) -> None:
        """Read again."""

    def abort(self) -> None:
        """Drop the exchange now; the sink hears nothing more. May be called after the end."""


class Stream(Source, Protocol):
    """An answer that flows, and says when it is over."""

    @property
    def sent_events(self) -> int:
        """Events that have left so far."""
        ...

    def on_end(self, settle: Callable[[GatemillError | None], bytes]) -> None:
        """`settle` is called once, and gives the last bytes to send."""

    def fail(self, error: GatemillError) -> None:
        """End now with this failure; the sink hears it. Nothing happens after the end."""


class Transport(Protocol):
    """A way to one provider: a socket pool, or a function for built-in models."""

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer. Raises UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply."""
        ...

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """A source once 2xx event-stream headers have come, otherwise the complete answer."""
        ...

    async def close(self) -> None:
        """Release idle connections; those in use end by themselves."""


class Transform(Protocol):
    """One stream's way from upstream bytes to caller bytes. Pure; holds only this stream's state."""

    @property
    def started(self) -> bool:
        """Content has been seen: from here on no other target can take over."""
        ...

    @property
    def is_over(self) -> bool:
        """Nothing that follows is part of the answer: its end mark has passed, or `finish` will raise."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream said so far."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Bytes for the caller, complete events only; b"" when there is nothing to send yet.

        Raises GatemillError when the upstream reports a failure in-band or breaks its format.
        """
        ...

    def finish(self) -> bytes:
        """Last bytes for the caller. Raises UpstreamInterrupted when the stream is not complete."""
        ...


class ChunkReader(Protocol):
    """Upstream events to hub chunks, for one stream. Pure."""

    usage: Usage | None
    finished: bool  # the upstream has said that the answer is complete; its usage may follow
    is_over: bool  # nothing follows

    def read(self, event: str, data: bytes) -> Sequence[Json]:
        """Chat completion chunks for one server-sent event; often none or one.

        Raises GatemillError for an error event or malformed data.
        """
        ...


class ChunkWriter(Protocol):
    """Hub chunks to the caller's events, for one stream. Pure."""

    def write(self, chunk: Json) -> bytes:
        """Server-sent events for one chat completion chunk; b"" when there is nothing to send."""
        ...

    def finish(self, usage: Usage | None) -> bytes:
        """The closing events."""
        ...


class Surface(Protocol):
    """A format that callers speak; a module of `wire` satisfies it."""

    NAME: str
    """The operation: "chat", "completions", "embeddings", "responses", "messages", ..."""
    FAMILY: str
    """How errors look: "openai", "anthropic" or "problem" (RFC 9457)."""

    def head(self, body: bytes) -> Head:
        """What the gateway needs of a valid body. Raises InvalidRequest and its kind with `param`."""
        ...

    def native(self, body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
        """The body for an upstream of the same format that calls the model `model`.

        With `stream_usage`, a stream is asked for its usage. Returns `body` itself when nothing
        has to change.
        """
        ...

    def usage(self, body: bytes) -> Usage | None:
        """Usage in a complete native answer; None when it says nothing.

        Raises UpstreamBadReply when the body is not an answer of this format, also for a 200 with
        a top-level error.
        """
        ...

    def passage(self, head: Head) -> Transform:
        """A pass-through for a native stream: finds usage and failures, strips what is ours."""
        ...

    def to_chat(self, body: bytes, call: Call) -> Json:
        """The hub's request. Raises UnsupportedParameter for what the hub cannot express."""
        ...

    def from_chat(self, completion: Json, call: Call, usage: Usage) -> bytes:
        """The caller's answer for a hub answer."""
        ...

    def writer(self, call: Call) -> ChunkWriter:
        """A writer for one translated stream."""
        ...


class Dialect(Protocol):
    """A format that an upstream speaks; a module of `providers` satisfies it."""

    NATIVE: frozenset[str]
    """Operations passed through as they are."""
    HUB: str
    """The native operation that carries translated requests: "chat" for OpenAI's own dialect."""

    def route(self, operation: str, target: Target) -> str:
        """Path and query below the provider's base_url for a native operation."""
        ...

    def secret_headers(self, secret: str) -> tuple[tuple[str, str], ...]:
        """The headers that carry the provider key."""
        ...

    def encode(self, chat: Json, call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
        """The upstream's body for a hub request, and the hints it cannot carry (to be reported).

        Raises UnsupportedParameter when dropping the parameter would change the answer's meaning.
        """
        ...

    def decode(self, body: bytes, call: Call) -> tuple[Json, Usage | None]:
        """The hub's answer for the upstream's complete answer. Raises UpstreamBadReply."""
        ...

    def reader(self, call: Call) -> ChunkReader:
        """A reader for one translated stream."""
        ...

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> GatemillError:
        """The error that a non-2xx answer means to our caller."""
        ...


class Lane(Protocol):
    """The way to one target: what is known of its health, and how much of it is in use.

    `upstream/lane.py` satisfies it. `plan` only looks; `upstream/attempt` enters and leaves.
    """

    def is_ready(self, now_s: float) -> bool:
        """An attempt may begin: the breaker is closed, or a probe is due and nobody makes it."""
        ...

    def load_s(self, now_s: float) -> float:
        """Expected wait for the first byte: peak EWMA of latency times the requests under way + 1."""
        ...

    def share(self, now_s: float) -> float:
        """Part of its weight that the target gets, 0 to 1: it grows back after an ejection."""
        ...

    def opens_s(self, now_s: float) -> float:
        """Seconds until an ejected target may be probed; 0 when it is ready."""
        ...


class Limiter(Protocol):
    """Counters of requests, tokens, concurrency and money; one file of `kv` is one engine.

    All or nothing: a refused request changes no counter. Every hold is settled exactly once; what a
    dead process held comes back by itself.
    """

    async def open(self) -> bool:
        """Connected, before the first request comes; False when the engine does not answer now."""
        ...

    async def admit(self, wanted: Wanted) -> Hold | Refusal:
        """Take the request, one token count and one worst case of money from every rule, or nothing."""
        ...

    async def extend(self, hold: Hold, tokens: int, cost_microusd: int) -> Refusal | None:
        """Take more for a further attempt of the same request; the hold has grown on None."""
        ...

    def settle(self, hold: Hold, tokens: int, cost_microusd: int) -> None:
        """The request is over and this is what it used. Never waits, never raises."""
        ...

    async def peek(self, wanted: Wanted) -> Hold | Refusal:
        """What `admit` would answer now; nothing is consumed."""
        ...

    async def levels(self, rules: Sequence[Rule], unix_s: float) -> list[Level]:
        """Where the rules stand, in their order."""
        ...

    async def close(self) -> None:
        """What was settled is written, and connections are released."""
        ...


class Ears(Protocol):
    """A worker, as the engine that brings it messages sees it; `jobs/worker.py` satisfies it."""

    @property
    def queues(self) -> Sequence[str]:
        """The queues whose jobs it takes."""
        ...

    @property
    def priorities(self) -> Sequence[int]:
        """The priorities that it takes, the most urgent first."""
        ...

    async def room(self, queue: str) -> None:
        """A job of this queue could begin now. Waits; holds nothing."""
        ...

    async def take(self, ring: Ring) -> bool:
        """Waits for a slot and claims this one job; the message may be dropped after it.

        True: it runs here. False: somebody else has it, it is over, or the worker leaves. Raises
        nothing.
        """
        ...

    def heard(self) -> None:
        """Look at the ledger soon: jobs wait, nobody says which. Never waits."""

    def cancel(self, job_id: str) -> None:
        """Stop this job if it runs here. Never waits."""


class Bell(Protocol):
    """How workers hear of jobs; one file of `dispatch` is one engine.

    A message is a hint. Losing, repeating or reordering one changes no job's fate, only its start.
    """

    POLL_S: float | None
    """The longest time until a worker looks at the ledger unasked; None: as configured, inf: never."""
    lost: int
    """Messages that no broker took, so far."""

    async def open(self) -> bool:
        """Connected; False when the broker does not answer now. It is tried again all the time."""
        ...

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Workers hear of these jobs, most likely. Never raises, and hardly waits."""

    async def call_off(self, job_id: str) -> None:
        """The worker that runs this job stops it, most likely. Never raises, and hardly waits."""

    async def listen(self, ears: Ears) -> None:
        """Messages are brought to `ears` until this is cancelled; the broker may go and come back."""

    async def waiting(self) -> int | None:
        """Messages that workers have not heard yet; None when nobody knows. Never raises.

        Where workers do not look at the ledger unasked (`POLL_S` is inf), fewer messages than queued
        jobs mean that some were lost and are to be sent again.
        """
        ...

    async def close(self) -> None:
        """Connections are released. What was rung may have been lost."""
