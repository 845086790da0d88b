"""Everything a request needs, put together once when configuration loads.

Rule: frozen; a reload builds a new one beside the old. What changes while serving (counters, the
key table's snapshot) is inside the parts, and each part says who writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.core.call import Call, Key, Reply
    from gatemill.core.clock import Clock
    from gatemill.core.errors import GatemillError
    from gatemill.core.ports import Json, Surface
    from gatemill.gateway.admit import Admission, Gate
    from gatemill.gateway.books import Books
    from gatemill.gateway.guards import Guards
    from gatemill.gateway.idempotency import Idempotency
    from gatemill.gateway.plan import Routes
    from gatemill.gateway.recall import Recall
    from gatemill.gateway.shadow import Shadows
    from gatemill.observe.access import AccessLog
    from gatemill.observe.metrics import Meter
    from gatemill.observe.trace import Tracer
    from gatemill.upstream.attempt import Tries


class Keys(Protocol):
    """Who may call."""

    def identify(self, secret: bytes) -> Key | None:
        """The key with this secret, whatever its state; None when there is none."""
        ...


class Filled(Struct, frozen=True):
    """A prompt with its variables in place."""

    messages: list[Json]
    params: Json  # fields of the request that the prompt sets where the caller does not
    version: str  # "greet:3"


class Prompts(Protocol):
    """The prompts of the registry."""

    def check(self, name: str, key: Key | None) -> None:
        """Never waits. Raises NotFound: for a prompt that is another team's the same as for none."""
        ...

    def fill(self, name: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Filled:
        """`name` is "greet", "greet@production" or "greet:3"; `facts` are "user.tier" -> value.

        Never waits. Raises NotFound and InvalidValue, with `param` beginning at the request's body.
        """
        ...


class Facts(Protocol):
    """What is known of the entities that a call names."""

    async def resolve(self, call: Call, *, keep: bool) -> dict[str, Any]:
        """The values by name ("user.tier"); defaults where nothing is known in time. Raises InvalidValue."""
        ...


class Recorder(Protocol):
    """Keeps requests and answers where that was asked for."""

    too_large: int  # that were not kept, so far

    def take(self, call: Call, reply: Reply | None, error: GatemillError | None) -> None:
        """The call was answered (a stream has just begun), or has failed. Never waits, never raises."""
        ...

    async def flushed(self) -> None:
        """What was taken before is where it is looked for, or has failed once to get there."""
        ...


class Gateway(Struct, frozen=True, weakref=True):
    """The parts in the order in which a request meets them."""

    keys: Keys
    gate: Gate
    routes: Routes
    admission: Admission
    recall: Recall
    idempotency: Idempotency
    shadows: Shadows
    tries: Tries
    books: Books
    guards: Guards
    surfaces: Mapping[str, Surface]
    meter: Meter
    access: AccessLog
    clock: Clock
    # Monotonic seconds for deadlines and durations. Not the loop's time(): uvloop keeps that to the
    # millisecond, and has the same zero.
    now: Callable[[], float]
    new_id: Callable[[float], str]
    request_timeout_s: float
    json_depth_max: int
    version: str  # of the configuration: the first 12 hex digits of its SHA-256
    prompts: Prompts | None = None
    facts: Facts | None = None
    recorder: Recorder | None = None  # None: no bodies are kept
    tracer: Tracer | None = None  # None: no spans are sent


class Caller(Struct, gc=False):
    """What the door knows of a request besides its body."""

    secret: bytes | None
    started_s: float  # loop clock, when the first byte arrived
    client_request_id: str = ""
    retries: int = 0
    timeout_s: float | None = None  # the SDK's own patience, a hint for the deadline
    headers: tuple[tuple[str, str], ...] = ()  # those a provider may see
    user: str = ""  # X-User-ID: decides an experiment's arm, and nothing else
    conversation: str = ""  # X-Conversation-ID: the same
    cache_control: str = ""
    idempotency_key: str = ""
    job_id: str = ""  # set where a job calls, and nowhere else
    path: bytes = b""  # of the HTTP request; b"" where none asked
    traceparent: bytes = b""  # W3C's, as it came
    is_recorded: bool = True  # False: X-Gatemill-Record says no; where recordings are kept at all
