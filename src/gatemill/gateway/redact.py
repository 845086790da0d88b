"""Stage 8: what an answer holds that may not leave, and what goes back into it.

Rule: answers are guarded when they are given, not when they are kept: a hit of the cache is guarded
anew, by the guards of who asks. What was generated is paid for, whether or not it may leave.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.gateway import looking
from gatemill.gateway.edits import Texts, put_back
from gatemill.gateway.guarded import Guarded, Hold
from gatemill.gateway.inspect import note
from gatemill.gateway.judging import Judge, Marks
from gatemill.wire import editing, fields, texts
from gatemill.wire.editing import held

if TYPE_CHECKING:
    from gatemill.core.call import Call, Reply
    from gatemill.core.ports import Stream
    from gatemill.gateway.guards import Guards, Side
    from gatemill.wire.editing.edits import Editor


def glance(side: Side | None, marks: Marks | None, reply: Reply) -> bool | None:
    """Whether something may have to be done to the reply; None: only `redact` can tell. Waits for nobody."""
    if reply.stream is not None or (marks is not None and marks.values):
        return None
    return looking.glance(side, reply.body)


async def redact(
    guards: Guards,
    call: Call,
    side: Side | None,
    marks: Marks,
    reply: Reply,
    *,
    is_suspect: bool,
) -> Reply:
    """The reply as it may leave; a stream is edited as it flows. `is_suspect` is what a glance has said.

    Raises ContentBlocked and GuardUnavailable; the last attempt then ends with it, and is billed.
    """
    if side is None and not marks.values:
        return reply
    if reply.stream is not None:
        reply.stream = _flowing(guards, call, side, marks, reply.stream)
        return reply
    try:
        if side is not None:
            judge = Judge(side, marks)
            reply.body = await redacted(guards, call, judge, reply.body, is_suspect=is_suspect)
    except GatemillError as error:
        blame(call, error)
        raise
    if marks.values and b"[" in reply.body:
        reply.body = _restored(reply.body, marks)
    return reply


async def redacted(
    guards: Guards, call: Call, judge: Judge, body: bytes, *, is_suspect: bool = False
) -> bytes:
    """A whole answer as it may leave. Raises ContentBlocked, GuardUnavailable, Overloaded."""
    side = judge.side
    seen = await looking.seen_by(guards, side, body, is_suspect=is_suspect)
    if seen is None:
        return body
    if seen.found or side.reads_all:
        try:
            changed = looking.replace(judge, seen)
            if side.remotes and judge.blocked is None:
                changed |= await looking.ask_places(guards, judge, seen, call)
        finally:
            note(guards, call, judge.fresh())
        if judge.blocked is not None:
            raise judge.blocked
        if changed:
            texts.drop_repeats(seen.body)
    return looking.encoded(seen, body) if side.refuses else body


def blame(call: Call, error: GatemillError) -> None:
    """The attempt that gave the answer ends with this failure; what it used stays."""
    if call.attempts and not call.attempts[-1].error:
        last = call.attempts[-1]
        last.status, last.error = error.status, error.code
        if last.usage is not None:
            last.events = 0  # nothing has to be guessed by them


def _restored(body: bytes, marks: Marks) -> bytes:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is no JSON.") from None
    values = marks.values
    texts.rewrite(said, lambda place: put_back(place.text, values, is_json=place.is_json))
    return fields.encode(said)


def _flowing(guards: Guards, call: Call, side: Side | None, marks: Marks, stream: Stream) -> Stream:
    """The stream as it may leave. What was hidden goes back into it last, when all have judged."""
    if side is None:
        return Guarded(stream, editing.editor(call.operation, Texts(None, marks)), None)
    judge = Judge(side, marks)
    waits = bool(side.remotes)
    edits = Texts(judge, Marks() if waits else marks)
    editor = _Noted(editing.editor(call.operation, edits), guards, call, judge)
    if not waits:
        return Guarded(stream, editor, None)
    return Guarded(
        stream, editor, Hold(partial(_judged, guards, call, judge), guards.held_bytes_max)
    )


async def _judged(guards: Guards, call: Call, judge: Judge, events: bytes) -> bytes:
    """A whole answer as it may leave. Raises ContentBlocked and GuardUnavailable."""
    told = held.told(call.operation, events)
    before = [
        looking.Opened(looking.opened(one.text, is_json=one.is_json), one.is_json) for one in told
    ]
    try:
        after = await looking.ask(guards, judge, before, call)
    finally:
        note(guards, call, judge.fresh())
    if judge.blocked is not None:
        raise judge.blocked
    if after != [one.text for one in before]:
        pairs = zip(after, told, strict=True)
        closed = [looking.closed(text, is_json=one.is_json) for text, one in pairs]
        events = held.retold(call.operation, events, closed)
    if not judge.marks.values:
        return events
    editor = editing.editor(call.operation, Texts(None, judge.marks))
    events = editor.feed(events) + editor.finish()
    if editor.failure is not None:
        raise editor.failure
    return events


class _Noted:
    """An editor whose verdicts are with the call before the next event comes."""

    __slots__ = ("_call", "_editor", "_guards", "_judge")

    def __init__(self, editor: Editor, guards: Guards, call: Call, judge: Judge) -> None:
        self._editor = editor
        self._guards = guards
        self._call = call
        self._judge = judge

    @property
    def failure(self) -> GatemillError | None:
        """See wire.editing.edits.Editor."""
        return self._editor.failure

    def feed(self, data: bytes) -> bytes:
        """See wire.editing.edits.Editor."""
        data = self._editor.feed(data)
        if self._judge.is_fresh:
            note(self._guards, self._call, self._judge.fresh())
        return data

    def finish(self) -> bytes:
        """See wire.editing.edits.Editor."""
        data = self._editor.finish()
        note(self._guards, self._call, self._judge.fresh())
        return data
