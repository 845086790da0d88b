"""Generation with transformers in a child of our own, `gatemill.runner`.

Rule: torch is imported by the child only; this process asks whether it is installed, no more.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import ExtraNotInstalled, ModelLoadFailed
from gatemill.local.child import Child, Facts
from gatemill.local.options import LOG_BYTES, Options
from gatemill.local.probing import Address
from gatemill.local.process import Command
from gatemill.local.sharing import Place

if TYPE_CHECKING:
    from gatemill.core.model import ModelSpec
    from gatemill.local.parts import Runtime, Tools

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 10.0
CACHE_BYTES = 256 << 20
_WHOLE = (
    *("context_tokens", "output_default", "output_max"),
    *("concurrency_max", "waiting_max", "threads"),
)
_TEXT = ("device", "dtype")


async def load(spec: ModelSpec, tools: Tools) -> Runtime:
    """The runner has loaded the model. Raises ModelLoadFailed, ExtraNotInstalled."""
    if spec.task != "generate":
        raise ModelLoadFailed(
            f"The engine `torch` generates text, so the task of `{spec.name}` must be `generate`."
            " Use the engine `onnx` for other tasks."
        )
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ExtraNotInstalled("pip install 'gatemill[torch]'")
    options = Options(spec)
    folder = await tools.folder(spec)
    cache_bytes = options.whole("cache_bytes", CACHE_BYTES)
    weights_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    configured = options.whole("memory_bytes", 0)
    await tools.reserve(spec, configured or weights_bytes + cache_bytes)
    place = Place(tools.data_dir / "runners", spec)
    facts = Facts(
        name=spec.name,
        served_name=spec.name,
        base_path="/v1",
        health="/health",
        stats="/stats",
        start_timeout_s=options.seconds("start_timeout_s", START_TIMEOUT_S),
        memory_bytes=configured,
    )
    plan = Runner(
        arguments=("--model", str(folder), "--name", spec.name, *_arguments(options, cache_bytes)),
        log=place.log,
        log_bytes=options.whole("log_bytes", LOG_BYTES),
        stop_timeout_s=options.seconds("stop_timeout_s", STOP_TIMEOUT_S),
    )
    child = Child(facts, plan, place)
    await child.start()
    return child


class Runner(Struct, frozen=True):
    """Satisfies local.child.Plan: our runner on a Unix socket in a folder of its own."""

    arguments: tuple[str, ...]
    log: Path
    log_bytes: int
    stop_timeout_s: float

    def address(self) -> Address:
        """A socket in a new folder that nobody else may enter; below `data_dir` it may be too long a path."""
        return Address(socket_path=str(Path(tempfile.mkdtemp(prefix="gatemill-")) / "runner"))

    def command(self, address: Address) -> Command:
        """Our runner, in this Python."""
        argv = (sys.executable, "-m", "gatemill.runner", "--with-parent")
        return Command(
            argv=(*argv, "--socket", address.socket_path, *self.arguments),
            log=self.log,
            log_bytes=self.log_bytes,
            stop_timeout_s=self.stop_timeout_s,
        )

    def ended(self, address: Address) -> None:
        """The socket's folder is gone."""
        shutil.rmtree(Path(address.socket_path).parent, ignore_errors=True)


def _arguments(options: Options, cache_bytes: int) -> tuple[str, ...]:
    """What the configuration says, as the runner's options; it has the same defaults."""
    found = ["--cache-bytes", str(cache_bytes)]
    for name in _WHOLE:
        if value := options.whole(name, 0):
            found += [f"--{name.replace('_', '-')}", str(value)]
    for name in _TEXT:
        if text := options.text(name):
            found += [f"--{name}", text]
    if not options.truth("batching", default=True):
        found.append("--no-batching")
    return tuple(found)
