"""One model's place on the shelf: how it stands, and who is using it. Rule: nothing here loads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError, InternalError
from gatemill.core.model import Loaded

if TYPE_CHECKING:
    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Sink, Source
    from gatemill.local.parts import Runtime

AGAIN_S = 1.0  # after a first failure; it doubles with each
AGAIN_MAX_S = 60.0


class Slot:
    """Written by the shelf. `with slot:` keeps the model loaded until the end of the block."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.runtime: Runtime | None = None
        self.loading: asyncio.Task[None] | None = None
        self.used_at: float | None = None  # Unix time of the last request
        self._used_s = 0.0  # monotonic, of the last request's beginning or end of loading
        self._loaded_at: float | None = None
        self._reserved_bytes = 0  # while it is loaded, and where the runtime does not know better
        self._error: GatemillError | None = None
        self._failures = 0  # in a row
        self._again_s = 0.0  # monotonic; not before is it loaded anew
        self._in_flight = 0
        self._is_leaving = False
        self._idle = asyncio.Event()
        self._idle.set()

    # --- Who is using it -------------------------------------------------------------------------

    def __enter__(self) -> Slot:
        self._in_flight += 1
        self._idle.clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def touch(self, unix_s: float, now_s: float) -> None:
        """A request has come for it."""
        self.used_at, self._used_s = unix_s, now_s

    def is_idle(self, now_s: float, ttl_s: float) -> bool:
        """Nobody has used it for so long; 0 is for ever."""
        return self.is_evictable and ttl_s > 0 and now_s - self._used_s >= ttl_s

    @property
    def is_evictable(self) -> bool:
        """It is loaded, and nobody is using it."""
        return self.runtime is not None and not self._in_flight and not self._is_leaving

    @property
    def used_s(self) -> float:
        """Monotonic time of its last use."""
        return self._used_s

    # --- What becomes of it ----------------------------------------------------------------------

    def reserve(self, size_bytes: int) -> None:
        """So much memory is set aside for it."""
        self._reserved_bytes = size_bytes

    def ready(self, runtime: Runtime, unix_s: float, now_s: float) -> None:
        """It is loaded."""
        self.runtime, self._loaded_at, self._used_s = runtime, unix_s, now_s
        self.forgive()

    def fail(self, error: GatemillError, now_s: float) -> None:
        """It could not be loaded, and is left alone for a moment."""
        self._error = error
        self._reserved_bytes = 0
        self._again_s = now_s + min(AGAIN_S * 2**self._failures, AGAIN_MAX_S)
        self._failures += 1

    def forgive(self) -> None:
        """Whatever it failed with, it may be loaded now."""
        self._error, self._failures, self._again_s = None, 0, 0.0

    def is_resting(self, now_s: float) -> bool:
        """It failed lately, and is left alone."""
        return self._error is not None and now_s < self._again_s

    def check(self, now_s: float) -> None:
        """Raises what it failed with lately."""
        if self.is_resting(now_s):
            raise self.failure(self._again_s - now_s)

    def loaded(self) -> Runtime:
        """The runtime. Raises what it failed with."""
        if self.runtime is None:
            raise self.failure(None)
        return self.runtime

    def failure(self, retry_after_s: float | None) -> GatemillError:
        """Another one of the failure it had: an exception must not be raised twice."""
        error = self._error or InternalError("The model could not be loaded. See the log.")
        return type(error)(error.message, param=error.param, retry_after_s=retry_after_s)

    async def leave(self) -> None:
        """Its last request is over, and its memory is given back."""
        self._is_leaving = True
        if self.loading is not None:
            await asyncio.wait((self.loading,))
        await self._idle.wait()
        runtime, self.runtime = self.runtime, None
        if runtime is not None:
            await runtime.close()
        self._reserved_bytes = 0
        self._is_leaving = False

    def stop(self) -> None:
        """It leaves now, whoever is using it."""
        if self.loading is not None:
            self.loading.cancel()
        self._idle.set()

    # --- How it stands ---------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """In a word; see core.model.Loaded."""
        if self._is_leaving:
            return "unloading"
        if self.runtime is not None:
            return "ready"
        if self.loading is not None:
            return "loading"
        return "unloaded" if self._error is None else "failed"

    @property
    def memory_bytes(self) -> int:
        """What it takes, or what is set aside for it."""
        known = self.runtime.memory_bytes if self.runtime is not None else 0
        return known or self._reserved_bytes

    def standing(self) -> Loaded:
        """All that is known of it."""
        runtime, spec = self.runtime, self.spec
        return Loaded(
            name=spec.name,
            task=spec.task,
            engine=spec.engine,
            state=self.state,
            memory_bytes=self.memory_bytes,
            error="" if self._error is None else self._error.message,
            loaded_at=None if runtime is None else self._loaded_at,
            used_at=self.used_at,
            in_flight=self._in_flight,
            waiting=0 if runtime is None else runtime.waiting,
            pid=None if runtime is None else runtime.pid,
            restarts=0 if runtime is None else runtime.restarts,
        )


class Held:
    """A stream that keeps its model loaded until it ends; satisfies ports.Source and, inside, ports.Sink."""

    def __init__(self, source: Source, slot: Slot) -> None:
        self._source = source
        self._slot: Slot | None = slot  # None once it is given back
        self._sink: Sink | None = None
        slot.__enter__()

    def attach(self, sink: Sink) -> None:
        """Deliver to `sink`."""
        self._sink = sink
        self._source.attach(self)

    def pause(self) -> None:
        """Stop reading."""
        self._source.pause()

    def resume(self) -> None:
        """Read again."""
        self._source.resume()

    def abort(self) -> None:
        """Drop the stream; its model may leave."""
        self._source.abort()
        self._release()

    def feed(self, data: bytes) -> None:
        """Bytes on their way to the sink."""
        assert self._sink is not None
        self._sink.feed(data)

    def close(self, error: GatemillError | None) -> None:
        """The end, on its way to the sink."""
        self._release()
        assert self._sink is not None
        self._sink.close(error)

    def _release(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.__exit__()
