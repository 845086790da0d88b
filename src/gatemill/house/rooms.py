"""What a team has of its own -> desks: models, experiments, features, documents.

Rule: one function makes all of them; what has been loaded or read outlives a reload.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.core.guard import layered
from gatemill.core.tasks import spawn
from gatemill.experiments.desk import Desk as ExperimentsDesk
from gatemill.gateway.routes import Route, ShadowRoute
from gatemill.house import features
from gatemill.house.knowledge import knowledge_of
from gatemill.house.models import cache_of
from gatemill.house.recordings import recorder_of
from gatemill.house.registry import mlflow_of
from gatemill.jobs.services import Rooms
from gatemill.registry.desk import Desk as RegistryDesk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.model import Served
    from gatemill.core.ports import Transport
    from gatemill.features.desk import Desk as FeaturesDesk
    from gatemill.gateway.parts import Gateway, Recorder
    from gatemill.gateway.routes import Routes
    from gatemill.house.providers import Maker
    from gatemill.house.root import House, Lasting
    from gatemill.ledger.ledger import Ledger
    from gatemill.policy.experiment import Split
    from gatemill.settings.model import Settings

WATCH_S = 1.0  # between two looks at what other processes may have changed
LOOKS_MAX = 4  # at once: each of the three rooms may be reading for long


class Before(Struct, frozen=True):
    """What the gateway itself is made with."""

    features: FeaturesDesk
    recorder: Recorder | None


def before(
    settings: Settings,
    ledger: Ledger,
    clock: Clock,
    made: tuple[Lasting, Mapping[str, Transport]],
    previous: House | None,
) -> Before:
    """The rooms that a request passes through."""
    lasting, transports = made
    desk = features.desk_of(settings, ledger, clock, lasting.given, transports)
    if previous is not None:
        desk.follow(previous.rooms.features)
    return Before(desk, recorder_of(settings, lasting.tapes))


def rooms_of(
    settings: Settings,
    gateway: Gateway,
    ledger: Ledger,
    made: tuple[Lasting, Before, Mapping[str, Maker]],
) -> Rooms:
    """All desks."""
    lasting, first, makers = made
    published = Published(gateway.routes, lasting, makers, settings)
    published.publish()
    return Rooms(
        shelf=lasting.shelf,
        registry=RegistryDesk(ledger, gateway, lasting.table, published, mlflow_of(settings)),
        experiments=ExperimentsDesk(
            ledger,
            gateway,
            lasting.splits,
            published.publish,
            settings.experiments.feedback_max,
        ),
        features=first.features,
        knowledge=knowledge_of(settings, ledger, gateway),
    )


class Published:
    """The names of the database among those of the configuration. Satisfies registry.desk.Serving."""

    def __init__(
        self,
        routes: Routes,
        lasting: Lasting,
        makers: Mapping[str, Maker],
        settings: Settings,
    ) -> None:
        self.shelf = lasting.shelf
        self._routes = routes
        self._lasting = lasting
        self._makers = makers
        self._cache = cache_of(settings.cache)
        self._copies_max = settings.experiments.copies_max

    def knows(self, provider: str) -> bool:
        """The configuration has this provider."""
        return provider in self._makers

    def publish(self) -> None:
        """The names of the table, and the running experiments, are served from now on."""
        served = [one for one in self._lasting.table.served if one.provider in self._makers]
        self.shelf.publish({one.spec.name: one.spec for one in served if one.spec is not None})
        models = {one.name: self._route(one) for one in served}
        self._routes.publish(models, {})  # experiments stand above these
        splits = {split.name: self._split(split) for split in self._lasting.splits.splits}
        self._routes.publish(models, splits)

    def _split(self, split: Split) -> Route:
        """The limits, fallbacks and cache of a model stay, also while its calls are split."""
        found = self._routes.leaf(split.name)
        base = found or Route(name=split.name, targets=(), owner="experiment", cache=self._cache)
        shadow, guards = base.shadow, base.guards
        if split.shadow is not None:
            copied = self._routes.leaf(split.shadow.model)
            guards = guards if copied is None else layered(copied.guards, guards)
            shadow = ShadowRoute(
                split.shadow.model,
                split.share,
                self._copies_max,
                split.shadow,
                split.experiment.id,
            )
        return replace(
            base,
            name=split.name,
            targets=(),
            weights=None,
            experiment=split.experiment,
            complexity=None,
            by_feature=None,
            shadow=shadow,
            guards=guards,
        )

    def _route(self, served: Served) -> Route:
        target = self._makers[served.provider](served.model, version=served.version)
        return Route(
            name=served.name,
            targets=(target,),
            owner="registry",
            cache=self._cache,
            family=served.version.rpartition(":")[0],
        )


class Watcher:
    """Looks once a second whether another process has changed something. One for the house.

    A room that reads for long, because a model is loaded first, holds up no other room; and whatever
    goes wrong, the next look comes.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rooms: Rooms | None = None
        # Of these rooms, so that a look for those before a reload says nothing of them. By `look`.
        self._known: dict[str, int] = {}
        self._reading: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()  # at most LOOKS_MAX

    async def open(self, rooms: Rooms) -> None:
        """The rooms know what the database says, and are followed. Raises LedgerUnavailable, Overloaded."""
        self.follow(rooms)
        await self.look()
        self._task = spawn(self._watch(), "rooms")

    def follow(self, rooms: Rooms) -> None:
        """These rooms are kept up to date instead of those before; they read everything soon."""
        self._rooms, self._known, self._reading = rooms, {}, set()

    async def look(self) -> None:
        """What has changed is read anew, unless that is under way."""
        rooms, known, reading = self._rooms, self._known, self._reading
        if rooms is None:
            return
        found = await self._ledger.revisions()
        changed = {room for room, value in found.items() if value != known.get(room)} - reading
        if not changed:
            return
        reading |= changed
        try:
            await rooms.refresh(changed)
        finally:
            reading -= changed
        known |= {room: found[room] for room in changed}

    async def close(self) -> None:
        """Nothing is looked at any more."""
        tasks = [*self._looks, *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if len(self._looks) < LOOKS_MAX:
                task = spawn(self._once(), "look")  # a fault of ours ends this look, and is logged
                self._looks.add(task)
                task.add_done_callback(self._looks.discard)

    async def _once(self) -> None:
        with suppress(LedgerUnavailable, Overloaded):  # the next look finds it
            await self.look()
        if self._rooms is not None:
            self._rooms.tick()
