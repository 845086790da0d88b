"""The machine: Python, open files, disk, rights of files. Rule: facts are read in `look`, judged in pure functions."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import stat
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.settings import Settings

FREE_BYTES_LOW, FREE_BYTES_NONE = 2 << 30, 256 << 20
FILES_MAX = 2000  # of the data folder that are looked at
_SPARE_FILES = 256  # descriptors beside those of callers
_GIB = 1 << 30
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Machine(Struct, frozen=True):
    """What was read."""

    python: str
    system: str
    loop: str  # of the server: uvloop and its version, or asyncio
    files_max: int  # descriptors that this process may have open; 0 is not known
    free_bytes: int | None  # where the data folder is, or would be
    open_to_others: tuple[str, ...]  # files of the data folder that others may read
    writable: bool  # the data folder, or the one that it would be made in


def look(data_dir: Path, config: Path | None) -> Machine:
    """The facts."""
    near = next(folder for folder in (data_dir, *data_dir.absolute().parents) if folder.exists())
    try:
        free: int | None = shutil.disk_usage(near).free
    except OSError:
        free = None
    return Machine(
        platform.python_version(),
        f"{platform.system()} {platform.machine()}",
        _loop(),
        _files_max(),
        free,
        tuple(_open_to_others(data_dir, config)),
        os.access(near, os.W_OK | os.X_OK),
    )


def has(package: str) -> bool:
    """Whether it can be imported."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def judged(machine: Machine, settings: Settings) -> Iterator[Finding]:
    """What there is to say about it."""
    yield Finding(
        OK,
        "gatemill",
        f"{VERSION} · python {machine.python} · {machine.loop} · {machine.system}",
    )
    yield from _files(machine, settings)
    yield from _disk(machine, settings)
    if machine.open_to_others:
        names = ", ".join(machine.open_to_others[:3])
        more = len(machine.open_to_others) - 3
        fix = f"chmod -R go= {settings.server.data_dir}"
        if any(
            name.endswith(".toml") and "/config/" not in name for name in machine.open_to_others
        ):
            fix += " and chmod 600 the configuration"
        text = f"others on this machine may read {names}{f' and {more} more' if more > 0 else ''}"
        yield Finding(FAILURE, "rights", text, fix)


def _files(machine: Machine, settings: Settings) -> Iterator[Finding]:
    wanted = 2 * settings.limits.requests_in_flight + _SPARE_FILES
    if machine.files_max == 0:
        return
    if machine.files_max < wanted:
        text = f"{machine.files_max}; {settings.limits.requests_in_flight} requests at once need {wanted}"
        fix = "ulimit -n 65536, or LimitNOFILE=65536 of the systemd unit"
        yield Finding(WARNING, "open files", text, fix)
    else:
        yield Finding(OK, "open files", f"{machine.files_max}")


def _disk(machine: Machine, settings: Settings) -> Iterator[Finding]:
    folder = settings.server.data_dir
    if not machine.writable:
        yield Finding(
            FAILURE, "data", f"{folder} cannot be written", "server.data_dir, or chown it"
        )
    if machine.free_bytes is None:
        yield Finding(WARNING, "disk", f"how much is free at {folder} cannot be seen")
        return
    text = f"{machine.free_bytes / _GIB:.1f} GiB free at {folder}"
    fix = "make room, or lower stores.usage_retention_days and files.keep_days"
    if machine.free_bytes < FREE_BYTES_NONE:
        yield Finding(FAILURE, "disk", text, fix)
    elif machine.free_bytes < FREE_BYTES_LOW:
        yield Finding(WARNING, "disk", text, fix)
    else:
        yield Finding(OK, "disk", text)


def _loop() -> str:
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def _files_max() -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 if soft == resource.RLIM_INFINITY else soft


def _open_to_others(data_dir: Path, config: Path | None) -> Iterator[str]:
    """The folder protects what is in it: only where others may enter it, its files are looked at."""
    if config is not None and _has_secret(config) and config.stat().st_mode & _OTHERS:
        yield str(config)
    if not data_dir.is_dir() or not data_dir.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return
    for number, path in enumerate(sorted(data_dir.rglob("*"))):
        if number >= FILES_MAX:
            return
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield str(path)


def _has_secret(config: Path) -> bool:
    """Whether a key is written in it."""
    text = config.read_text(encoding="utf-8", errors="replace")
    return any(
        "api_key" in line.partition("=")[0]
        and '"' in line
        and "${" not in line
        and "file:" not in line
        for line in text.splitlines()
        if not line.lstrip().startswith("#")
    )
