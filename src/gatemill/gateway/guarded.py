"""A stream that leaves through guards. Rule: settled once, with what its caller got to see.

Local guards edit what passes. Where a guard waits for somebody, the whole answer is held for it, up to
a bound, and leaves when it has been judged. A stream that is blocked stops its upstream at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.errors import ClientGone, ContentBlocked, GatemillError, InternalError
from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from gatemill.core.ports import Sink, Stream
    from gatemill.wire.editing.edits import Editor


class Hold(NamedTuple):
    """Who judges a whole answer, and how much of one is kept for that."""

    judge: Callable[
        [bytes], Awaitable[bytes]
    ]  # all events; those that leave. Raises GatemillError.
    bytes_max: int


class Guarded:
    """Sink of a stream, source of the door; satisfies ports.Stream."""

    __slots__ = (
        "_editor",
        "_events",
        "_failure",
        "_held",
        "_held_bytes",
        "_hold",
        "_is_over",
        "_is_settled",
        "_judging",
        "_on_end",
        "_sink",
        "_stream",
        "_told",
    )

    def __init__(self, stream: Stream, editor: Editor | None, hold: Hold | None) -> None:
        self._stream = stream
        self._editor = editor
        self._hold = hold
        self._held: list[bytes] = []  # for the judge
        self._held_bytes = 0
        self._judging: asyncio.Task[None] | None = None
        self._sink: Sink | None = None  # set by attach, cleared at the end
        self._events = 0
        self._is_over = False  # nothing more leaves
        self._is_settled = False  # `stream` is
        self._told: GatemillError | None = None  # how `stream` has ended
        self._failure: GatemillError | None = None  # why this one has ended, if it was not `stream`
        self._on_end: Callable[[GatemillError | None], bytes] | None = None  # cleared once called

    # --- Sink of the stream -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Whole events."""
        if self._is_over:
            return
        editor = self._editor
        if editor is None:
            self._pass(data)
            return
        self._pass(editor.feed(data))
        if editor.failure is not None:
            self._refuse(editor.failure)

    def close(self, error: GatemillError | None) -> None:
        """The stream has ended."""
        if self._is_over:
            return
        if error is None and self._editor is not None:
            self._pass(self._editor.finish())
            error = self._editor.failure
        self._whole(error)

    # --- Source of the door -----------------------------------------------------------------------

    @property
    def sent_events(self) -> int:
        """Events that have left so far."""
        return self._events

    def on_end(self, settle: Callable[[GatemillError | None], bytes]) -> None:
        """`settle` is called once when the stream is over, and gives the last bytes to send."""
        self._on_end = settle
        self._stream.on_end(self._settled)

    def attach(self, sink: Sink) -> None:
        """Deliver all that passes."""
        self._sink = sink
        self._stream.attach(self)

    def pause(self) -> None:
        """The caller does not keep up."""
        self._stream.pause()

    def resume(self) -> None:
        """The caller reads again."""
        self._stream.resume()

    def abort(self) -> None:
        """The caller has gone."""
        self._is_over = True
        self._sink = None
        if self._judging is not None:
            self._judging.cancel()
            self._failure = self._failure or ClientGone("The caller hung up.")
        self._stream.abort()
        self._settle()

    def fail(self, error: GatemillError) -> None:
        """The stream ends now with this failure, which the door hears after what has come."""
        if self._judging is None:
            self._stream.fail(error)
        elif not self._is_over:
            self._judging.cancel()
            self._end(error)

    # --- Inside ----------------------------------------------------------------------------------

    def _pass(self, data: bytes) -> None:
        if not data:
            return
        if self._hold is None:
            self._send(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._hold.bytes_max:
            self._refuse(
                ContentBlocked(
                    f"The answer has more than {self._hold.bytes_max} bytes, and a guard has to see "
                    "all of it. Ask for a shorter one."
                )
            )

    def _whole(self, error: GatemillError | None) -> None:
        if self._is_over:  # the last part was too much to hold
            return
        if error is None and self._hold is not None:
            self._judging = spawn(self._judge(self._hold), "guard-answer")
        else:
            self._end(error)

    def _send(self, data: bytes) -> None:
        assert self._sink is not None
        self._events += data.count(b"\n\n")
        self._sink.feed(data)

    def _refuse(self, error: GatemillError) -> None:
        """Nothing more leaves, and nothing more is asked for."""
        if not self._is_over:
            self._is_over = True
            self._failure = error
            self._stream.fail(error)
            self._leave(error)

    async def _judge(self, hold: Hold) -> None:
        error: GatemillError | None = InternalError(
            "This is our fault, not yours. Report the request id."
        )
        judged = b""
        try:
            judged = await hold.judge(b"".join(self._held))
            error = None
        except GatemillError as failure:
            error = failure
        finally:
            # Also for a fault of our own, which the task logs: the caller hears of it.
            if not self._is_over:
                if judged:
                    self._send(judged)
                self._end(error)

    def _end(self, error: GatemillError | None) -> None:
        self._is_over = True
        self._failure = error
        self._leave(error)

    def _leave(self, error: GatemillError | None) -> None:
        self._held.clear()
        sink, self._sink = self._sink, None
        assert sink is not None
        tail = self._settle()
        if error is None and tail:
            self._events += tail.count(b"\n\n")
            sink.feed(tail)
        sink.close(error)

    def _settled(self, error: GatemillError | None) -> bytes:
        """`stream` knows how it ended. A caller who leads others hears of that later than its end."""
        self._is_settled = True
        self._told = error
        if self._is_over:
            self._settle()
        return b""

    def _settle(self) -> bytes:
        if not self._is_settled or self._on_end is None:
            return b""
        settle, self._on_end = self._on_end, None
        return settle(self._failure or self._told)
