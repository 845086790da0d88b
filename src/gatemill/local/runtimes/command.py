"""Any server of OpenAI's format as a child: `vllm serve`, `llama-server`, `transformers serve`.

Rule: we choose its port and its key, and know nothing else of it. The key is in its environment, where
other users of the machine cannot see it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import ModelLoadFailed
from gatemill.local.child import Child, Facts, free_port
from gatemill.local.options import LOG_BYTES, Options
from gatemill.local.probing import Address
from gatemill.local.process import Command
from gatemill.local.sharing import Place

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.core.model import ModelSpec
    from gatemill.local.parts import Runtime, Tools

START_TIMEOUT_S = 300.0  # large weights come from a disk
STOP_TIMEOUT_S = 10.0
# Where vLLM and llama-server look for the key that callers must send; the last one is for all others.
TOKEN_VARIABLES = ("VLLM_API_KEY", "LLAMA_API_KEY", "GATEMILL_TOKEN")


async def load(spec: ModelSpec, tools: Tools) -> Runtime:
    """The command runs and its health path answers. Raises ModelLoadFailed with its last lines."""
    options = Options(spec)
    argv = options.texts("command")
    if not argv or not any("{port}" in one for one in argv):
        raise ModelLoadFailed(
            f"The model `{spec.name}` needs `command`, with {{port}} where the command takes its port."
        )
    model = spec.name
    if spec.source and any("{model}" in one for one in argv):
        model = str(await tools.folder(spec))
    place = Place(tools.data_dir / "runners", spec)
    facts = Facts(
        name=spec.name,
        served_name=options.text("served_name") or spec.name,
        base_path=options.text("base_path", "/v1"),
        health=options.text("health", "/health"),
        stats="",
        start_timeout_s=options.seconds("start_timeout_s", START_TIMEOUT_S),
        memory_bytes=options.whole("memory_bytes", 0),
    )
    await tools.reserve(spec, facts.memory_bytes)
    plan = Template(
        argv=argv,
        values={"model": model, "name": spec.name},
        log=place.log,
        log_bytes=options.whole("log_bytes", LOG_BYTES),
        stop_timeout_s=options.seconds("stop_timeout_s", STOP_TIMEOUT_S),
    )
    child = Child(facts, plan, place)
    await child.start()
    return child


class Template(Struct, frozen=True):
    """Satisfies local.child.Plan: argv with {port}, {token}, {model} and {name} filled in."""

    argv: tuple[str, ...]
    values: dict[str, str]
    log: Path
    log_bytes: int
    stop_timeout_s: float

    def address(self) -> Address:
        """A free port, and a key that only we know."""
        return Address(port=free_port(), token=secrets.token_urlsafe(24))

    def command(self, address: Address) -> Command:
        """The command for it; other braces stay as they are."""
        values = {**self.values, "port": str(address.port), "token": address.token}
        return Command(
            argv=tuple(_filled(one, values) for one in self.argv),
            log=self.log,
            log_bytes=self.log_bytes,
            stop_timeout_s=self.stop_timeout_s,
            variables=dict.fromkeys(TOKEN_VARIABLES, address.token),
        )

    def ended(self, address: Address) -> None:
        """Nothing is left of a port."""


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
