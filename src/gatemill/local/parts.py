"""What a shelf and its runtimes know of each other. Rule: words only; no engine is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from gatemill.core.call import Timeouts
    from gatemill.core.clock import Clock
    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Incoming, Outgoing, Source
    from gatemill.observe.metrics import Histogram


class Runtime(Protocol):
    """A model that is loaded: it answers requests in OpenAI's words, or in those of wire/predict and wire/rerank."""

    memory_bytes: int
    """What it takes, as far as it knows."""
    waiting: int
    """Inputs or requests that wait inside of it."""
    pid: int | None
    """Of its child process, where it has one."""
    restarts: int
    """How often its child process had to be started again."""

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The complete answer; a refusal is an answer with OpenAI's error object, or a GatemillError."""
        ...

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The events of a stream, or a refusal."""
        ...

    async def close(self) -> None:
        """Its memory is given back; called when no request is in flight."""
        ...


class Tools(Struct, frozen=True):
    """What a runtime is loaded with; `local/runtimes/ENGINE.py` has `async load(spec, tools)`."""

    clock: Clock
    data_dir: Path
    workers: int  # threads that compute
    compute: Executor  # those threads, shared by all models; nothing in them may wait for another
    files: Executor  # threads that read, hash and fetch
    # The model's source as a folder of this machine, checked. Raises ModelLoadFailed, ExtraNotInstalled.
    folder: Callable[[ModelSpec], Awaitable[Path]]
    # Room for so many bytes, for which idle models are unloaded. Raises ModelLoadFailed with numbers.
    reserve: Callable[[ModelSpec, int], Awaitable[None]]
    # Another model: provider of the configuration ("local", "builtin" ...), and a request to it.
    ask: Callable[[str, Outgoing], Awaitable[Incoming]]
    # Vectors of texts, by a model that runs here: "builtin/hash-512", "local/minilm". Raises its failures.
    embed: Callable[[str, Sequence[str]], Awaitable[list[list[float]]]]
    batches: Callable[[str], Histogram]  # sizes of batches, by the model's name


class Loader(Protocol):
    """A module of local/runtimes satisfies it."""

    async def load(self, spec: ModelSpec, tools: Tools) -> Runtime:
        """The model, ready. Raises ModelLoadFailed, ExtraNotInstalled."""
        ...
