"""One stream for any number of listeners: each gets every byte, from the beginning.

Rule: nobody waits for anybody. A listener that stops reading is served from what is recorded; the
upstream is paused only when nobody reads. No more than `bytes_max` are held: a recording that grows
beyond admits nobody else and forgets what all have, and whoever falls further behind is given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import ClientGone, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.errors import GatemillError
    from gatemill.core.ports import Sink, Stream

    Settle = Callable[[GatemillError | None], bytes]
    # The whole stream when it ended well and fits, else None; and how it ended.
    Ended = Callable[[bytes | None, GatemillError | None], None]

PIECE_BYTES_MAX = 64 << 10  # given to a listener at once, unless one event is larger


class Space:
    """The bytes of all recordings together."""

    __slots__ = ("bytes", "bytes_max", "given_up", "overflowed")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0  # written by Recording
        self.overflowed = 0  # recordings that grew too large
        self.given_up = 0  # listeners that fell too far behind


class Recording:
    """The sink of one stream, and what it has said so far."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_ended",
        "_first",
        "_leader",
        "_listeners",
        "_parts",
        "_paused",
        "_space",
        "_stream",
        "failure",
        "is_over",
        "is_settled",
        "is_whole",
    )

    def __init__(self, stream: Stream | None, bytes_max: int, space: Space, ended: Ended) -> None:
        """`ended` is called once, when nothing more will come. None as stream: `of` fills it."""
        self._stream = stream
        self._bytes_max = bytes_max
        self._space = space
        self._ended = ended
        self._parts: list[bytes] = []  # whole events
        self._first = 0  # number of the first part that is held
        self._bytes = 0  # held
        self._listeners: list[Listener] = []  # those still there
        self._leader: Listener | None = None
        self._paused = False  # the upstream is
        self.is_whole = True  # nothing was forgotten
        self.is_settled = False  # the upstream has said how it ended; its last bytes may follow
        self.is_over = False  # nothing more will come
        self.failure: GatemillError | None = None

    # --- Who listens --------------------------------------------------------------------------------

    @property
    def admits(self) -> bool:
        """Whether one more listener would get everything, and the stream has not failed."""
        return self.is_whole and self.failure is None and bool(self._listeners)

    def join(self, *, leads: bool = False) -> Listener:
        """One more listener. The one that leads settles with the upstream: it was asked for its call."""
        listener = Listener(self, leads=leads)
        self._listeners.append(listener)
        if leads:
            assert self._leader is None
            self._leader = listener
        return listener

    def begin(self) -> None:
        """The stream flows. Those who must not miss that it fails at once are listeners by now."""
        assert self._stream is not None
        self._stream.on_end(self._settled)
        self._stream.attach(self)

    # --- Sink of the upstream ----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Whole events."""
        if not data or self.is_over:
            return
        self._parts.append(data)
        self._bytes += len(data)
        self._space.bytes += len(data)
        if self.is_whole and (
            self._bytes > self._bytes_max or self._space.bytes > self._space.bytes_max
        ):
            self.is_whole = False
            self._space.overflowed += 1
        for listener in tuple(self._listeners):
            listener.push()
        if not self.is_whole:
            self._bound()

    def close(self, error: GatemillError | None) -> None:
        """The upstream has ended."""
        if self.is_over:
            return
        self.is_over = self.is_settled = True
        self.failure = error
        whole = b"".join(self._parts) if error is None and self.is_whole else None
        ended, self._ended = self._ended, _unheard  # it may hold this recording
        ended(whole, error)
        for listener in tuple(self._listeners):
            listener.push()
        self._free()

    def _settled(self, error: GatemillError | None) -> bytes:
        # The upstream's settlement is the leader's. Its last words go to the leader alone, who
        # gets them behind the bytes that are still to come.
        self.is_settled = True
        self.failure = error
        leader, self._leader = self._leader, None  # it holds this recording
        assert leader is not None
        leader.settle(error)
        return b""

    # --- For listeners --------------------------------------------------------------------------------

    def piece(self, at: int) -> tuple[bytes, int]:
        """The next bytes from part `at` on, and the part behind them; b"" when there are none yet."""
        index = at - self._first
        parts = self._parts
        if index >= len(parts):
            return b"", at
        end = index + 1
        size = len(parts[index])
        while end < len(parts) and size + len(parts[end]) <= PIECE_BYTES_MAX:
            size += len(parts[end])
            end += 1
        data = parts[index] if end == index + 1 else b"".join(parts[index:end])
        return data, self._first + end

    def has_all(self, at: int) -> bool:
        """Whether a listener at part `at` has everything, and nothing more will come."""
        return self.is_over and at - self._first >= len(self._parts)

    def reads(self) -> None:
        """Somebody reads again."""
        if not self.is_whole:
            self._bound()
        if self._paused and any(listener.is_ready for listener in self._listeners):
            self._paused = False
            assert self._stream is not None
            self._stream.resume()

    def left(self, listener: Listener, error: GatemillError | None) -> None:
        """A listener is gone. With the last one the upstream stops."""
        self._listeners.remove(listener)
        if self._listeners or self.is_over:
            self._free()
            return
        assert self._stream is not None
        assert error is not None
        if isinstance(error, ClientGone):
            self._stream.abort()
        else:
            self._stream.fail(error)
        self.close(self.failure or error)

    # --- Bounds ---------------------------------------------------------------------------------------

    def _bound(self) -> None:
        """Forgets what everybody has; gives up the slowest, or pauses, when that is not enough."""
        self._trim()
        while self._bytes > self._bytes_max and not self.is_over:
            if not any(listener.is_ready for listener in self._listeners):
                if not self._paused:
                    self._paused = True
                    assert self._stream is not None
                    self._stream.pause()
                return
            self._space.given_up += 1
            slowest = min(self._listeners, key=_position)
            slowest.fail(Overloaded("You read this stream too slowly. Read faster, or ask again."))
            self._trim()

    def _trim(self) -> None:
        lowest = min((listener.at for listener in self._listeners), default=self._first)
        gone = self._parts[: lowest - self._first]
        if gone:
            del self._parts[: len(gone)]
            self._first = lowest
            self._forget(sum(map(len, gone)))

    def _free(self) -> None:
        if self.is_over and not self._listeners:
            self._parts.clear()
            self._forget(self._bytes)

    def _forget(self, size: int) -> None:
        self._bytes -= size
        self._space.bytes -= size


class Listener:
    """One caller's share of a recording; satisfies ports.Stream."""

    __slots__ = (
        "_end",
        "_events",
        "_gone",
        "_leads",
        "_on_end",
        "_paused",
        "_pushing",
        "_recording",
        "_sink",
        "_tail",
        "at",
    )

    def __init__(self, recording: Recording, *, leads: bool) -> None:
        self._recording = recording
        self._leads = leads
        self._sink: Sink | None = None
        self._on_end: Settle | None = None  # cleared once called
        self._tail = b""
        self._events = 0
        self._paused = False
        self._pushing = False
        self._gone = False
        self._end: GatemillError | None = None  # why it is gone
        self.at = 0  # number of the next part

    @property
    def sent_events(self) -> int:
        """Events that have left."""
        return self._events

    @property
    def is_ready(self) -> bool:
        """It takes what comes."""
        return self._sink is not None and not self._paused

    def on_end(self, settle: Settle) -> None:
        """`settle` is called once: for the leader when the upstream ends, for others with their own."""
        self._on_end = settle
        recording = self._recording
        if self._leads and recording.is_settled:
            self.settle(recording.failure)
        elif self._gone and not self._leads:
            self.settle(self._end)

    def attach(self, sink: Sink) -> None:
        """Everything so far, then what follows; at once the end for one that has left."""
        if self._gone:
            sink.close(self._end)
            return
        self._sink = sink
        self.push()
        self._recording.reads()

    def pause(self) -> None:
        """Nothing more until `resume`; others go on."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            self.push()
            self._recording.reads()

    def abort(self) -> None:
        """The caller has gone."""
        self._leave(ClientGone("The caller hung up."))

    def fail(self, error: GatemillError) -> None:
        """End now with this failure, which the sink hears."""
        sink = self._sink
        if self._leave(error) and sink is not None:
            sink.close(error)

    def push(self) -> None:
        """The sink has got all it takes, and its end if there is nothing more."""
        if self._pushing:
            return
        self._pushing = True
        while self.is_ready:
            data, at = self._recording.piece(self.at)
            if not data:
                break
            self.at = at
            self._events += data.count(b"\n\n")
            assert self._sink is not None
            self._sink.feed(data)
        self._pushing = False
        if self._sink is not None and self._recording.has_all(self.at):
            self._finish(self._recording.failure)

    def settle(self, error: GatemillError | None) -> None:
        """The call is settled, once."""
        settle, self._on_end = self._on_end, None
        if settle is not None:
            self._tail = settle(error)

    def _finish(self, error: GatemillError | None) -> None:
        sink, self._sink = self._sink, None
        assert sink is not None
        self._gone = True
        self._end = error
        self.settle(error)
        if error is None and self._tail:
            sink.feed(self._tail)
        self._recording.left(self, error)
        sink.close(error)

    def _leave(self, error: GatemillError) -> bool:
        if self._gone:
            return False
        self._gone = True
        self._end = error
        self._sink = None
        if not self._leads:
            self.settle(error)
        self._recording.left(self, error)
        return True


def _position(listener: Listener) -> int:
    return listener.at


def _unheard(whole: bytes | None, error: GatemillError | None) -> None:
    """Nobody wants to know how a replay ends."""


def replay(events: bytes) -> Listener:
    """A stream that says again what was recorded, in pieces of whole events."""
    recording = Recording(None, len(events), Space(len(events)), _unheard)
    listener = recording.join()
    at = 0
    while at < len(events):
        cut = events.rfind(b"\n\n", at, at + PIECE_BYTES_MAX)
        if cut < 0:
            cut = events.find(b"\n\n", at)
        end = len(events) if cut < 0 else cut + 2
        recording.feed(events[at:end])
        at = end
    recording.close(None)
    return listener
