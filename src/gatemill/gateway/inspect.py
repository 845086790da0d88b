"""Stage 5: what a request holds that may not pass.

Rule: whatever comes after this (shadows, cache, provider, recordings) sees only what it leaves. A request
that is refused here was admitted, so it counts as a request, and cost nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import InvalidValue
from gatemill.gateway import looking
from gatemill.gateway.admit import grow
from gatemill.gateway.judging import Judge, Marks, merged

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.guard import Verdict
    from gatemill.core.ports import Surface
    from gatemill.gateway.guards import Guards, Side
    from gatemill.gateway.looking import Look
    from gatemill.gateway.parts import Gateway
    from gatemill.gateway.plan import Plan


class _Numbered(Struct):
    """What may hold tokens instead of text."""

    input: Raw = Raw(b"")
    prompt: Raw = Raw(b"")


_NUMBERED = frozenset(("embeddings", "completions"))
_numbered = msgspec.json.Decoder(_Numbered).decode


def glance(side: Side, call: Call) -> bool | None:
    """Whether the request may hold something for its guards; None: only `inspect` can tell. Waits for nobody."""
    if call.asked or (side.refuses and call.operation in _NUMBERED):
        return None
    return looking.glance(side, call.body)


async def inspect(
    gateway: Gateway,
    surface: Surface,
    call: Call,
    chosen: Plan,
    side: Side,
    *,
    is_suspect: bool,
) -> Marks:
    """The call as its guards leave it: body, head, and what is recorded; the placeholders put into it.

    `is_suspect` is what a glance has said. Raises ContentBlocked, GuardUnavailable, InvalidValue for tokens that nobody can read, Overloaded, and
    what `admit` raises where the body has become longer.
    """
    marks = Marks(call.body)
    if call.operation in _NUMBERED and side.refuses:
        _check_readable(call.body)
    body = await inspected(gateway.guards, Judge(side, marks), call, is_suspect=is_suspect)
    if body is not call.body:
        longer = len(body) - len(call.body)
        call.body = body
        call.head = surface.head(body)
        if longer > 0:
            await grow(gateway.admission, call, chosen, longer)
    call.hidden = marks.values or None
    return marks


async def inspected(guards: Guards, judge: Judge, call: Call, *, is_suspect: bool = False) -> bytes:
    """The body as it may go on; `call.body` itself where nothing was found in it.

    Raises ContentBlocked, GuardUnavailable and Overloaded; the verdicts are with the call all the same.
    """
    body, side = call.body, judge.side
    if call.asked:
        call.asked = await _again(guards, judge, call.asked)
    seen = await looking.seen_by(guards, side, body, is_suspect=is_suspect)
    if seen is None:
        return body
    if seen.found or side.reads_all:
        try:
            await _judged(guards, judge, call, seen)
        finally:
            note(guards, call, judge.fresh())
    return looking.encoded(seen, body) if side.refuses else body


async def _judged(guards: Guards, judge: Judge, call: Call, seen: Look) -> None:
    looking.replace(judge, seen)
    if judge.side.remotes and judge.blocked is None:
        changed = await looking.ask_places(guards, judge, seen, call)
        if (
            changed
        ):  # nobody has asked about the body as it was before prompt and arm were filled in
            call.asked = b""
    if judge.blocked is not None:
        call.body = call.asked = b""
        raise judge.blocked


async def _again(guards: Guards, judge: Judge, body: bytes) -> bytes:
    """The body as it came, with the placeholders of this request; what is in it is counted elsewhere."""
    seen = await guards.read(partial(looking.look, judge.side, body))
    if seen is None:
        return body
    looking.replace(Judge(judge.side, judge.marks), seen)
    return looking.encoded(seen, body)


def _check_readable(body: bytes) -> None:
    said = _numbered(body)
    for name, raw in (("input", bytes(said.input)), ("prompt", bytes(said.prompt))):
        if raw.lstrip(b"[ \t\r\n")[:1].isdigit():
            raise InvalidValue(
                f"`{name}`: a guard reads what is sent here, and it cannot read token numbers."
                " Send text.",
                param=name,
            )


def note(guards: Guards, call: Call, verdicts: tuple[Verdict, ...]) -> None:
    """The verdicts are with the call, and in the counters."""
    if not verdicts:
        return
    call.verdicts = merged(call.verdicts, verdicts)
    guards.count(verdicts)
