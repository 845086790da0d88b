"""Requests and their answers, kept for replay where the configuration asks for it.

Rule: nobody waits, and no byte of an answer changes or comes later. What is too large, or has no room, is
not kept, and counted. A recording is whole, or says by its error that it is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import ClientGone
from gatemill.gateway.routes import fits
from gatemill.ledger.recordings import Recording
from gatemill.policy import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.core.call import Call, Reply
    from gatemill.core.errors import GatemillError
    from gatemill.core.later import Later
    from gatemill.core.ports import Sink, Stream

OPEN_BYTES_MAX = 33_554_432  # of streams that are being recorded, together
_OURS_TO_BLAME = "internal_error"
_LAST_WORDS = b": gatemill "  # a comment behind the answer; inside it no line begins so


class Options(Struct, frozen=True):
    """Options; see docs/settings.md, section recordings."""

    share: float
    models: tuple[str, ...]
    operations: frozenset[str]
    body_bytes_max: int


class Recorder:
    """One for a configuration that records. Satisfies parts.Recorder."""

    def __init__(self, later: Later[Recording], options: Options) -> None:
        self.taken = 0
        self.too_large = 0
        self.open_bytes = 0  # of streams under way; written by Tape
        self.options = options
        self.later = later

    def take(self, call: Call, reply: Reply | None, error: GatemillError | None) -> None:
        """The call was answered (a stream has just begun), or has failed. Never waits, never raises."""
        options = self.options
        if call.operation not in options.operations or call.job_id:
            return
        if choose.unit(f"{call.id}\0record") >= options.share:
            return
        if not any(fits(call.head.model, pattern) for pattern in options.models):
            return
        asked, filled = call.asked or call.body, call.body if call.asked else None
        if len(asked) + len(filled or b"") > options.body_bytes_max:
            self.too_large += 1
            return
        taken = _Taken(call, asked, filled)
        if reply is not None and reply.stream is not None:
            reply.stream = Tape(reply.stream, self, taken)
        else:
            self.keep(taken, b"" if reply is None else reply.body, error, failed=reply is None)

    async def flushed(self) -> None:
        """See parts.Recorder."""
        await self.later.flushed()

    def keep(
        self, taken: _Taken, answer: bytes, error: GatemillError | None, *, failed: bool
    ) -> None:
        """The recording is written soon."""
        if len(answer) > self.options.body_bytes_max:
            self.too_large += 1
            return
        call = taken.call
        assert call.key is not None
        if call.hidden:
            answer = _hidden(answer, call.hidden)
        size = len(taken.asked) + len(taken.filled or b"") + len(answer)
        code = error.code if error is not None else _OURS_TO_BLAME if failed else ""
        made = Recording(
            request_id=call.id,
            at=call.arrived_at,
            key_id=call.key.id,
            operation=call.operation,
            model=call.head.model,
            streamed=call.head.stream,
            status=200 if not code else 500 if error is None else error.status,
            error=code,
            cache=call.cache if call.cache != "miss" else "",
            size=size,
            body=taken.asked,
            filled=taken.filled,
            answer=answer,
        )
        self.taken += self.later.add(made, size)


def _hidden(answer: bytes, hidden: Mapping[str, str]) -> bytes:
    """The answer with placeholders where they were before texts were put back."""
    for placeholder, text in hidden.items():
        written = msgspec.json.encode(text)[1:-1]
        answer = answer.replace(written, placeholder.encode())
        # Inside a tool's arguments it is JSON once more.
        answer = answer.replace(msgspec.json.encode(written.decode())[1:-1], placeholder.encode())
    return answer


class _Taken(Struct):
    """A call, with what its settlement takes away from it."""

    call: Call
    asked: bytes
    filled: bytes | None


class Tape:
    """A stream that is listened to on its way. Satisfies ports.Stream; it is the sink as well."""

    __slots__ = ("_bytes", "_parts", "_recorder", "_settle", "_sink", "_stream", "_taken")

    def __init__(self, stream: Stream, recorder: Recorder, taken: _Taken) -> None:
        self._stream = stream
        self._recorder = recorder
        self._taken: _Taken | None = taken  # None: over, or given up
        self._parts: list[bytes] = []
        self._bytes = 0
        self._sink: Sink | None = None
        self._settle: Callable[[GatemillError | None], bytes] | None = None

    # --- As the stream ------------------------------------------------------------------------------

    @property
    def sent_events(self) -> int:
        """Events that have left so far."""
        return self._stream.sent_events

    def on_end(self, settle: Callable[[GatemillError | None], bytes]) -> None:
        """See ports.Stream."""
        self._settle = settle
        self._stream.on_end(self._settled)

    def attach(self, sink: Sink) -> None:
        """See ports.Source."""
        self._sink = sink
        self._stream.attach(self)

    def pause(self) -> None:
        """See ports.Source."""
        self._stream.pause()

    def resume(self) -> None:
        """See ports.Source."""
        self._stream.resume()

    def abort(self) -> None:
        """See ports.Source."""
        self._stream.abort()
        self._over(ClientGone("The caller hung up."))

    def fail(self, error: GatemillError) -> None:
        """See ports.Stream."""
        self._stream.fail(error)
        self._over(error)

    # --- As its sink --------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """The next bytes go on at once."""
        assert self._sink is not None
        self._sink.feed(data)
        if self._taken is None:
            return
        recorder = self._recorder
        self._parts.append(data)
        self._bytes += len(data)
        recorder.open_bytes += len(data)
        if self._bytes > recorder.options.body_bytes_max or recorder.open_bytes > OPEN_BYTES_MAX:
            recorder.too_large += 1
            self._let_go()

    def close(self, error: GatemillError | None) -> None:
        """The end goes on at once."""
        assert self._sink is not None
        self._sink.close(error)
        self._over(error)

    # --- The end ------------------------------------------------------------------------------------

    def _settled(self, error: GatemillError | None) -> bytes:
        assert self._settle is not None
        last = self._settle(error)
        if error is not None and self._sink is None:  # nobody will hear of its end
            self._over(error)
        return last

    def _over(self, error: GatemillError | None) -> None:
        taken = self._taken
        if taken is None:
            return
        said = b"".join(self._parts)
        if b"\n\n" + _LAST_WORDS in said:
            said = said[: said.rindex(_LAST_WORDS)]
        self._let_go()
        self._recorder.keep(taken, said, error, failed=False)

    def _let_go(self) -> None:
        self._recorder.open_bytes -= self._bytes
        self._parts = []
        self._bytes = 0
        self._taken = None
