"""The machine: its cores, its tools, its description. Rule: whoever reads a figure can see where from."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from pathlib import Path

from msgspec import Struct

from bench.failures import BenchStopped

# Debian's package of each tool that a run cannot do without.
TOOLS = {"nginx": "nginx-light", "h2load": "nghttp2-client"}


class Cores(Struct, frozen=True):
    """Who runs where."""

    gateway: tuple[int, ...]  # one core: the gateway under test
    load: tuple[int, ...]  # all others: load, upstream and this program


class Machine(Struct, frozen=True):
    """For the head of the table."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str


def cores(usable: set[int]) -> Cores:
    """The last usable core for the gateway, the others for the rest; one alone is shared."""
    *load, gateway = sorted(usable)
    return Cores(gateway=(gateway,), load=tuple(load) or (gateway,))


def describe() -> Machine:
    """This machine."""
    return Machine(
        processor=processor_name(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def processor_name(cpuinfo: str) -> str:
    """The model of the first core; the architecture where the kernel does not say."""
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def require_tools(names: set[str]) -> None:
    """The tools are on PATH; BenchStopped with their packages and code 2 otherwise."""
    missing = sorted(name for name in names if shutil.which(name) is None)
    if missing:
        packages = " ".join(TOOLS[name] for name in missing)
        message = f"not installed: {', '.join(missing)}; on Debian: apt-get install {packages}"
        raise BenchStopped(message, code=2)


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
