"""One stream on its way from an upstream to a caller.

Rule: nothing leaves before the first content, so that until then another target can take over;
afterwards the caller gets whole events and at most one failure at the end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.errors import ClientGone, GatemillError, InternalError, UpstreamBadReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.call import Attempt
    from gatemill.core.ports import Sink, Source, Transform
    from gatemill.upstream.lane import Slot

HOLD_EVENTS_MAX = 64
HOLD_BYTES_MAX = 256 << 10


class Relay:
    """Sink of the upstream, source of the door."""

    __slots__ = (
        "_attempt",
        "_ended",
        "_events",
        "_failure",
        "_held",
        "_now",
        "_on_end",
        "_sink",
        "_slot",
        "_source",
        "_started",
        "_transform",
    )

    def __init__(
        self,
        source: Source,
        transform: Transform,
        attempt: Attempt,
        now: Callable[[], float],
        slot: Slot | None = None,
    ) -> None:
        """`slot` is the stream's place in its lane, which is free when the stream has ended."""
        self._slot = slot
        self._source = source
        self._transform = transform
        self._attempt = attempt
        self._now = now
        # Whether there is something to relay; False when it failed before that.
        self._started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held: list[bytes] = []  # events before the door is attached
        self._events = 0  # sent to the caller; about one token each, when usage never comes
        self._sink: Sink | None = None
        self._ended = False
        self._failure: GatemillError | None = None
        self._on_end: Callable[[GatemillError | None], bytes] | None = None

    async def start(self) -> None:
        """Returns when content has begun, or the stream is complete.

        Raises what the upstream failed with before that; the source is then released.
        """
        self._source.attach(self)
        try:
            has_begun = await self._started
        except asyncio.CancelledError:
            if not self._ended:  # in this very moment
                self._source.abort()
                self._end(ClientGone("The caller hung up."))
            raise
        if not has_begun:
            raise self._verdict()

    def on_end(self, settle: Callable[[GatemillError | None], bytes]) -> None:
        """`settle` is called once when the stream is over, and gives the last bytes to send."""
        self._on_end = settle

    # --- Sink of the upstream ----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes from the upstream."""
        if self._ended:
            return
        attempt = self._attempt
        if not attempt.first_byte_s:
            attempt.first_byte_s = self._now()
        out: bytes | None = None
        try:
            out = self._transform.feed(data)
        except GatemillError as error:
            self._source.abort()
            self._end(error)
        finally:
            if out is None and not self._ended:
                self._break()
        if out:
            self._pass(out)
        if self._transform.is_over and not self._ended:
            # Some providers close late, or not at all, and callers do not wait for it. What is left is
            # read, so that the connection can be used again.
            self.close(None)
            if self._failure is None:
                self._source.resume()
            else:
                self._source.abort()

    def close(self, error: GatemillError | None) -> None:
        """The upstream has ended."""
        if self._ended:
            return
        if error is None:
            last: bytes | None = None
            try:
                last = self._transform.finish()
            except GatemillError as failure:
                error = failure
            finally:
                if last is None and error is None:
                    self._break()
            if last:
                self._held.append(last)
        self._end(error)

    # --- Source of the door -----------------------------------------------------------------------

    @property
    def sent_events(self) -> int:
        """Events that have left, or wait to."""
        return self._events

    def attach(self, sink: Sink) -> None:
        """Deliver what is held, and all that follows."""
        self._sink = sink
        self._release()

    def pause(self) -> None:
        """The caller does not keep up."""
        self._source.pause()

    def resume(self) -> None:
        """The caller reads again."""
        self._source.resume()

    def abort(self) -> None:
        """The caller has gone: the upstream is told at once, and what came so far is billed."""
        self._sink = None
        self._held.clear()
        if self._ended:
            self._release()
            return
        self._source.abort()
        self._end(ClientGone("The caller hung up."))

    def fail(self, error: GatemillError) -> None:
        """The stream ends now with this failure, which the door hears after what has come."""
        if not self._ended:
            self._source.abort()
            self._end(error)

    # --- Inside ----------------------------------------------------------------------------------

    def _pass(self, out: bytes) -> None:
        # Without comments, by which some providers say that they still think.
        self._events += out.count(b"\n\n") - out.count(b"\n\n:") - out.startswith(b":")
        if self._sink is not None:
            self._sink.feed(out)
            return
        self._held.append(out)
        if not self._started.done() and (self._transform.started or self._is_full()):
            self._started.set_result(True)

    def _is_full(self) -> bool:
        held_bytes = sum(map(len, self._held))
        return self._events >= HOLD_EVENTS_MAX or held_bytes >= HOLD_BYTES_MAX

    def _break(self) -> None:
        """A fault of our own, which goes on to whoever logs it, ends the stream as a failure does."""
        self._source.abort()
        self._end(InternalError("This is our fault, not yours. Report the request id."))

    def _end(self, error: GatemillError | None) -> None:
        self._ended = True
        self._failure = error
        attempt = self._attempt
        attempt.ended_s = self._now()
        attempt.usage = self._transform.usage
        # What came before a failure that another target may follow was never sent.
        is_lost = error is not None and not self._started.done()
        attempt.events = 0 if is_lost else self._events
        if error is not None:
            attempt.status = error.status
            attempt.error = error.code
        if self._slot is not None:
            self._slot.end(error, attempt.ended_s)
        if not self._started.done():
            self._started.set_result(error is None)
            if error is not None:
                return
        self._release()

    def _verdict(self) -> GatemillError:
        # Not kept: its traceback will hold the frame that holds this relay.
        failure, self._failure = self._failure, None
        assert failure is not None
        return failure

    def _release(self) -> None:
        if self._ended and self._on_end is not None:
            settle, self._on_end = self._on_end, None
            tail = settle(self._failure)
            if self._failure is None:
                self._held.append(tail)
        sink = self._sink
        if sink is None:
            return
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            if data:  # an empty piece would end a chunked answer
                sink.feed(data)
        if self._ended:
            self._sink = None
            sink.close(self._failure)


def not_a_stream() -> UpstreamBadReply:
    """The failure of an upstream that answers a stream request with something else."""
    return UpstreamBadReply("The provider answered without a stream.")
