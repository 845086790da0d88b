"""Jobs of the settings -> a desk that takes them, and a crew that runs them.

Rule: what has counted or connected outlives a reload; what a running job was given stays with it.
"""

from __future__ import annotations

import os
import random
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from gatemill.core import ids, redis_address
from gatemill.core.errors import InvalidValue
from gatemill.core.job import PRIORITIES, QUARANTINE
from gatemill.gateway.admit import Gate
from gatemill.house.providers import tls_of
from gatemill.jobs import processes
from gatemill.jobs.counters import Counters
from gatemill.jobs.crew import Crew
from gatemill.jobs.cron import Cron, Plan, plan
from gatemill.jobs.desk import Desk, Terms
from gatemill.jobs.governor import Governor
from gatemill.jobs.housekeeping import Housekeeping
from gatemill.jobs.news import News
from gatemill.jobs.quarantine import Quarantine
from gatemill.jobs.registry import Kinds
from gatemill.jobs.services import Amounts, Rooms, Services
from gatemill.jobs.worker import Options, Worker
from gatemill.ledger.jobs.rows import QueueLimit, WorkerRow
from gatemill.observe.metrics import Meter
from gatemill.policy import addresses
from gatemill.upstream.outward import Bounds, Outward

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.call import Key
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Bell
    from gatemill.gateway.parts import Gateway
    from gatemill.house.root import House
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings

# Of a worker, where the settings say nothing: these make many calls at once each, and a try
# to deliver a webhook may hang.
_SLOTS = {"batch": 8, "documents": 8, "webhooks": 50}
DAY_S = 86_400.0


class Workshop(Struct, frozen=True):
    """What the house has for jobs."""

    desk: Desk
    services: Services
    counters: Counters

    @property
    def kinds(self) -> Kinds:
        """What can be done."""
        return self.services.kinds

    @property
    def bell(self) -> Bell:
        """How workers hear of jobs."""
        return self.services.bell

    @property
    def news(self) -> News:
        """Word of what changes."""
        return self.services.news

    @property
    def gateway(self) -> Gateway:
        """The gateway as jobs call it."""
        return self.services.gateway


class Shift(Struct, frozen=True):
    """Which jobs a process runs; "" and 0 leave it to the settings."""

    queues: tuple[str, ...] = ()
    priorities: tuple[int, ...] = ()
    slots: int = 0
    claiming: Literal["", "told", "quarantined"] = ""
    child: tuple[str, ...] = ()  # the command that runs jobs whose workers died; () for none
    share: int = 1  # processes that divide the slots among them
    works: bool = True  # else it only keeps house
    returns: bool = True  # a worker that was taken for dead is replaced


def embedded(settings: Settings, child: tuple[str, ...]) -> Shift:
    """What `gatemill serve` runs; each of several processes its share."""
    works = settings.jobs.embedded and settings.jobs.dispatch != "celery"
    return Shift(child=child, share=settings.server.workers, works=works)


class _ById:
    """Who calls: the key of a job."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def identify(self, secret: bytes) -> Key | None:
        return self._ledger.keys.by_id(secret.decode())


# --- What a configuration means -----------------------------------------------------------------


def workshop_of(
    settings: Settings, gateway: Gateway, ledger: Ledger, rooms: Rooms, previous: House | None
) -> Workshop:
    """The part of the house that is for jobs. Raises InvalidValue for a schedule that cannot be.

    `gateway` is the house's own.
    """
    said, clock = settings.jobs, gateway.clock
    old = None if previous is None else previous.jobs.services
    kinds = Kinds.load(said.kinds) if old is None else old.kinds
    in_flight_max = said.slots * settings.batches.concurrency
    services = Services(
        ledger=ledger,
        # A meter of its own: the gate counts there what is in flight.
        gateway=replace(gateway, keys=_ById(ledger), gate=Gate(in_flight_max, Meter())),
        clock=clock,
        kinds=kinds,
        governor=Governor(clock.monotonic_s) if old is None else old.governor,
        amounts=_amounts(settings),
        schedules=_schedules(settings, kinds),
        limits=_limits(settings),
        news=News() if old is None else old.news,
        bell=_bell(settings, clock) if old is None else old.bell,
        new_id=_new_id(clock) if old is None else old.new_id,
        sender=_sender(settings, previous),
        rooms=rooms,
    )
    desk = Desk(
        services,
        services.bell,
        Terms(said.args_bytes, said.waiting_max, said.waiting_max_per_owner),
        partial(_check_url, services.sender),
        services.news,
    )
    return Workshop(desk, services, Counters() if previous is None else previous.jobs.counters)


def _sender(settings: Settings, previous: House | None) -> Outward:
    said = settings.webhooks
    if previous is not None and previous.settings.webhooks == said:
        return previous.jobs.services.sender
    return Outward(
        addresses.networks(said.private_addresses),
        tls_of(None),
        Bounds(said.timeout_s, said.tries_per_host),
        tries=None if previous is None else previous.jobs.services.sender.tries,
    )


async def _check_url(sender: Outward, url: str) -> None:
    sender.check(url, "callback_url")


def _schedules(settings: Settings, kinds: Kinds) -> tuple[Plan, ...]:
    found = []
    for name, said in settings.jobs.schedules.items():
        kinds.find(said.kind)
        found.append(plan(name, said.model_dump()))
    return tuple(found)


def _amounts(settings: Settings) -> Amounts:
    jobs, batches, files = settings.jobs, settings.batches, settings.files
    return Amounts(
        attempts_max=jobs.attempts_max,
        backoff_s=jobs.backoff_s,
        backoff_max_s=jobs.backoff_max_s,
        timeout_s=jobs.timeout_s,
        keep_s=jobs.keep_days * DAY_S,
        result_bytes=jobs.result_bytes,
        waiting_max=jobs.waiting_max,
        waiting_max_per_owner=jobs.waiting_max_per_owner,
        batch_part_lines=batches.part_lines,
        batch_concurrency=batches.concurrency,
        batch_lines_max=batches.lines_max,
        file_bytes_max=files.bytes_max,
        file_bytes_max_per_owner=files.bytes_max_per_owner,
        file_keep_s=files.keep_days * DAY_S,
        webhook_endpoints_max=settings.webhooks.endpoints_max,
        webhook_disable_after=settings.webhooks.disable_after,
    )


def _limits(settings: Settings) -> dict[str, QueueLimit]:
    found = {}
    for name, queue in settings.jobs.queues.items():
        limit = QueueLimit(queue.running_max, queue.starts_per_minute, queue.running_max_per_owner)
        if limit != QueueLimit():
            found[name] = limit
    return found


def _bell(settings: Settings, clock: Clock) -> Bell:
    name = settings.jobs.dispatch
    room: Any = import_module(f"gatemill.dispatch.{name}")
    if name == "sql":
        made: Bell = room.SqlBell()
        return made
    if settings.jobs.broker is None:
        raise InvalidValue(f"jobs.broker: dispatch {name} needs its URL.", param="jobs.broker")
    url = settings.jobs.broker.get_secret_value()
    if name == "redis":
        made = room.RedisBell(redis_address.address(url), clock.unix_s)
    else:
        made = (room.RabbitBell if name == "rabbitmq" else room.CeleryBell)(url)
    return made


def _new_id(clock: Clock) -> Callable[[], str]:
    make = ids.unguessable("job_")
    return lambda: make(clock.unix_s())


# --- Who runs them --------------------------------------------------------------------------------


def crew_of(current: Callable[[], House], shift: Shift) -> Crew:
    """What runs jobs in this process, not started yet. Raises InvalidValue for an unknown queue.

    `current` gives the house in effect.
    """
    home = current()
    options, counters = _options(home.settings, home.jobs, shift), home.jobs.counters
    clock = home.jobs.services.clock
    del home  # a reload replaces it, and it is to vanish then

    def services() -> Services:
        return current().jobs.services

    def hire() -> Worker:
        return Worker(_row(options, clock), options, services, counters, random.random)

    if shift.claiming == "quarantined":
        counters.slots = options.slots
        return Crew(services, hire, None, returns=False)
    quarantine = Quarantine(shift.child, counters, services) if shift.child else None
    cron = Cron(clock.unix_s())
    housekeeping = Housekeeping(services, counters, cron, quarantine, random.random)
    if not shift.works:
        return Crew(services, None, housekeeping, quarantine)
    counters.slots = options.slots
    return Crew(services, hire, housekeeping, quarantine, returns=shift.returns)


def _options(settings: Settings, workshop: Workshop, shift: Shift) -> Options:
    said = settings.jobs
    slots = max(1, (shift.slots or said.slots) // shift.share)
    kinds = workshop.kinds
    known = {kinds.find(name).QUEUE for name in kinds.names} | set(said.queues)
    for name in shift.queues:
        if name not in known:
            raise InvalidValue(
                f"There is no queue {name}. Priorities: {', '.join(PRIORITIES)}."
                f" Queues: {', '.join(sorted(known))}.",
                param="queues",
            )
    by_queue = {}
    for name in sorted(shift.queues or known):
        own = said.queues[name].slots if name in said.queues else None
        by_queue[name] = min(slots, own or _SLOTS.get(name, slots))
    poll_s = workshop.bell.POLL_S
    return Options(
        slots=slots,
        queues=by_queue,
        priorities=shift.priorities or tuple(range(len(PRIORITIES))),
        poll_s=said.poll_s if poll_s is None else poll_s,
        lease_s=said.lease_s,
        beat_s=said.beat_s,
        claiming=shift.claiming or ("told" if workshop.services.is_told else "all"),
    )


def _row(options: Options, clock: Clock) -> WorkerRow:
    pid, now_s = os.getpid(), clock.unix_s()
    queues = (QUARANTINE,) if options.claiming == "quarantined" else tuple(options.queues)
    return WorkerRow(
        id=ids.unguessable("worker_")(now_s),
        host=processes.here(),
        pid=pid,
        pid_started=processes.started(pid),
        queues=queues,
        slots=options.slots,
        lease_s=options.lease_s,
        started_at=now_s,
        beat_at=now_s,
    )
