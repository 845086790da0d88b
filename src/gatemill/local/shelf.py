"""The models of this process: loaded when they are needed, unloaded when they are not.

Rule: a request names a model; whether it is ready, loading or in a child process is decided here.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.call import Timeouts
from gatemill.core.errors import (
    GatemillError,
    InternalError,
    InvalidValue,
    ModelLoadFailed,
    ModelNotFound,
    Overloaded,
    UpstreamTimeout,
)
from gatemill.core.model import ENGINES
from gatemill.core.ports import Incoming
from gatemill.core.tasks import spawn
from gatemill.local.asking import vectors_of
from gatemill.local.counts import Counts
from gatemill.local.manifest import digest
from gatemill.local.parts import Runtime, Tools
from gatemill.local.room import make_room
from gatemill.local.slot import Held, Slot
from gatemill.local.sources import Sources
from gatemill.local.trial import try_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.model import Loaded, ModelSpec
    from gatemill.core.ports import Outgoing, Source, Transport
    from gatemill.local.parts import Loader

__all__ = ["Runtime", "Serving", "Shelf"]

TIDY_S = 5.0  # between two looks for idle models
UNPUBLISHED_TTL_S = 600.0  # of a model that was loaded and has no name
LOADING_RETRY_S = 5.0  # what a caller is told who did not want to wait any longer
_PATIENCE = Timeouts(total_s=60.0)  # with another model that one of ours asks


class Serving(Struct, frozen=True):
    """What all local models share; see docs/settings.md, section serving."""

    data_dir: Path = Path("data")
    memory_bytes: int = 4_294_967_296
    workers: int = 1
    source_bytes: int = 53_687_091_200
    hub_endpoint: str = ""


class Shelf:
    """All models of this process; satisfies ports.Transport for the provider `local`."""

    def __init__(self, clock: Clock, serving: Serving | None = None) -> None:
        self._clock = clock
        self._serving = serving or Serving()
        self._configured: Mapping[str, ModelSpec] = {}
        self._published: Mapping[str, ModelSpec] = {}
        self._slots: dict[str, Slot] = {}  # one for each model that was asked for, by name
        self._leaving: set[Slot] = set()  # their last requests are under way
        self._transports: Mapping[str, Transport] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # unloading, preloading; ended by close
        self.first: list[asyncio.Task[None]] | None = None  # what is preloaded at the start
        self._tidier: asyncio.Task[None] | None = None
        self._pools: list[ThreadPoolExecutor] = []
        self._tools: Tools | None = None  # made for the first model: no thread before
        self._is_closing = False  # nothing is loaded any more
        self.counts = Counts()

    # --- What there is ---------------------------------------------------------------------------

    def reach(self, transports: Mapping[str, Transport]) -> None:
        """Where models find other models: all providers of the configuration."""
        self._transports = transports

    def configure(self, specs: Mapping[str, ModelSpec]) -> None:
        """The models of the configuration file, in place of those before.

        One that is gone or different is unloaded when its last request is over.
        """
        before, self._configured = self._configured, dict(specs)
        self._retire(before)

    def publish(self, specs: Mapping[str, ModelSpec]) -> None:
        """The versions of the registry that run here, in place of those before, as above."""
        before, self._published = self._published, dict(specs)
        self._retire(before)

    def find(self, name: str) -> ModelSpec:
        """What is to be loaded under a name. Raises ModelNotFound."""
        found = self._configured.get(name) or self._published.get(name)
        if found is None:
            raise ModelNotFound(f"There is no local model `{name[:200]}`.", param="model")
        return found

    def states(self) -> list[Loaded]:
        """How all models stand, by name."""
        found = {slot.spec.name: slot.standing() for slot in self._leaving}
        for name, spec in {**self._published, **self._configured}.items():
            found[name] = Slot(spec).standing() if name not in found else found[name]
        found |= {name: slot.standing() for name, slot in self._slots.items()}
        return [found[name] for name in sorted(found)]

    @property
    def memory_bytes(self) -> int:
        """What all models take together, as far as we know."""
        return sum(slot.memory_bytes for slot in self._all())

    # --- Loading and unloading -------------------------------------------------------------------

    async def load(self, spec: ModelSpec) -> Loaded:
        """The model is ready and has answered a probe. Raises ModelLoadFailed, ExtraNotInstalled.

        One that was in use before stays, whatever a probe says: it may just be busy.
        """
        slot = self._slots.get(spec.name)
        if slot is not None and slot.spec != spec:
            self._let_go(slot)
            slot = None
        if slot is None:
            slot = self._slots[spec.name] = Slot(spec)
        slot.forgive()
        known = slot.runtime
        with slot:
            if slot.runtime is None:
                await asyncio.wait((self._loading(slot),))
            try:
                await try_out(spec, slot.loaded(), self._clock.monotonic_s())
            except GatemillError as error:
                if slot.runtime is not known:  # else it was in use, or loading has failed
                    self._unfit(slot, error)
                raise
        return slot.standing()

    async def examine(self, spec: ModelSpec) -> str:
        """SHA-256 of the manifest of a source that is fetched and checked as for loading.

        Raises ModelLoadFailed, ExtraNotInstalled.
        """
        tools = self._toolbox()
        folder = await tools.folder(spec)
        return await asyncio.get_running_loop().run_in_executor(tools.files, digest, folder)

    async def unload(self, name: str) -> Loaded:
        """The model gives its memory back once its requests are over. Raises ModelNotFound."""
        slot = self._slots.get(name)
        if slot is None:
            return Slot(self.find(name)).standing()
        await asyncio.shield(self._let_go(slot))
        return slot.standing()

    def preload(self, names: Iterable[str]) -> None:
        """These models are loaded in the background; a failure shows in their states."""
        tasks = [self._run(self._preload(self.find(name))) for name in names]
        self.first = tasks if self.first is None else self.first

    async def tidy(self) -> None:
        """Models that nobody has asked for lately are unloaded."""
        now_s = self._clock.monotonic_s()
        idle = [slot for slot in self._slots.values() if slot.is_idle(now_s, self._ttl_s(slot))]
        self.counts.idle_unloads += len(idle)
        await asyncio.gather(*(self._let_go(slot) for slot in idle))

    async def close(self) -> None:
        """Every model is unloaded, and every child process has ended."""
        self._is_closing = True
        if self._tidier is not None:
            self._tidier.cancel()
        for slot in self._all():
            slot.stop()
        for slot in list(self._slots.values()):
            self._let_go(slot)
        tasks = [*self._tasks, *([] if self._tidier is None else [self._tidier])]
        if tasks:
            await asyncio.wait(tasks)
        self._tidier = self._tools = None
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._pools.clear()

    # --- Requests --------------------------------------------------------------------------------

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The answer of the model that the body names, which is loaded first if need be."""
        with self._slot(out) as slot:
            runtime = slot.runtime or await self._patiently(slot, timeouts, deadline_s)
            return await runtime.exchange(out, timeouts, deadline_s)

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The same, as a stream."""
        with self._slot(out) as slot:
            runtime = slot.runtime or await self._patiently(slot, timeouts, deadline_s)
            answer = await runtime.open(out, timeouts, deadline_s)
            return answer if isinstance(answer, Incoming) else Held(answer, slot)

    # --- Inside ----------------------------------------------------------------------------------

    def _all(self) -> list[Slot]:
        return [*self._slots.values(), *self._leaving]

    def _slot(self, out: Outgoing) -> Slot:
        name = _named(out.body)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = Slot(self.find(name))
        slot.touch(self._clock.unix_s(), self._clock.monotonic_s())
        return slot

    async def _patiently(self, slot: Slot, timeouts: Timeouts, deadline_s: float) -> Runtime:
        """The runtime, unless loading takes longer than a request waits."""
        try:
            return await self._awaited(slot, timeouts, deadline_s)
        except ModelLoadFailed as error:  # its words may name files and what a child has printed
            raise ModelLoadFailed(
                f"The model `{slot.spec.name}` cannot be loaded. GET /v1/runners tells an admin why.",
                param="model",
                retry_after_s=error.retry_after_s,
            ) from error

    async def _awaited(self, slot: Slot, timeouts: Timeouts, deadline_s: float) -> Runtime:
        task = self._loading(slot)
        left_s = deadline_s - self._clock.monotonic_s()
        patience_s = max(min(timeouts.first_token_s, left_s), 0.0)
        await asyncio.wait((task,), timeout=patience_s)
        if task.done():
            return slot.loaded()
        if patience_s < left_s:
            raise Overloaded(
                f"The model `{slot.spec.name}` is still being loaded. Retry later.",
                retry_after_s=LOADING_RETRY_S,
            )
        raise UpstreamTimeout(f"The model `{slot.spec.name}` is still being loaded.")

    def _loading(self, slot: Slot) -> asyncio.Task[None]:
        """The one task that loads it; it fails never. Raises what loading failed with lately."""
        slot.check(self._clock.monotonic_s())
        if self._is_closing:
            raise ModelLoadFailed(f"The model `{slot.spec.name}` is not loaded: this process ends.")
        if slot.loading is None:
            slot.loading = spawn(self._load(slot), "model")
        return slot.loading

    async def _load(self, slot: Slot) -> None:
        spec, now = slot.spec, self._clock.monotonic_s
        began_s = now()
        failure: GatemillError = InternalError(f"Loading `{spec.name}` failed. See the log.")
        try:
            tools = self._toolbox()
            loop = asyncio.get_running_loop()
            loader = await loop.run_in_executor(tools.files, _loader, spec.engine)
            runtime = await loader.load(spec, tools)
            slot.ready(runtime, self._clock.unix_s(), now())
            self.counts.loaded(spec.engine, now() - began_s)
        except GatemillError as error:
            failure = error
        finally:  # also after a fault of our own, which the task's end logs
            slot.loading = None
            if slot.runtime is None:
                self.counts.failures += 1
                slot.fail(failure, now())
        if self._tidier is None:
            self._tidier = spawn(self._tidying(), "shelf")

    async def _preload(self, spec: ModelSpec) -> None:
        slot = self._slots.setdefault(spec.name, Slot(spec))
        if self._is_closing or slot.runtime is not None:
            return
        if not slot.is_resting(self._clock.monotonic_s()):
            with slot:
                await asyncio.wait((self._loading(slot),))

    def _retire(self, before: Mapping[str, ModelSpec]) -> None:
        for name in before:
            slot = self._slots.get(name)
            now = self._configured.get(name) or self._published.get(name)
            if slot is not None and now != slot.spec:
                self._let_go(slot)

    def _unfit(self, slot: Slot, error: GatemillError) -> None:
        """What has just been loaded answers nobody: it leaves, and its place says why."""
        is_found = self._slots.get(slot.spec.name) is slot
        self._let_go(slot)
        self.counts.failures += 1
        if is_found:  # else another of its name stands there by now
            failed = self._slots[slot.spec.name] = Slot(slot.spec)
            failed.fail(error, self._clock.monotonic_s())

    def _let_go(self, slot: Slot) -> asyncio.Task[None]:
        """It is found no longer, and unloaded when its last request is over."""
        if self._slots.get(slot.spec.name) is slot:  # else another of its name came meanwhile
            del self._slots[slot.spec.name]
        self._leaving.add(slot)
        return self._run(self._unload(slot))

    async def _unload(self, slot: Slot) -> None:
        try:
            await slot.leave()
        finally:
            self._leaving.discard(slot)

    async def _reserve(self, spec: ModelSpec, size_bytes: int) -> None:
        slot = self._slots.get(spec.name)
        others = [other for other in self._all() if other is not slot]
        idle = make_room(spec.name, size_bytes, others, self._serving.memory_bytes)
        if slot is not None:
            slot.reserve(size_bytes)
        self.counts.evictions += len(idle)
        await asyncio.gather(*(self._let_go(other) for other in idle))

    async def _ask(self, provider: str, out: Outgoing) -> Incoming:
        transport = self._transports.get(provider)
        if transport is None:
            raise ModelNotFound(f"There is no provider `{provider[:200]}`.", param="model")
        deadline_s = self._clock.monotonic_s() + _PATIENCE.total_s
        return await transport.exchange(out, _PATIENCE, deadline_s)

    async def _embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return await vectors_of(self._ask, model, texts)

    def _toolbox(self) -> Tools:
        if self._tools is None:
            serving = self._serving
            compute = ThreadPoolExecutor(serving.workers, "gatemill-model")
            files = ThreadPoolExecutor(2, "gatemill-files")
            self._pools += (compute, files)
            sources = Sources(
                serving.data_dir / "models", serving.source_bytes, serving.hub_endpoint
            )
            self._tools = Tools(
                clock=self._clock,
                data_dir=serving.data_dir,
                workers=serving.workers,
                compute=compute,
                files=files,
                folder=lambda spec: asyncio.get_running_loop().run_in_executor(
                    files, sources.folder, spec
                ),
                reserve=self._reserve,
                ask=self._ask,
                embed=self._embed,
                batches=self.counts.batches,
            )
        return self._tools

    def _ttl_s(self, slot: Slot) -> float:
        name = slot.spec.name
        if name in self._configured or name in self._published:
            return float(slot.spec.options.get("idle_ttl_s") or 0.0)
        return UNPUBLISHED_TTL_S

    async def _tidying(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            await self.tidy()

    def _run(self, work: Any) -> asyncio.Task[None]:
        task = spawn(work, "shelf")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Head(Struct):
    model: str


_head = msgspec.json.Decoder(_Head).decode


def _named(body: bytes) -> str:
    """The model that a body names; the gateway has checked that it does."""
    try:
        return _head(body).model
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise InvalidValue("`model`: name the model.", param="model") from None


def _loader(engine: str) -> Loader:
    if engine not in ENGINES:
        raise ModelLoadFailed(
            f"There is no engine `{engine[:50]}`; there are {', '.join(ENGINES)}."
        )
    found: Any = import_module(f"gatemill.local.runtimes.{engine}")
    loader: Loader = found
    return loader
