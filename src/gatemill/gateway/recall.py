"""Stage 5: an answer that is there already, or that somebody else is waiting for.

Rule: an answer is given to another call only within one tenant, for an equal question, and as it was
given first. A store that fails is a miss. What is given twice costs nothing the second time.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from gatemill.core.call import Reply
from gatemill.core.errors import CacheMiss, GatemillError
from gatemill.gateway.flights import Flight, Kept, Outcome
from gatemill.gateway.recording import Recording, Space, replay
from gatemill.gateway.similar import Similar
from gatemill.policy import cachekey
from gatemill.wire import cache_control
from gatemill.wire.complete import is_complete, is_complete_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from gatemill.core.call import Call
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Stream
    from gatemill.gateway.routes import CacheRoute, Route
    from gatemill.wire.cache_control import CacheControl

    Ask = Callable[[], Awaitable[Reply]]
    # The vector of a text, by the model of that name, at the cost of the call. Raises GatemillError.
    Embed = Callable[[Call, str, str], Awaitable[Sequence[float]]]

_decode = msgspec.msgpack.Decoder(Kept).decode
_encode = msgspec.msgpack.Encoder().encode


class Answers(Protocol):
    """A store of bytes; one file of `kv` is one engine. It never fails: it does not know."""

    async def get(self, key: bytes) -> bytes | None:
        """The value, unless it expired or gave way."""
        ...

    def put(self, key: bytes, value: bytes, keep_s: float) -> None:
        """The value is kept for about `keep_s` seconds, if there is room. Never waits."""
        ...

    async def forget(self) -> int:
        """The number of values that were dropped: all there were, unless the store is away."""
        ...

    async def close(self) -> None:
        """What was put is written, and connections are released."""
        ...


class _Question(Struct):
    """One call while it looks for an answer."""

    call: Call
    cache: CacheRoute
    control: CacheControl
    ask: Ask
    said: dict[str, Any]  # canonical body
    whose: str  # tenant
    versions: tuple[Any, ...]  # what else decides the answer
    digest: bytes
    may_be_stale: bool  # a stale answer is better than a failure
    # Of its last text, once known, and the scope in which it may be compared.
    vector: Sequence[float] | None = None
    scope: bytes = b""

    @property
    def flight_key(self) -> Hashable:
        """Equal for calls that may share an answer of which nobody knows how it will end.

        One that is cut where this call's money ends is none for a call that has more.
        """
        return self.digest, self.call.output_cap


class Recall:
    """What is kept, and what is under way. One for a configuration; the store outlives it."""

    def __init__(
        self,
        store: Answers,
        clock: Clock,
        now: Callable[[], float],
        recording_bytes_max: int,
        embed: Embed | None = None,
    ) -> None:
        """`now` gives monotonic seconds; `embed` is needed by routes with a `similar_model`.

        Streams under way are recorded up to `recording_bytes_max` bytes together.
        """
        self.store = store
        self.space = Space(recording_bytes_max)
        self.similar = Similar()
        # How often calls were answered so, and what went wrong; for metrics.
        self.misses = 0
        self.hits = 0
        self.stale = 0
        self.coalesced = 0
        self.too_large = 0  # complete answers beyond the route's entry_bytes; streams: `space`
        self.embed_failures = 0
        self._clock = clock
        self._now = now
        self._embed = embed
        self._flights: dict[Hashable, Flight] = {}  # at most one for each call under way

    async def answer(
        self, route: Route, call: Call, control: CacheControl, version: str, ask: Ask
    ) -> Reply:
        """A kept answer, that of an equal call under way, or what `ask` gives; `call.cache` says which.

        `version` names what else decides the answer: change it, and nothing kept before is found.
        Raises CacheMiss, DeadlineExceeded, and what `ask` raises.
        """
        question = None if control.no_store else _question(route, call, control, version, ask)
        if question is None:
            if control.only_if_cached:
                raise _nothing_kept()
            return await ask()
        if control.reads:
            flight = self._joinable(question)
            if flight is None and (kept := await self._fresh(question, question.digest)):
                return self._give(call, kept, "hit")
            if control.only_if_cached:
                raise _nothing_kept()
            # Others may have begun while the store was asked.
            if flight := self._joinable(question):
                return await self._follow(question, flight)
        elif control.only_if_cached:
            raise _nothing_kept()
        # Beside one that is under way, a call that must not read flies alone.
        table = {} if self._joinable(question) else self._flights
        return await self._lead(question, Flight(question.flight_key, table))

    async def forget(self) -> int:
        """The number of answers that were kept; none is any more, whoever they were for."""
        self.similar = Similar()
        return await self.store.forget()

    async def state(self, route: Route, call: Call, version: str) -> tuple[str, str, float | None]:
        """For explaining: the digest in hex; "fresh", "stale", "absent" or "never"; the age in seconds."""
        question = _question(route, call, cache_control.ANYTHING, version, _never)
        if question is None:
            return "", "never", None
        kept = await self._load(question.digest)
        cache = question.cache
        age_s = None if kept is None else self._age_s(kept)
        if age_s is None or age_s >= cache.ttl_s + cache.stale_s:
            return question.digest.hex(), "absent", None
        return question.digest.hex(), "fresh" if age_s < cache.ttl_s else "stale", age_s

    # --- Kept answers ---------------------------------------------------------------------------------

    async def _fresh(self, question: _Question, digest: bytes) -> Kept | None:
        kept = await self._load(digest)
        if kept is None:
            return None
        age_s, most = self._age_s(kept), question.control.max_age_s
        is_fresh = age_s < question.cache.ttl_s and (most is None or age_s <= most)
        return kept if is_fresh else None

    async def _stale(self, question: _Question) -> Kept | None:
        if not (question.may_be_stale and question.control.reads):
            return None
        kept = await self._load(question.digest)
        cache = question.cache
        if kept is None or self._age_s(kept) >= cache.ttl_s + cache.stale_s:
            return None
        return kept

    async def _load(self, digest: bytes) -> Kept | None:
        value = await self.store.get(digest)
        if value is None:
            return None
        try:
            kept = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return kept if kept.digest == digest else None

    def _age_s(self, kept: Kept) -> float:
        # Another process may have kept it, by a clock that is ahead of ours.
        return max(0.0, self._clock.unix_s() - kept.at_s)

    def _give(self, call: Call, kept: Kept, how: str) -> Reply:
        self._count(how)
        call.cache = how
        call.cache_age_s = self._age_s(kept)
        call.reported = kept.reported
        if kept.streams:
            return Reply(call=call, stream=replay(kept.body))
        return Reply(call=call, body=kept.body)

    def _count(self, how: str) -> None:
        if how == "hit":
            self.hits += 1
        elif how == "stale":
            self.stale += 1
        else:
            self.coalesced += 1

    def _keep(self, question: _Question, kept: Kept) -> None:
        cache = question.cache
        if len(kept.body) > cache.entry_bytes:
            self.too_large += 1
            return
        self.store.put(kept.digest, _encode(kept), cache.ttl_s + cache.stale_s)
        if question.vector is not None:
            ends_s = kept.at_s + cache.ttl_s
            self.similar.add(question.scope, question.vector, kept.digest, ends_s)

    # --- Calls under way ------------------------------------------------------------------------------

    def _joinable(self, question: _Question) -> Flight | None:
        flight = self._flights.get(question.flight_key)
        if flight is None or not flight.admits(question.call.deadline_s, self._now()):
            return None
        return flight

    async def _follow(self, question: _Question, flight: Flight) -> Reply:
        call = question.call
        if flight.recording is not None:
            outcome = Outcome(listener=flight.recording.join())
        else:
            outcome = await flight.outcome(call.deadline_s, self._now())
        if outcome.leads:
            return await self._lead(question, flight)
        if outcome.failure is not None:
            raise copy.copy(outcome.failure)
        if outcome.kept is not None:
            return self._give(call, outcome.kept, outcome.how)
        self.coalesced += 1
        call.cache = "coalesced"
        call.reported = flight.reported
        return Reply(call=call, stream=outcome.listener)

    async def _lead(self, question: _Question, flight: Flight) -> Reply:
        """The answer, from a provider if need be; all who wait for it get it too."""
        call = question.call
        call.cache = "miss"
        flight.deadline_s = call.deadline_s
        failure: GatemillError | None = None
        is_answered = False
        try:
            if kept := await self._alike(question):
                flight.give(Outcome(kept, "hit"))
                is_answered = True
                return self._give(call, kept, "hit")
            reply = await question.ask()
            is_answered = True
        except GatemillError as error:
            failure = error
            stale = await self._stale(question) if error.falls_back else None
            if stale is None:
                raise
            flight.give(Outcome(stale, "stale"))
            is_answered = True
            return self._give(call, stale, "stale")
        finally:
            if not is_answered:
                flight.fail(failure)
        self.misses += 1
        if reply.stream is not None:
            reply.stream = self._recorded(question, flight, reply.stream)
            return reply
        now_s = self._clock.unix_s()
        kept = Kept(question.digest, now_s, streams=False, reported=call.reported, body=reply.body)
        flight.give(Outcome(kept))
        if is_complete(call.operation, reply.body, call.finish):
            self._keep(question, kept)
        return reply

    def _recorded(self, question: _Question, flight: Flight, stream: Stream) -> Stream:
        ended = partial(self._ended, question, flight)
        recording = Recording(stream, question.cache.entry_bytes, self.space, ended)
        leader = recording.join(leads=True)
        flight.give_stream(recording, question.call.reported)
        recording.begin()
        return leader

    def _ended(
        self,
        question: _Question,
        flight: Flight,
        events: bytes | None,
        error: GatemillError | None,
    ) -> None:
        flight.land()
        call = question.call
        if events is None or not is_complete_stream(call.operation, events, call.head.choices):
            return
        kept = Kept(
            question.digest,
            self._clock.unix_s(),
            streams=True,
            reported=call.reported,
            body=events,
        )
        self._keep(question, kept)

    # --- Prompts that mean the same -------------------------------------------------------------------

    async def _alike(self, question: _Question) -> Kept | None:
        """The answer to a text that means the same; the vector is kept for when there is none."""
        cache, call = question.cache, question.call
        if not cache.similar_model or self._embed is None or not question.control.reads:
            return None
        split = cachekey.last_text(call.operation, question.said)
        if split is None:
            return None
        text, rest = split
        try:
            question.vector = await self._embed(call, cache.similar_model, text)
        except GatemillError:
            self.embed_failures += 1
            return None
        versions = (*question.versions, cache.similar_model)
        question.scope = cachekey.digest(question.whose, call.operation, versions, rest)
        near = self.similar.find(
            question.scope, question.vector, cache.similar_min, self._clock.unix_s()
        )
        if near is None:
            return None
        kept = await self._fresh(question, near.digest)
        if kept is not None:
            call.reason = f"similar {near.score:.3f}"
        return kept


def _question(
    route: Route, call: Call, control: CacheControl, version: str, ask: Ask
) -> _Question | None:
    """None for a call whose answer must not be kept."""
    cache, key = route.cache, call.key
    if cache is None or key is None or not cache.ttl_s or call.operation not in cachekey.OPERATIONS:
        return None
    said = cachekey.canonical(call.body)
    if said is None:
        return None
    whose = cachekey.tenant(cache.scope, key)
    versions = (version, call.version, call.headers)
    return _Question(
        call=call,
        cache=cache,
        control=control,
        ask=ask,
        said=said,
        whose=whose,
        versions=versions,
        digest=cachekey.digest(whose, call.operation, versions, said),
        may_be_stale=route.stale_last,
    )


async def _never() -> Reply:
    raise AssertionError("only an explanation")


def _nothing_kept() -> CacheMiss:
    return CacheMiss("There is no kept answer. Ask without `Cache-Control: only-if-cached`.")
