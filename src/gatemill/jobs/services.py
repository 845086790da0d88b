"""What jobs may use of the house. Rule: frozen; a reload makes new ones beside the old."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import LedgerUnavailable, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.job import Ring
    from gatemill.core.ports import Bell
    from gatemill.experiments.desk import Desk as ExperimentsDesk
    from gatemill.features.desk import Desk as FeaturesDesk
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.cron import Plan
    from gatemill.jobs.governor import Governor
    from gatemill.jobs.news import News
    from gatemill.jobs.registry import Kinds
    from gatemill.knowledge.desk import Desk as KnowledgeDesk
    from gatemill.ledger.jobs.rows import QueueLimit
    from gatemill.ledger.ledger import Ledger
    from gatemill.local.shelf import Shelf
    from gatemill.registry.desk import Desk as RegistryDesk
    from gatemill.upstream.outward import Outward


class Amounts(Struct, frozen=True):
    """Options of jobs that count while one runs; see docs/settings.md, sections jobs and batches."""

    attempts_max: int = 4
    backoff_s: float = 1.0
    backoff_max_s: float = 600.0
    timeout_s: float = 600.0
    keep_s: float = 604_800.0
    result_bytes: int = 16_777_216
    waiting_max: int = 1_000_000
    waiting_max_per_owner: int = 100_000
    batch_part_lines: int = 500
    batch_concurrency: int = 16
    batch_lines_max: int = 50_000
    file_bytes_max: int = 209_715_200
    file_bytes_max_per_owner: int = 10_737_418_240
    file_keep_s: float = 2_592_000.0
    webhook_endpoints_max: int = 100
    webhook_disable_after: int = 20


class Rooms(Struct, frozen=True):
    """The desks of what a team has of its own. The door and the jobs come to them."""

    shelf: Shelf  # models that run here
    registry: RegistryDesk
    experiments: ExperimentsDesk
    features: FeaturesDesk
    knowledge: KnowledgeDesk

    async def refresh(self, changed: Collection[str]) -> None:
        """The rooms named read anew what the database says. Raises LedgerUnavailable and Overloaded."""
        if "features" in changed:
            await self.features.refresh()
        if "registry" in changed:
            await self.registry.refresh()
        if "experiments" in changed or "registry" in changed:
            await self.experiments.refresh()

    def tick(self) -> None:
        """What the rooms do by themselves is begun where it is due; called every second or so."""
        self.registry.tick()


class Services(Struct, frozen=True):
    """The parts of the house that jobs use."""

    ledger: Ledger
    gateway: Gateway  # it knows keys by their ids, and counts apart from interactive requests
    clock: Clock
    kinds: Kinds
    governor: Governor  # holds calls back while the process is busy with others
    amounts: Amounts
    schedules: tuple[Plan, ...]
    limits: Mapping[str, QueueLimit]  # of queues, over all workers together
    news: News
    bell: Bell
    new_id: Callable[[], str]  # of a job
    sender: Outward  # delivers webhooks
    rooms: Rooms  # what one has of one's own: models, experiments, features, documents

    @property
    def is_told(self) -> bool:
        """Workers begin only what they are told of; they never look at the ledger by themselves."""
        return self.bell.POLL_S is not None and math.isinf(self.bell.POLL_S)

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Workers hear of these jobs, most likely; the ledger knows of it where it matters."""
        await self.bell.ring(rings)
        if rings and self.is_told:
            with suppress(LedgerUnavailable, Overloaded):  # then they are rung twice
                await self.ledger.jobs.mark_rung([one.id for one in rings])
