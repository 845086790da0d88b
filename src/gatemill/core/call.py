"""The few things that travel: Key, Head, Target, Call, Attempt, Usage, Reply.

Rule: data only. One `Call` per request, from the door to the ledger; nothing wraps it. What lives for
one request is not tracked by the garbage collector (gc=False): nothing in it leads back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core import scopes
from gatemill.core.guard import NOTHING, Uses
from gatemill.core.limits import UNLIMITED, Limits

if TYPE_CHECKING:
    from gatemill.core.guard import Verdict
    from gatemill.core.limits import Hold
    from gatemill.core.ports import Dialect, Lane, Stream, Transport
    from gatemill.core.trace import Trace


class Usage(Struct, frozen=True):
    """Tokens of one attempt in disjoint buckets: their sum is the total.

    Providers disagree: OpenAI's prompt_tokens include cached ones and completion_tokens include
    reasoning, Anthropic's input_tokens exclude cache reads and writes. Whoever fills this, subtracts.
    """

    input: int = 0  # prompt tokens neither read from nor written to a prompt cache, text and images
    cache_read: int = 0
    cache_write: int = 0  # to be kept for minutes
    cache_write_1h: int = 0  # to be kept for an hour, which Anthropic bills dearer
    input_audio: int = 0
    output: int = 0  # visible answer, without reasoning
    reasoning: int = 0
    output_audio: int = 0
    estimated: bool = False  # True when we counted, because the provider did not say

    @property
    def prompt(self) -> int:
        """All prompt tokens: OpenAI's prompt_tokens."""
        return (
            self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.input_audio
        )

    @property
    def cache_written(self) -> int:
        """Prompt tokens written to a prompt cache, however long they are kept."""
        return self.cache_write + self.cache_write_1h

    @property
    def completion(self) -> int:
        """All generated tokens: OpenAI's completion_tokens."""
        return self.output + self.reasoning + self.output_audio


class Price(Struct, frozen=True):
    """Price of one model, in integer pico-dollars per token ($1 per million = 1_000_000).

    A tier holds the rates once the prompt exceeds `above_tokens`; the last tier reached applies to
    the whole request, as providers bill long contexts.
    """

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    output_audio: int
    request: int = 0  # pico-dollars per request, whatever its size
    above_tokens: int = 0
    tiers: tuple[Price, ...] = ()  # ascending `above_tokens`
    source: str = ""  # where the figure came from and when it was checked


class Key(Struct, frozen=True):
    """A caller's key, without its secret."""

    id: str  # public: the middle part of gm-<id>-<secret>
    name: str
    models: tuple[str, ...] = ("*",)  # names or patterns with *
    admin: bool = False
    expires_s: float | None = None  # Unix time
    revoked_s: float | None = None  # Unix time; in the future while a rotated key has its grace
    created_s: float = 0.0
    user_id: str = ""  # "" belongs to nobody
    team_id: str = ""
    limits: Limits = UNLIMITED  # the key's own
    # What its user and its team may do: (scope, id, limits); filled when the key table is loaded.
    above: tuple[tuple[str, str, Limits], ...] = ()
    scopes: tuple[str, ...] = scopes.DEFAULT  # what it may do; see core/scopes.py
    guards: Uses = NOTHING  # the key's own
    team_guards: Uses = NOTHING

    def may(self, scope: str) -> bool:
        """Whether it has this scope; an admin's has all."""
        return scope in self.scopes or self.admin


class Head(Struct, gc=False):
    """What the gateway reads of a body; the rest stays bytes."""

    model: str
    stream: bool = False
    wants_usage: bool = True  # False: the usage chunk of a stream is ours alone and is stripped
    output_max: int | None = None  # the caller's cap on generated tokens
    choices: int = 1
    user: str = (
        ""  # the end user whom the body names; decides the arm of an experiment, nothing else
    )
    prompt: str = ""  # a prompt of the registry: "greet", "greet@production" or "greet:3"
    # Whose features it is about: ("user", "u1"). Fields of ours that no provider may see.
    entities: tuple[tuple[str, str], ...] = ()
    features: dict[str, Any] | None = None  # what the caller says of them, as "user.tier" -> value


class Timeouts(Struct, frozen=True):
    """Patience with one target, in seconds."""

    connect_s: float = 3.0
    first_token_s: float = 60.0  # until the first byte of the answer
    between_chunks_s: float = 60.0
    total_s: float = 600.0


class Target(Struct, frozen=True):
    """One place an attempt may go; built when configuration loads."""

    provider: str  # configured name
    model: str  # the upstream's own name
    dialect: Dialect
    transport: Transport
    timeouts: Timeouts
    price: Price | None  # None: unknown, which is said in ledger, metrics and headers
    settings: TargetSettings
    lane: Lane  # its breaker, its queue, its latency; shared by all routes that lead here
    label: str = ""  # "provider/model", in ASCII: headers and log lines
    context_tokens: int | None = None  # most prompt and answer tokens together; None: not known
    version: str = ""  # of a model in the registry: "sentiment:3"


def target_label(provider: str, model: str) -> str:
    """`provider/model` without anything that could break a header or a line."""
    text = f"{provider}/{model}".encode("ascii", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in text)


class TargetSettings(Struct, frozen=True):
    """What a dialect may need to know of a target."""

    native: frozenset[str] | None = (
        None  # operations this vendor lacks or has; None = the dialect's
    )
    base_url: str = ""  # of the provider; with the label it says whose answers these are
    path_prefix: str = ""  # between base_url and the operation's path, e.g. Azure deployments
    query: str = ""  # e.g. "api-version=2024-10-21"
    headers: tuple[tuple[str, str], ...] = ()
    stream_usage: bool = True  # the upstream understands stream_options.include_usage
    output_field: str = "max_completion_tokens"  # what an OpenAI dialect calls its output limit
    output_default: int = 4096  # max_tokens for dialects that require one
    refuse_hints: bool = False  # unsupported harmless parameters are refused instead of reported
    is_internal: bool = False  # one's own: it is told which trace a request belongs to


class Attempt(Struct, gc=False):
    """One try at one target. Written by upstream/attempt, read by gateway/settle."""

    target: Target
    number: int  # 1-based within the call
    started_s: float  # monotonic
    ended_s: float = 0.0
    first_byte_s: float = 0.0  # monotonic; 0 = nothing arrived
    status: int = 0  # what the caller would see if this attempt were the last
    error: str = ""  # public code, "" when it succeeded
    usage: Usage | None = None
    events: int = 0  # sent to the caller; about one token each where the usage never came
    slot: int = -1  # where the ledger keeps it in case we die; -1: nowhere
    is_sent: bool = True  # False: it is known that no byte of it has left


class Call(Struct, gc=False):
    """One request on its way. Written by each stage in turn, read by the next."""

    id: str
    operation: str  # "chat", "messages", ...: the name of the surface
    body: bytes
    head: Head
    started_s: float  # monotonic, when the first byte of the request arrived
    deadline_s: float  # monotonic
    arrived_at: float = 0.0  # Unix time
    key: Key | None = None
    headers: tuple[tuple[str, str], ...] = ()  # caller headers a dialect forwards (anthropic-beta)
    attempts: list[Attempt] = []
    reported: tuple[str, ...] = ()  # parameters the chosen target cannot carry
    user: str = ""  # the end user, from the body or X-User-ID; decides an experiment's arm only
    conversation: str = ""  # X-Conversation-ID; the same
    seed: str = ""  # what weighted choices hash: the caller's X-Request-Id, else our own id
    hold: Hold | None = None  # what admission reserved
    reserve_microusd: int = 0  # of that, the money for one attempt
    besides_microusd: int = 0  # spent on its behalf in rows of their own: the vector of its prompt
    output_cap: int | None = None  # output tokens to ask for where a hard budget must bound them
    label: str = ""  # the configured name that answers: the metric label
    replayed: bool = False  # the answer is that of an earlier request with the same Idempotency-Key
    version: str = ""  # name of the experiment's arm
    experiment: str = ""  # id of an experiment whose outcomes are kept; "" for those of the file
    prompt: str = ""  # the version of the prompt that was filled in: "greet:3"
    # Features of the entities it names, as "user.tier" -> value; what was logged with its id.
    facts: dict[str, Any] | None = None
    asked: bytes = b""  # the body as it came, where prompt, arm or features have changed it
    reason: str = ""  # why this target, in a few words: "weight", "simple", "latency"
    cache: str = ""  # "", "miss", "hit", "stale" or "coalesced"
    cache_age_s: float | None = None  # how long ago the cached answer was made
    finish: str = ""  # why the answer ended, where its format does not say; "" when it refused
    decision: str = ""  # JSON of what was weighed, for explaining it later; "" when nothing was
    job_id: str = ""  # the job on whose behalf it is made
    verdicts: tuple[Verdict, ...] = ()  # what guards have found
    is_inspected: bool = False  # no guard stands before it, or all of them have seen it
    # What stands behind placeholders that guards have put into the body: "[EMAIL_1]" -> the text. It
    # goes back into the answer, and is taken out again of what is kept.
    hidden: dict[str, str] | None = None
    trace: Trace | None = None  # where it belongs; None: nobody traces it


class UsageRow(Struct, frozen=True, array_like=True):
    """One attempt in the ledger. Written once, never changed; every total derives from these.

    As JSON it is an array in this order: new fields go to the end and have a default.
    """

    attempt_id: str  # "<request_id>-<attempt>": unique, so a row replayed after a crash is ignored
    request_id: str
    attempt: int  # 1-based; the last one of a request is what the caller saw
    at: float  # Unix time at which the request arrived: all its attempts fall into one window
    key_id: str
    operation: str
    model: str  # as the caller asked
    provider: str
    target_model: str
    stream: bool
    status: int
    error: str  # public code, "" for success
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    estimated: bool  # token counts are ours, not the provider's
    cost_microusd: int | None  # None: the price is unknown
    latency_ms: float  # this attempt, until its last byte
    first_token_ms: float | None  # until its first byte; None when nothing came
    user_id: str = ""  # the key's user and team at that time
    team_id: str = ""
    cache: str = ""  # "hit", "stale", "coalesced", or "" when a provider was asked
    version: str = ""  # the experiment's arm
    # Written for an attempt whose process died: the cost is the most it can have been. The true row
    # replaces it if it still comes; otherwise it is settled as it is within a minute.
    unsettled: bool = False
    decision: str = ""  # JSON of what was weighed; on the last attempt of a request only
    job_id: str = ""  # the job on whose behalf it was made
    experiment_id: str = ""
    model_version: str = ""  # of a model in the registry: "sentiment:3"
    prompt_version: str = ""  # of the prompt that was filled in: "greet:3"
    trace_id: str = ""  # 32 hex digits; "" where nobody traces
    offset_ms: float = 0.0  # when this attempt began, after the request had arrived

    @property
    def prompt_tokens(self) -> int:
        """All prompt tokens."""
        cached = self.cache_read_tokens + self.cache_write_tokens
        return self.input_tokens + cached + self.input_audio_tokens

    @property
    def completion_tokens(self) -> int:
        """All generated tokens."""
        return self.output_tokens + self.reasoning_tokens + self.output_audio_tokens


class Reply(Struct, gc=False):
    """What the door sends back: a body, or a stream."""

    call: Call
    body: bytes = b""
    stream: Stream | None = None
    cost_microusd: int | None = None  # None: unknown price, or not known yet (streams)
