"""A running house: settings -> Gateway, and what has to be closed again.

Rule: what outlives a reload (ledger, counters, breakers, cache) is taken over, the rest is new.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import weakref
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core import ids
from gatemill.experiments.table import Table as Splits
from gatemill.gateway.admit import Gate
from gatemill.gateway.books import Books
from gatemill.gateway.embed import Embedder
from gatemill.gateway.parts import Gateway
from gatemill.gateway.shadow import Shadows
from gatemill.house import features
from gatemill.house.alerts import TRANSPORT, notifier_of, transport_of_alerts
from gatemill.house.export import export
from gatemill.house.guards import Readers, guards_of, readers_of, ready
from gatemill.house.jobs import Workshop, workshop_of
from gatemill.house.judges import Judges, Reader, hook_transports
from gatemill.house.limits import admission_of, limiter_of
from gatemill.house.local import fill, shelf_of
from gatemill.house.models import Prices, routes_of
from gatemill.house.providers import makers_of, transport_of
from gatemill.house.recall import answers_of, idempotency_of, recall_of
from gatemill.house.recordings import tapes_of
from gatemill.house.rooms import Watcher, before, rooms_of
from gatemill.house.telemetry import tracer_of
from gatemill.house.watchman import Watchman
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.sessions import Patience
from gatemill.observe.access import AccessLog, as_json, as_text
from gatemill.observe.metrics import Meter
from gatemill.observe.redaction import hide
from gatemill.registry.table import Table
from gatemill.settings.secret import secrets_in
from gatemill.upstream.course import Retries, Tries
from gatemill.upstream.lane import Lanes
from gatemill.wire.moderations import Moderations
from gatemill.wire.predict_text import PredictText

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.later import Later
    from gatemill.core.ports import Limiter, Surface, Transport
    from gatemill.gateway.admit import Admission
    from gatemill.gateway.recall import Answers
    from gatemill.jobs.services import Rooms
    from gatemill.ledger.features import Given
    from gatemill.ledger.recordings import Recording
    from gatemill.local.shelf import Shelf
    from gatemill.observe.lines import LineWriter
    from gatemill.settings import Loaded
    from gatemill.settings.model import Settings
    from gatemill.upstream.notify import Notifier

DAY_S = 86_400.0
SURFACES = (
    "chat",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "count_tokens",
    "inference",
    "predict",
    "rerank",
)


class House(Struct, frozen=True):
    """One running product."""

    gateway: Gateway
    ledger: Ledger
    access: AccessLog
    transports: Mapping[str, Transport]
    settings: Settings  # what it was built from
    notifier: Notifier | None  # sends alerts, where there is a webhook
    lasting: Lasting
    jobs: Workshop

    @property
    def rooms(self) -> Rooms:
        """The desks of what a team has of its own."""
        return self.jobs.services.rooms

    async def open(self) -> None:
        """No request has to wait for the shared counters to be found, or to be found away.

        The registry and its neighbours are known, and followed from now on.
        """
        await self.lasting.limiter.open()
        await self.jobs.bell.open()
        await self.lasting.watcher.open(self.rooms)

    async def retain(self) -> None:
        """What has been kept for long enough is gone. Raises LedgerUnavailable and Overloaded."""
        said = self.settings
        await self.ledger.retain(said.stores.usage_retention_days)
        await self.ledger.retain_audit(said.stores.audit_retention_days)
        await self.ledger.sessions.sweep(Patience(said.auth.idle_s, said.auth.lifetime_s))
        await self.ledger.recordings.retain(
            said.recordings.keep_days * DAY_S, said.recordings.bytes_max
        )
        await self.ledger.features.retain(
            said.features.history_days * DAY_S,
            said.features.log_days * DAY_S,
            said.features.log_rows_max,
        )

    async def close(self) -> None:
        """Connections to providers and stores are released; the ledger is flushed and closed."""
        # The last comes first; each comes, although another one failed or the end was called off.
        async with AsyncExitStack() as rest:
            rest.push_async_callback(self.ledger.close)
            if self.gateway.tracer is not None:
                rest.push_async_callback(asyncio.to_thread, self.gateway.tracer.close)
            rest.callback(self.access.flush)
            rest.push_async_callback(self.lasting.answers.close)
            rest.push_async_callback(self.lasting.limiter.close)
            rest.callback(self.jobs.services.sender.close)
            rest.push_async_callback(self.jobs.bell.close)
            rest.push_async_callback(self.lasting.presidio.close)
            rest.callback(self.lasting.readers.close)
            rest.push_async_callback(self.lasting.tapes.close)
            rest.push_async_callback(self.lasting.given.close)
            for transport in self.transports.values():
                rest.push_async_callback(transport.close)
            rest.push_async_callback(self.lasting.shelf.close)
            rest.push_async_callback(self.rooms.registry.close)
            rest.push_async_callback(self.lasting.watcher.close)


class Lasting(Struct, frozen=True):
    """What a reload takes over, because it has learned or counted something."""

    meter: Meter
    lanes: Lanes
    limiter: Limiter
    answers: Answers
    shadows: Shadows
    shelf: Shelf
    given: Later[Given]  # features, on their way to the log
    tapes: Later[Recording]  # requests and answers, on their way to the ledger
    table: Table  # of the registry
    splits: Splits  # of the experiments
    watcher: Watcher
    readers: Readers  # of large texts, for guards
    presidio: Reader  # its process, where a guard asks for it
    watchman: Watchman  # of this process's own numbers


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """The ledger of these settings, current. Raises LedgerUnavailable and InvalidValue."""
    return Ledger.open(settings.data_dir, settings.stores.database or None, clock)


def build(
    loaded: Loaded,
    ledger: Ledger,
    clock: Clock,
    output: tuple[LineWriter, bool],
    previous: House | None = None,
) -> House:
    """The parts for these settings; called on the event loop.

    `output` is the log and whether people read it. With `previous`, what that house has learned and
    counted goes on, and so do its connections to providers that have not changed. Raises OSError for
    an unreadable `ca_file`, InvalidValue for a store whose package is missing.
    """
    settings = loaded.settings
    writer, pretty = output
    lasting = _lasting(settings, ledger, clock) if previous is None else previous.lasting
    fresh = AccessLog(writer, as_text if pretty else as_json)
    transports = _transports(settings, clock, lasting.shelf, previous)
    prices = Prices(settings, clock)
    makers = makers_of(settings, transports, prices, lasting.lanes)
    admission = _admission(settings, lasting.limiter, previous)
    books = Books(ledger, lasting.limiter, admission.refuse)
    embedder = Embedder()
    judges = Judges(settings.guards, transports, clock, lasting.presidio)
    rooms_before = before(settings, ledger, clock, (lasting, transports), previous)
    gateway = Gateway(
        keys=ledger,
        gate=_gate(settings, lasting.meter, previous),
        routes=routes_of(settings, makers, prices),
        admission=admission,
        recall=recall_of(settings, lasting.answers, clock, embedder),
        idempotency=idempotency_of(settings, ledger, clock),
        shadows=lasting.shadows,
        tries=_tries(settings, clock, books),
        books=books,
        guards=guards_of(settings.guards, judges.remote, lasting.readers),
        surfaces=surfaces_of(settings),
        meter=lasting.meter,
        access=fresh if previous is None else previous.access,
        clock=clock,
        now=clock.monotonic_s,
        new_id=previous.gateway.new_id if previous is not None else ids.sequence("req_"),
        request_timeout_s=settings.server.request_timeout_s,
        json_depth_max=settings.limits.json_depth,
        version=version_of(settings),
        prompts=lasting.table,
        facts=rooms_before.features,
        recorder=rooms_before.recorder,
        tracer=tracer_of(loaded, previous),
    )
    _tie(gateway, judges, embedder)
    notifier = notifier_of(settings, ledger, transports, clock)
    rooms = rooms_of(settings, gateway, ledger, (lasting, rooms_before, makers))
    jobs = workshop_of(settings, gateway, ledger, rooms, previous)
    home = House(gateway, ledger, gateway.access, transports, settings, notifier, lasting, jobs)
    fill(lasting.shelf, settings, transports)  # last: who is refused above changes no model
    if previous is not None:
        lasting.watcher.follow(rooms)
    export(home, writer)
    return home


def _tie(gateway: Gateway, judges: Judges, embedder: Embedder) -> None:
    """Those who ask models on behalf of a stage know the gateway; its guards are compiled."""
    judges.attach(gateway)
    embedder.gateway = weakref.ref(gateway)
    ready(gateway.guards, gateway.routes)


def _admission(settings: Settings, limiter: Limiter, previous: House | None) -> Admission:
    former = None if previous is None else previous.gateway.admission
    return admission_of(settings, limiter, former)


def _gate(settings: Settings, meter: Meter, previous: House | None) -> Gate:
    gate = Gate(settings.limits.requests_in_flight, meter)
    gate.draining = previous is not None and previous.gateway.gate.draining
    return gate


def surfaces_of(settings: Settings) -> dict[str, Surface]:
    """The formats that callers speak, by their names."""
    modules = {name: import_module(f"gatemill.wire.{name}") for name in SURFACES}
    return {
        **modules,
        PredictText.NAME: PredictText(settings.server.predict_model),
        Moderations.NAME: Moderations(settings.guards.moderation.model),
    }


def _lasting(settings: Settings, ledger: Ledger, clock: Clock) -> Lasting:
    return Lasting(
        meter=Meter(),
        lanes=Lanes(),
        limiter=limiter_of(settings, ledger, clock),
        answers=answers_of(settings, clock),
        shadows=Shadows(),
        shelf=shelf_of(settings, clock),
        given=features.log_of(ledger),
        tapes=tapes_of(ledger),
        table=Table(),
        splits=Splits(),
        watcher=Watcher(ledger),
        readers=readers_of(),
        presidio=Reader(),
        watchman=Watchman(clock),
    )


def _transports(
    settings: Settings, clock: Clock, shelf: Shelf, previous: House | None
) -> dict[str, Transport]:
    hide.add(secrets_in(settings))  # providers quote them in their errors
    old = {} if previous is None else previous.settings.providers
    kept = {} if previous is None else previous.transports
    found = {
        name: kept[name]
        if old.get(name) == provider
        else transport_of(name, provider, clock, shelf)
        for name, provider in settings.providers.items()
    }
    if previous is not None and previous.settings.alerts == settings.alerts:
        alerts = kept.get(TRANSPORT)
    else:
        alerts = transport_of_alerts(settings)
    if previous is not None and previous.settings.features.feast == settings.features.feast:
        feast = kept.get(features.TRANSPORT)
    else:
        feast = features.transport_of_feast(settings)
    if feast is not None:
        found[features.TRANSPORT] = feast
    guards = None if previous is None else previous.settings.guards
    found |= hook_transports(settings.guards, guards, kept)
    return found if alerts is None else {**found, TRANSPORT: alerts}


def _tries(settings: Settings, clock: Clock, books: Books) -> Tries:
    said = settings.retries
    retries = Retries(
        attempts_max=said.attempts_max,
        backoff_s=said.backoff_s,
        backoff_max_s=said.backoff_max_s,
        retry_after_max_s=said.retry_after_max_s,
    )
    return Tries(
        now=clock.monotonic_s,
        sleep=asyncio.sleep,
        rng=random.random,
        retries=retries,
        opening=books.opening,
        more=books.more,
    )


def version_of(settings: Settings) -> str:
    """Twelve hex digits that change when any setting does, secrets included."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for provider in settings.providers.values():
        for secret in (provider.api_key, *provider.api_keys, *provider.headers.values()):
            text = secret.get_secret_value().encode() if secret else b""
            # With its length, so that no two rows of secrets run together into the same bytes.
            digest.update(b"%d:%b" % (len(text), text))
    return digest.hexdigest()[:12]
