"""The models of this process: loaded when they are needed, unloaded when they are not.

Rule: a request names a model; whether it is ready, loading or in a child process is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gatemill.core.errors import ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Timeouts
    from gatemill.core.clock import Clock
    from gatemill.core.model import Loaded, ModelSpec
    from gatemill.core.ports import Incoming, Outgoing, Source


class Runtime(Protocol):
    """A model that is loaded: it answers requests in OpenAI's words, or in those of wire/predict and wire/rerank."""

    memory_bytes: int
    """What it takes, as far as it knows."""

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer; a refusal is an answer with OpenAI's error object."""
        ...

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The events of a stream, or a refusal."""
        ...

    async def close(self) -> None:
        """Its memory is given back; called when no request is in flight."""
        ...


class Shelf:
    """All models of this process; satisfies ports.Transport for the provider `local`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._configured: Mapping[str, ModelSpec] = {}
        self._published: Mapping[str, ModelSpec] = {}

    def configure(self, specs: Mapping[str, ModelSpec]) -> None:
        """The models of the configuration file, in place of those before."""
        self._configured = dict(specs)

    def publish(self, specs: Mapping[str, ModelSpec]) -> None:
        """The versions of the registry that run here, in place of those before.

        One that is gone is unloaded when its last request is over.
        """
        self._published = dict(specs)

    def find(self, name: str) -> ModelSpec:
        """What is to be loaded under a name. Raises ModelNotFound."""
        found = self._configured.get(name) or self._published.get(name)
        if found is None:
            raise ModelNotFound(f"There is no local model `{name[:200]}`.", param="model")
        return found

    async def load(self, spec: ModelSpec) -> Loaded:
        """The model is ready and has answered a probe. Raises ModelLoadFailed, ExtraNotInstalled."""
        raise NotImplementedError

    async def unload(self, name: str) -> Loaded:
        """The model gives its memory back once its requests are over. Raises ModelNotFound."""
        raise NotImplementedError

    def states(self) -> list[Loaded]:
        """How all models stand, by name."""
        return []

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The answer of the model that the body names, which is loaded first if need be."""
        raise NotImplementedError

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The same, as a stream."""
        raise NotImplementedError

    async def close(self) -> None:
        """Every model is unloaded, and every child process has ended."""
