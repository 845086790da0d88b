"""Requests with an Idempotency-Key: run once, answered any number of times.

Rule: what began well is kept (a 200, to its end); a refusal, a failure or a caller who hung up before
the end gives the key back, and the same request may run again. Without the database nothing is run
under a key: doubt would cost money.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.call import Reply
from gatemill.core.errors import (
    GatemillError,
    IdempotencyAnswerLost,
    IdempotencyKeyBusy,
    IdempotencyKeyReused,
    InvalidValue,
)
from gatemill.core.tasks import spawn
from gatemill.gateway.recording import Recording, Space, replay
from gatemill.ledger.claims import Done, Other, Running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.core.call import Call
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Stream
    from gatemill.ledger.claims import Claims

SPENDING = frozenset(
    (
        *("chat", "completions", "embeddings", "responses", "messages", "inference"),
        *("predict", "predict_text", "rerank", "moderations"),
    )
)
GRACE_S = 5.0  # a claim outlives its request's deadline by this: nobody starts while one may end
RETRY_S_MAX = 10.0
RECORDING_BYTES_MAX = 64 << 20  # of all streams under way; one that finds no room is not kept
_NAME = re.compile(r"[\x20-\x7e]{1,255}")
_JSON = (("content-type", "application/json"),)
_EVENTS = (("content-type", "text/event-stream; charset=utf-8"),)
_LOST = Done(0, (), b"")  # it was answered, and the answer was too large


class Answered(NamedTuple):
    """A reply, and whether it is that of an earlier request."""

    reply: Reply
    is_replayed: bool


class Idempotency:
    """What is kept under callers' keys; each caller has its own."""

    def __init__(self, claims: Claims, clock: Clock, keep_s: float, body_bytes: int) -> None:
        """Answers of up to `body_bytes` are kept for `keep_s` seconds."""
        self.replayed = 0
        self.too_large = 0
        self.not_stored = 0  # the database did not take an answer; its claim ends by itself
        self.space = Space(RECORDING_BYTES_MAX)
        self._claims = claims
        self._clock = clock
        self._keep_s = keep_s
        self._body_bytes = body_bytes

    async def answer(self, call: Call, name: str, run: Callable[[], Awaitable[Reply]]) -> Answered:
        """What `run` gives, once; the same again for everybody who asks the same under this `name`.

        Nobody may have called `on_end` of the stream that `run` gives. Raises InvalidValue for a bad
        name, IdempotencyKeyBusy while an equal request runs, IdempotencyKeyReused for another request,
        IdempotencyAnswerLost when the answer was too large to keep, LedgerUnavailable and Overloaded
        when nobody can tell, and what `run` raises.
        """
        found = await self._claimed(call, name)
        if found is not None:
            self.replayed += 1
            return Answered(_replayed(call, found), is_replayed=True)
        reply: Reply | None = None
        try:
            reply = await run()
        finally:
            if reply is None:
                self._drop(call, name)
        if reply.stream is not None:
            reply.stream = self._recorded(call, name, reply.stream)
        else:
            # First kept, then sent. The caller may hang up meanwhile: it is kept all the same.
            await asyncio.shield(self._finish(call, name, _JSON, reply.body))
        return Answered(reply, is_replayed=False)

    async def _claimed(self, call: Call, name: str) -> Done | None:
        if not _NAME.fullmatch(name):
            raise InvalidValue(
                "`Idempotency-Key`: send 1 to 255 printable ASCII characters.",
                param="Idempotency-Key",
            )
        left_s = call.deadline_s - self._clock.monotonic_s()
        until_s = self._clock.unix_s() + left_s + GRACE_S
        try:
            claim = await self._claims.claim(
                _key_id(call), name, _fingerprint(call), call.id, until_s
            )
        except asyncio.CancelledError:
            self._drop(call, name)  # it may have become ours all the same
            raise
        if isinstance(claim, Running):
            raise IdempotencyKeyBusy(
                "A request with this Idempotency-Key is still running. Wait, then repeat it.",
                retry_after_s=min(claim.retry_after_s, RETRY_S_MAX),
            )
        if isinstance(claim, Other):
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used with another request. Make a new key for each."
            )
        if not isinstance(claim, Done):
            return None
        if not claim.status:
            raise IdempotencyAnswerLost(
                "This request was answered, and the answer was too large to keep."
                " Repeat it with a new Idempotency-Key to pay for another."
            )
        return claim

    def _recorded(self, call: Call, name: str, stream: Stream) -> Stream:
        ended = partial(self._ended, call, name)
        recording = Recording(stream, self._body_bytes, self.space, ended)
        leader = recording.join(leads=True)
        recording.begin()
        return leader

    def _ended(
        self, call: Call, name: str, events: bytes | None, error: GatemillError | None
    ) -> None:
        if error is not None:
            self._drop(call, name)
        else:
            self._finish(call, name, _EVENTS, events)

    def _finish(
        self, call: Call, name: str, headers: tuple[tuple[str, str], ...], body: bytes | None
    ) -> asyncio.Task[None]:
        done = _LOST
        if body is not None and len(body) <= self._body_bytes:
            done = Done(200, headers, body)
        else:
            self.too_large += 1
        return spawn(self._store(_key_id(call), name, call.id, done), "idempotency-finish")

    def _drop(self, call: Call, name: str) -> None:
        spawn(self._store(_key_id(call), name, call.id, None), "idempotency-drop")

    async def _store(self, key_id: str, name: str, call_id: str, done: Done | None) -> None:
        try:
            if done is None:
                await self._claims.drop_claim(key_id, name, call_id)
            else:
                await self._claims.finish_claim(key_id, name, call_id, done, self._keep_s)
        except GatemillError:
            self.not_stored += 1


def _key_id(call: Call) -> str:
    assert call.key is not None
    return call.key.id


def _fingerprint(call: Call) -> str:
    """Of the bytes as they came: another body is another request, even if it means the same."""
    return sha256(b"%b\0%b" % (call.operation.encode(), call.body)).hexdigest()


def _replayed(call: Call, done: Done) -> Reply:
    if done.headers == _EVENTS:
        return Reply(call=call, stream=replay(done.body))
    return Reply(call=call, body=done.body)
