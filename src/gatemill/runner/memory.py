"""How much memory a model needs, before any of it is taken. Rule: pure, but for reading what is free.

Keys and values of one token take 2 x layers x heads x head size x bytes of a number. The library's own
guess takes whatever the machine has, so it is never asked.
"""

from __future__ import annotations

from mmap import PAGESIZE
from pathlib import Path

from msgspec import Struct

from gatemill.runner.engine import CannotLoad

PAGE_TOKENS = 64
PAGES_MIN = 4
BATCH_TOKENS = {"cpu": 256}  # tokens of one step, by device; on others BATCH_TOKENS_GPU
BATCH_TOKENS_GPU = 2048
_MIB = 1 << 20


class Shape(Struct, frozen=True):
    """What of a model's configuration decides its memory."""

    layers: int
    heads: int  # of keys and values
    head_size: int
    number_bytes: int  # of one number in the cache

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.heads * self.head_size * self.number_bytes


class Plan(Struct, frozen=True):
    """The cache, as the library is told to make it."""

    page_tokens: int
    pages: int
    batch_tokens: int  # prompts and answers together, in one step
    cache_bytes: int

    @property
    def tokens(self) -> int:
        """Most tokens of one answer with its prompt; a page is left for what the last step writes."""
        return self.page_tokens * (self.pages - 1)


def planned(shape: Shape, cache_bytes: int, wanted_tokens: int, device: str) -> Plan:
    """A cache of at most `cache_bytes`, and no larger than all answers together can fill.

    Raises CannotLoad when not even a few pages fit.
    """
    batch_tokens = BATCH_TOKENS.get(device, BATCH_TOKENS_GPU)
    # Beside its keys and values, each token of the cache is a column of the attention mask.
    page_bytes = PAGE_TOKENS * (shape.token_bytes + batch_tokens * shape.number_bytes)
    pages = min(cache_bytes // page_bytes, -(-wanted_tokens // PAGE_TOKENS) + 1)
    if pages < PAGES_MIN:
        raise CannotLoad(
            f"cache_bytes is {_mib(cache_bytes)}, and {PAGES_MIN * PAGE_TOKENS} tokens need"
            f" {_mib(PAGES_MIN * page_bytes)}. Raise cache_bytes."
        )
    return Plan(PAGE_TOKENS, pages, batch_tokens, pages * page_bytes)


def check(weights_bytes: int, cache_bytes: int, free_bytes: int | None) -> None:
    """Refuses what is larger than the free memory; None is not known. Raises CannotLoad."""
    needed = weights_bytes + cache_bytes
    if free_bytes is not None and needed > free_bytes:
        raise CannotLoad(
            f"the model needs {_mib(needed)} (weights {_mib(weights_bytes)}, cache"
            f" {_mib(cache_bytes)}), and {_mib(free_bytes)} are free. Lower cache_bytes, take a"
            " smaller model or a smaller dtype."
        )


def free_bytes() -> int | None:
    """Main memory that may be taken, within the limit of our control group; None when nobody says."""
    found = []
    try:
        said = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(said["MemAvailable"].split()[0]) * 1024)
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            found.append(int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError, KeyError):  # no Linux, or no control groups of the second version
        pass
    return min(found, default=None)


def resident_bytes() -> int:
    """Main memory that this process has in use; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGESIZE
    except (OSError, IndexError):
        return 0


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"
