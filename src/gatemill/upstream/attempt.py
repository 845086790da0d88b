"""One call against its targets, in order, until one answers.

Rule: at most one attempt per target; the next target is tried only for failures that are not the
caller's doing, and only before the first content.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.call import Attempt, Reply, Usage
from gatemill.core.errors import (
    ClientGone,
    DeadlineExceeded,
    GatemillError,
    UnsupportedParameter,
)
from gatemill.core.ports import Incoming, Outgoing
from gatemill.policy import tokens
from gatemill.upstream.relay import Relay, not_a_stream
from gatemill.wire import count_tokens, fields
from gatemill.wire.translation import Translation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Call, Target
    from gatemill.core.ports import Surface, Transform


async def attempt(
    targets: Sequence[Target], surface: Surface, call: Call, now: Callable[[], float]
) -> Reply:
    """The first good answer. `now` is the loop's clock, in seconds.

    Raises the last target's failure, or DeadlineExceeded. Every try is in `call.attempts`.
    """
    last = len(targets)
    for number, target in enumerate(targets, 1):
        started_s = now()
        if started_s >= call.deadline_s:
            raise DeadlineExceeded(
                "The request's deadline passed. Allow more time or ask for less."
            )
        tried = Attempt(target=target, number=number, started_s=started_s)
        call.attempts.append(tried)
        try:
            if call.head.stream:
                return await _stream(target, surface, call, tried, now)
            return await _complete(target, surface, call, tried, now)
        except GatemillError as error:
            _failed(tried, error, now())
            if number == last or not error.falls_back:
                raise
        except asyncio.CancelledError:
            _failed(tried, ClientGone("The caller hung up."), now())
            raise
    raise AssertionError("a plan names at least one target")


async def _complete(
    target: Target, surface: Surface, call: Call, tried: Attempt, now: Callable[[], float]
) -> Reply:
    if call.operation == count_tokens.NAME and not speaks(target, call.operation):
        # Nobody has to be asked: where the provider cannot count, we estimate.
        tried.first_byte_s = tried.ended_s = now()
        tried.usage, tried.status = Usage(estimated=True), 200
        return Reply(call=call, body=count_tokens.estimate(call.body))
    out, native = _outgoing(target, surface, call)
    got = await target.transport.exchange(out, target.timeouts, call.deadline_s)
    tried.first_byte_s = tried.ended_s = now()
    if not 200 <= got.status < 300:
        raise target.dialect.failure(got.status, got.headers, got.body)
    if native:
        usage = surface.usage(got.body)
        tried.usage = usage or estimated(call, len(got.body))
        body = got.body
    else:
        chat, usage = target.dialect.decode(got.body, call)
        tried.usage = usage or estimated(call, len(got.body))
        body = surface.from_chat(chat, call, tried.usage)
    tried.status = 200
    return Reply(call=call, body=body)


async def _stream(
    target: Target, surface: Surface, call: Call, tried: Attempt, now: Callable[[], float]
) -> Reply:
    out, native = _outgoing(target, surface, call)
    transform: Transform
    if native:
        transform = surface.passage(call.head)
    else:
        transform = Translation(target.dialect.reader(call), surface.writer(call))
    got = await target.transport.open(out, target.timeouts, call.deadline_s)
    if isinstance(got, Incoming):
        tried.first_byte_s = now()
        if 200 <= got.status < 300:
            raise not_a_stream()
        raise target.dialect.failure(got.status, got.headers, got.body)
    relay = Relay(got, transform, tried, now)
    tried.status = 200
    await relay.start()
    return Reply(call=call, stream=relay)


def speaks(target: Target, operation: str) -> bool:
    """Whether `operation` goes to `target` as it came."""
    native = target.settings.native
    return operation in (target.dialect.NATIVE if native is None else native)


def _outgoing(target: Target, surface: Surface, call: Call) -> tuple[Outgoing, bool]:
    dialect = target.dialect
    if speaks(target, call.operation):
        body = surface.native(
            call.body, call.head, target.model, stream_usage=target.settings.stream_usage
        )
        call.reported = ()
        return Outgoing(dialect.route(call.operation, target), body, call.headers), True
    call.reported = ()
    chat = surface.to_chat(call.body, call)  # adds what the hub cannot carry
    body, hints = dialect.encode(chat, call, target)
    call.reported = (*call.reported, *hints)
    if call.reported and target.settings.refuse_hints:
        name = call.reported[0]
        raise UnsupportedParameter(
            f"`{name}` cannot be carried over to this model. Leave it out.", param=name
        )
    return Outgoing(dialect.route(dialect.HUB, target), body), False


def estimated(call: Call, answer_bytes: int) -> Usage:
    """Usage by size, for an upstream that says nothing of it."""
    prompt = tokens.estimate_prompt(fields.decode_object(call.body))
    return Usage(input=prompt, output=tokens.estimate(answer_bytes), estimated=True)


def _failed(tried: Attempt, error: GatemillError, now_s: float) -> None:
    tried.status = error.status
    tried.error = error.code
    tried.ended_s = tried.ended_s or now_s
