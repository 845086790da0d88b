"""One call against its targets, until one answers.

Rule: another attempt is made only for failures that are not the caller's doing, and only before the
first content. Where it goes is decided in course.py; what a target can bear is known in lane.py.
"""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gatemill.core import trace
from gatemill.core.call import Attempt, Reply, Usage
from gatemill.core.errors import ClientGone, GatemillError, InvalidValue, UnsupportedParameter
from gatemill.core.ports import Incoming, Outgoing
from gatemill.observe.redaction import hide
from gatemill.policy import tokens
from gatemill.upstream.course import Course, Retries, Tries
from gatemill.upstream.relay import Relay, not_a_stream
from gatemill.wire import count_tokens, fields, moderations, predict, predict_text
from gatemill.wire.translation import Translation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call, Target
    from gatemill.core.ports import Surface, Transform
    from gatemill.upstream.lane import Slot

__all__ = ["Retries", "Tries", "attempt", "estimated", "outgoing", "speaks"]

# What each operation calls the most tokens of its answer; for chat it depends on the target.
_CAPS = {"completions": "max_tokens", "responses": "max_output_tokens"}
# Formats of ours in which an answer says more than the model knows of itself.
_RESHAPED = {
    "predict": predict.reshaped,
    "predict_text": predict_text.reshaped,
    "moderations": moderations.reshaped,
}
# Operations whose answers hold no tokens of a model's own.
_NO_OUTPUT = frozenset(("embeddings", "predict", "predict_text", "rerank", "moderations"))


async def attempt(targets: Sequence[Target], surface: Surface, call: Call, tries: Tries) -> Reply:
    """The first good answer.

    Raises the last upstream's failure, or what kept every upstream from being asked: CircuitOpen,
    QueueFull, DeadlineExceeded. Every attempt that was made is in `call.attempts`.
    """
    if call.operation == count_tokens.NAME:
        return await _count(targets, surface, call, tries)
    return await _attempt(targets, surface, call, tries)


async def _attempt(targets: Sequence[Target], surface: Surface, call: Call, tries: Tries) -> Reply:
    now, attempts = tries.now, call.attempts
    course = Course(targets, call, tries)
    slot = course.enter(now()) or await course.find()
    while True:
        tried = slot.tried = Attempt(targets[course.at], len(attempts) + 1, now())
        try:
            if course.last is not None:
                await tries.more(call, tried)
                tried.started_s = now()
            attempts.append(tried)
            if call.head.stream:
                return await _stream(slot, surface, call, tries)
            return await _complete(slot, surface, call, tries)
        except GatemillError as error:
            final = course.failed_with(slot, error)
            if final is error:
                raise
            if final is not None:
                raise final from None
        except asyncio.CancelledError:
            if not slot.ended:  # else the stream has come to its end in this very moment
                gone = ClientGone("The caller hung up.")
                tried.status, tried.error = gone.status, gone.code
                tried.ended_s = tried.ended_s or now()
            raise
        finally:
            final = None  # its traceback holds this frame
            # Also after a fault of our own. Nothing is learned of the target.
            if not slot.ended and not slot.relayed:
                slot.end(ClientGone("The attempt was given up."), now())
        slot = await course.find()


async def _complete(slot: Slot, surface: Surface, call: Call, tries: Tries) -> Reply:
    tried = slot.tried
    assert tried is not None
    target = tried.target
    out, native = outgoing(target, surface, call, slot.key.headers if slot.key is not None else ())
    if target.settings.is_internal and call.trace is not None:
        out = out._replace(headers=(*out.headers, *trace.headers(call.trace, tried.number)))
    tries.opening(call, tried)
    got = await target.transport.exchange(out, target.timeouts, call.deadline_s)
    now_s = tried.first_byte_s = tried.ended_s = tries.now()
    if not 200 <= got.status < 300:
        slot.status = got.status
        raise _refused(target, got)
    if native:
        usage = surface.usage(got.body)
        tried.usage = usage or estimated(call, len(got.body))
        reshaped = _RESHAPED.get(call.operation)
        body = got.body if reshaped is None else reshaped(got.body, call)
    else:
        chat, usage = target.dialect.decode(got.body, call)
        tried.usage = usage or estimated(call, len(got.body))
        body = surface.from_chat(chat, call, tried.usage)
    tried.status = 200
    slot.lane.latency.observe(now_s - tried.started_s, now_s)
    slot.end(None, now_s)
    return Reply(call=call, body=body)


def _refused(target: Target, got: Incoming) -> GatemillError:
    """What the provider's refusal is for callers, without the secrets that it may quote."""
    error = target.dialect.failure(got.status, got.headers, got.body)
    error.message = hide(error.message)
    error.param = hide(error.param) if error.param else error.param
    return error


async def _stream(slot: Slot, surface: Surface, call: Call, tries: Tries) -> Reply:
    tried, now = slot.tried, tries.now
    assert tried is not None
    target = tried.target
    out, native = outgoing(target, surface, call, slot.key.headers if slot.key is not None else ())
    transform: Transform
    if native:
        transform = surface.passage(call.head)
    else:
        transform = Translation(target.dialect.reader(call), surface.writer(call))
    if target.settings.is_internal and call.trace is not None:
        out = out._replace(headers=(*out.headers, *trace.headers(call.trace, tried.number)))
    tries.opening(call, tried)
    got = await target.transport.open(out, target.timeouts, call.deadline_s)
    if isinstance(got, Incoming):
        tried.first_byte_s = now()
        if 200 <= got.status < 300:
            raise not_a_stream()
        slot.status = got.status
        raise _refused(target, got)
    relay = Relay(got, transform, tried, now, slot)
    tried.status = 200
    await relay.start()
    slot.relayed = True
    first_byte_s = tried.first_byte_s or tried.ended_s  # an empty stream has only its end
    slot.lane.latency.observe(first_byte_s - tried.started_s, now())
    return Reply(call=call, stream=relay)


async def _count(targets: Sequence[Target], surface: Surface, call: Call, tries: Tries) -> Reply:
    """Tokens, as a provider counts them; as we estimate where the next one in turn cannot count."""
    asked = tuple(takewhile(_counts, targets))
    if len(asked) == len(targets):
        return await _attempt(asked, surface, call, tries)
    if asked:
        once = replace(tries, retries=replace(tries.retries, attempts_max=len(asked)))
        try:
            return await _attempt(asked, surface, call, once)
        except GatemillError as error:
            if not error.falls_back:
                raise
    # Nobody has to be asked.
    now_s = tries.now()
    tried = Attempt(targets[len(asked)], len(call.attempts) + 1, now_s, now_s, now_s)
    tried.usage, tried.status = Usage(estimated=True), 200
    call.attempts.append(tried)
    return Reply(call=call, body=count_tokens.estimate(call.body))


def _counts(target: Target) -> bool:
    return speaks(target, count_tokens.NAME)


def speaks(target: Target, operation: str) -> bool:
    """Whether `operation` goes to `target` as it came."""
    native = target.settings.native
    return operation in (target.dialect.NATIVE if native is None else native)


def outgoing(
    target: Target, surface: Surface, call: Call, secret: tuple[tuple[str, str], ...]
) -> tuple[Outgoing, bool]:
    """What is sent to `target`, and whether it is in the caller's own format.

    `secret` carries the key where the transport does not. `call.reported` is then what the target has
    no place for. Raises InvalidRequest and its kinds.
    """
    dialect = target.dialect
    cap = call.output_cap
    call.reported = ()
    if speaks(target, call.operation):
        body = surface.native(
            call.body, call.head, target.model, stream_usage=target.settings.stream_usage
        )
        if cap is not None and (name := _cap_field(call, target)):
            body = fields.capped(body, name, cap)
        path = dialect.route(call.operation, target)
        return Outgoing(path, body, call.headers + secret), True
    if call.operation == moderations.NAME and speaks(target, predict.NAME):
        body = moderations.as_predict(call.body, target.model)
        return Outgoing(dialect.route(predict.NAME, target), body, call.headers + secret), True
    chat = surface.to_chat(call.body, call)  # adds what the hub cannot carry
    if cap is not None and chat.get("max_completion_tokens") is None:
        chat["max_completion_tokens"] = cap
    body, hints = dialect.encode(chat, call, target)
    call.reported = (*call.reported, *hints)
    if call.reported and target.settings.refuse_hints:
        name = call.reported[0]
        raise UnsupportedParameter(
            f"`{name}` cannot be carried over to this model. Leave it out.", param=name
        )
    return Outgoing(dialect.route(dialect.HUB, target), body, secret), False


def _cap_field(call: Call, target: Target) -> str:
    if call.operation == "chat":
        return target.settings.output_field
    return _CAPS.get(call.operation, "")


def estimated(call: Call, answer_bytes: int) -> Usage:
    """Usage by size, for an upstream that says nothing of it."""
    try:
        prompt = tokens.estimate_prompt(fields.read_object(call.body))
    except InvalidValue:  # the provider may have read it all the same
        prompt = tokens.estimate(len(call.body))
    output = 0 if call.operation in _NO_OUTPUT else tokens.estimate(answer_bytes)
    return Usage(input=prompt, output=output, estimated=True)
