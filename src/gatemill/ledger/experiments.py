"""Experiments in the database. Rule: a change, who made it and why are one transaction, and others hear of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from gatemill.core.errors import Conflict, NotFound
from gatemill.ledger import audit, experiment_rows, outcomes, queries, revisions

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.experiment_rows import Event, Experiment
    from gatemill.ledger.outcomes import Latency, Outcome, Sums, Wanted
    from gatemill.ledger.people import Write
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Writer

EXPERIMENTS_MAX = 1_000
ROOM = "experiments"
_NEWEST = 2**62
_SQL = queries.load("experiments")


class Experiments:
    """The attribute `experiments` of an open ledger. Everything raises LedgerUnavailable and Overloaded."""

    def __init__(self, writer: Writer, reader: Reader, change: Write, clock: Clock) -> None:
        self._share = writer.share
        self._reader = reader
        self._change = change
        self._clock = clock

    # --- Looking ---------------------------------------------------------------------------------

    async def get(self, name: str) -> Experiment:
        """By id or name. Raises NotFound."""
        found = await self._reader.run(lambda db: db.rows(_SQL["read_experiment"], {"id": name}))
        if not found:
            raise _gone()
        return experiment_rows.read(found[0])

    async def listed(self, state: str, limit: int, after: str) -> list[Experiment]:
        """The newest first, after the id `after`; `state` "" is any."""
        wanted = {"state": state, "limit": limit, "after": after}
        found = await self._reader.run(lambda db: db.rows(_SQL["list_experiments"], wanted))
        return [experiment_rows.read(row) for row in found]

    async def served(self) -> list[Experiment]:
        """Those that callers meet, the oldest first."""
        most = {"limit": EXPERIMENTS_MAX}
        found = await self._reader.run(lambda db: db.rows(_SQL["served_experiments"], most))
        return [experiment_rows.read(row) for row in found]

    async def events(self, experiment_id: str, limit: int, before: int | None) -> list[Event]:
        """What was changed, the newest first; `before` goes on after a page."""
        wanted = {"id": experiment_id, "limit": limit, "before": before or _NEWEST}
        found = await self._reader.run(lambda db: db.rows(_SQL["list_events"], wanted))
        return [experiment_rows.event(row) for row in found]

    # --- Changing --------------------------------------------------------------------------------

    async def create(self, new: Experiment, actor: str, reason: str) -> Experiment:
        """The experiment, durable. Raises Conflict for a name that is taken, and for one too many."""

        def create(database: Database) -> Experiment:
            with audit.changing(database):
                if database.rows(_SQL["read_experiment"], {"id": new.name}):
                    raise Conflict(
                        f"There is an experiment named {new.name} already. Choose another name.",
                        param="name",
                    )
                if database.rows(_SQL["count_experiments"])[0]["experiments"] >= EXPERIMENTS_MAX:
                    raise Conflict(
                        f"There are {EXPERIMENTS_MAX} experiments. Delete some that have ended."
                    )
                database.run(_SQL["insert_experiment"], experiment_rows.written(new))
                _note(database, new, (new.created_at, actor, "create", reason), {})
            return new

        return await self._change(create)

    async def update(
        self,
        experiment_id: str,
        change: Callable[[Experiment, float], Experiment],
        who: tuple[str, str, str],
    ) -> Experiment:
        """The experiment as it is now; `change` gives it from what it was and Unix time.

        `who` are actor, action and reason. Nothing is written when nothing changes. Raises NotFound,
        Conflict where another experiment decides over the same name, and what `change` raises.
        """
        now_s = self._clock.unix_s()
        actor, action, reason = who

        def update(database: Database) -> Experiment:
            with audit.changing(database):
                found = database.rows(_SQL["lock_experiment"], {"id": experiment_id})
                if not found:
                    raise _gone()
                old = experiment_rows.read(found[0])
                new = change(old, now_s)
                if new == old:
                    return old
                if new.state in ("running", "paused"):
                    _check_alone(database, new)
                new = replace(new, version=old.version + 1)
                database.run(_SQL["update_experiment"], experiment_rows.written(new))
                _note(database, new, (now_s, actor, action, reason), _difference(old, new))
            return new

        return await self._change(update)

    async def delete(self, experiment_id: str, actor: str) -> None:
        """An experiment is gone, and what was said of it. Raises NotFound, and Conflict while it decides."""
        now_s = self._clock.unix_s()
        old = await self.get(experiment_id)
        if old.state in ("running", "paused"):
            raise Conflict(f"This experiment is {old.state}. Conclude it first.", param="id")
        while await self._share(lambda db: outcomes.drop(db, old.id)):
            pass

        def delete(database: Database) -> None:
            with audit.changing(database):
                if not database.run(_SQL["delete_experiment"], {"id": old.id}):
                    raise _gone()
                database.run(_SQL["delete_events"], {"id": old.id})
                audit.add(
                    database,
                    audit.Entry(now_s, actor, "delete", "experiment", old.id, {"name": old.name}),
                )
                revisions.bump(database, ROOM)

        await self._change(delete)

    async def take_turn(self, experiment_id: str, pace_s: float) -> bool:
        """The caller looks at the guardrails now, and no other process for so long."""
        now_s = self._clock.unix_s()
        wanted = {"id": experiment_id, "now_s": now_s, "before_s": now_s - pace_s}
        return await self._share(lambda db: db.run(_SQL["take_turn"], wanted)) > 0

    # --- Outcomes --------------------------------------------------------------------------------

    async def tell(self, outcome: Outcome, most: int) -> bool:
        """The outcome is durable and counts, once; False: the experiment has ended, or never was.

        Raises IdempotencyKeyReused, and RateLimited when `most` are kept.
        """
        return await self._share(lambda db: outcomes.tell(db, outcome, most))

    async def sums(self, wanted: Wanted) -> Sums:
        """What is known of each arm."""
        return await self._reader.run(lambda db: outcomes.sums(db, wanted))

    async def counted(self, wanted: Wanted) -> Sums:
        """Of that, what the rows of usage say by themselves."""
        found = await self._reader.run(lambda db: outcomes.counted(db, wanted))
        return outcomes.Sums([], found)

    async def latency(self, wanted: Wanted, arm: str) -> Latency:
        """The latency that 95 of 100 requests of an arm do not exceed, in ms; None without any."""
        return await self._reader.run(lambda db: outcomes.latency(db, wanted, arm))


def _check_alone(database: Database, new: Experiment) -> None:
    rivals = database.rows(_SQL["rival_experiments"], {"id": new.id, "served": new.served})
    if rivals:
        raise Conflict(
            f"The experiment {rivals[0]['name']} splits the calls of {new.served} already. Conclude it"
            " first.",
            param="model",
        )


def _note(
    database: Database, new: Experiment, who: tuple[float, str, str, str], detail: dict[str, Any]
) -> None:
    """Who changed it and why, in its own events and in the audit log; other processes will look."""
    at, actor, action, reason = who
    row = {
        "experiment_id": new.id,
        "version": new.version,
        "at": at,
        "actor": actor,
        "action": action,
        "reason": reason,
        "detail": msgspec.json.encode(detail).decode(),
    }
    database.run(_SQL["insert_event"], row)
    said = {"name": new.name, "reason": reason, **detail}
    audit.add(database, audit.Entry(at, actor, action, "experiment", new.id, said))
    revisions.bump(database, ROOM)


def _difference(old: Experiment, new: Experiment) -> dict[str, Any]:
    found = audit.difference(old, new)
    for name in ("version", "feedback", "started_at", "ended_at"):
        found.pop(name, None)
    return found


def _gone() -> NotFound:
    return NotFound("There is no such experiment. GET /v1/experiments lists them.", param="id")
