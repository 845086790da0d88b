"""One request of one token to each target of [models]: does the model itself answer? Rule: it costs money.

It goes the way of every request, with a ledger of its own in a folder that is gone afterwards, so it is
in nobody's usage and in no budget.
"""

from __future__ import annotations

import asyncio
import time
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gatemill.cli.terminal import environment
from gatemill.core.errors import GatemillError, UpstreamQuotaSpent, UpstreamRateLimited
from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.core.money import dollars
from gatemill.library import open_house

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gatemill.library import Inside
    from gatemill.settings import Loaded

AT_ONCE = 8
PATIENCE_S = 30.0
_HERE = ("echo", "local")  # dialects of models that run here
_REFUSED = (400, 422)  # what was asked, and not who asks


def ask_all(loaded: Loaded, file: Path | None) -> Sequence[Finding]:
    """A finding for each target that is reached over the network, each once, in their order."""
    found = _targets(loaded)
    return asyncio.run(_asked(found, file)) if found else []


def _targets(loaded: Loaded) -> list[str]:
    from gatemill.settings import vendors

    kinds = {name: vendors()[one.kind].dialect for name, one in loaded.settings.providers.items()}
    return list(
        dict.fromkeys(
            f"{target.provider}/{target.model}"
            for model in loaded.settings.models.values()
            for target in model.targets
            if target.model != "*" and kinds.get(target.provider) not in _HERE
        )
    )


async def _asked(targets: Sequence[str], file: Path | None) -> list[Finding]:
    with TemporaryDirectory(prefix="gatemill-check-") as folder:
        async with open_house(
            file,
            environ=environment(),
            server__data_dir=folder,
            server__direct_models=True,
            stores__database="",
            stores__counters="memory",
            stores__cache="memory",
            retries__attempts_max=1,
            recordings__share=0,
            telemetry__endpoint="",
        ) as inside:
            room = asyncio.Semaphore(AT_ONCE)
            return list(await asyncio.gather(*(_ask(inside, room, each) for each in targets)))


async def _ask(inside: Inside, room: asyncio.Semaphore, target: str) -> Finding:
    async with room:
        started_s = time.monotonic()
        try:
            answer = await inside.chat(target, "Hi", max_completion_tokens=1, timeout_s=PATIENCE_S)
        except GatemillError as error:
            return _judged(target, error)
        latency_ms = (time.monotonic() - started_s) * 1000
    cost = answer.cost_microusd
    text = f"answered; {'its price is not known' if cost is None else f'it cost {dollars(cost)}'}"
    return Finding(OK, target, text, latency_ms=latency_ms)


def _judged(target: str, error: GatemillError) -> Finding:
    text = f"{error.code}: {error.message.rstrip('.')}"
    if isinstance(error, UpstreamRateLimited):
        return Finding(WARNING, target, text, "try again later")
    if isinstance(error, UpstreamQuotaSpent):
        return Finding(FAILURE, target, text, "fill up the account at the provider")
    if error.status in _REFUSED:
        fix = "nothing, where it is no model for chat"
        return Finding(WARNING, target, text, fix)
    provider = target.partition("/")[0]
    return Finding(
        FAILURE, target, text, f"correct providers.{provider}, or the target in [models]"
    )
