"""What the app and its two engines know of each other. Rule: words, and the bound on what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.runner.asked import Asked, Sampling


class CannotLoad(Exception):
    """The model cannot be served; the message says why."""


class Settings(Struct, frozen=True):
    """Options of a runner; `python -m gatemill.runner --help` says the same."""

    model: str  # a folder with config.json, tokenizer.json and *.safetensors
    name: str = "model"  # what callers call it
    device: str = "auto"  # "cpu", "cuda", "cuda:1", "mps"; "auto" takes what is there
    dtype: str = "auto"  # "float32", "bfloat16", "float16"; "auto" is the weights' own
    threads: int = 1  # of torch on the CPU; more made it slower beside other work
    context_tokens: int = 0  # most tokens of prompt and answer; 0 is what the model can take
    output_default: int = 1024  # tokens of an answer whose request says nothing
    output_max: int = 0  # most tokens of an answer; 0 is what the context holds
    concurrency_max: int = 16  # answers that are generated together
    waiting_max: int = 64  # answers that wait for it; more are refused with 429
    cache_bytes: int = 256 << 20  # keys and values of all answers under way
    batching: bool = True  # False generates one answer after the other


class Work(Struct, frozen=True):
    """One answer to be generated."""

    prompt: tuple[int, ...]  # token ids
    output_max: int
    sampling: Sampling


class News(Struct, frozen=True):
    """What has become of an answer since the last time."""

    ids: Sequence[int] = ()  # further token ids, without the one that ends the answer
    counted: int = 0  # tokens generated since, that one included
    finish: str = ""  # "stop", "length"; "" while it goes on
    error: str = ""  # why there will be no more


class Engine(Protocol):
    """Generates answers. All calls are made on the event loop, and so are those to `hear`."""

    KIND: str
    """"batched" or "fifo"."""

    @property
    def lives(self) -> bool:
        """It can generate; once False, it stays so."""
        ...

    @property
    def under_way(self) -> int:
        """Answers submitted and not over."""
        ...

    @property
    def scheduled(self) -> int:
        """Answers that it still holds, cancelled ones included: 0 soon after the last one is over."""
        ...

    @property
    def seeds(self) -> bool:
        """It honours a seed."""
        ...

    def submit(self, work: Work, hear: Callable[[News], None]) -> int:
        """Generation begins when it is its turn; the number cancels it."""
        ...

    def cancel(self, number: int) -> None:
        """Nothing is generated any more, and `hear` is not called. Too late is no error."""
        ...

    def close(self) -> None:
        """Its thread ends."""
        ...


class Model(Protocol):
    """A model and its tokenizer, as the application uses them."""

    @property
    def context_tokens(self) -> int:
        """Most tokens of a prompt and its answer."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, without special ones."""
        ...

    def prompts(self, asked: Asked) -> list[tuple[int, ...]]:
        """Token ids of each prompt; called on a thread. Raises GatemillErrors for the caller."""
        ...


class Site(Struct, frozen=True):
    """A model and what generates with it."""

    model: Model
    engine: Engine
    cache_bytes: int  # that were taken in advance
    weights_bytes: int
    memory_bytes: Callable[[], int]  # of this process and of its device together, now
