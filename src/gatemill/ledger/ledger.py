"""The ledger as the house sees it: record rows, know keys, ask for sums.

Rule: `record` and `keys.identify` never wait; everything else is awaited and runs in the ledger's
threads, one that writes and one that reads.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.core.guard import NOTHING
from gatemill.core.limits import UNLIMITED
from gatemill.core.scopes import DEFAULT
from gatemill.ledger import (
    alerts,
    audit,
    claims,
    incidents,
    journal,
    keys,
    revisions,
    rollups,
    usage,
)
from gatemill.ledger.alerts import Alerts
from gatemill.ledger.batches import Batches
from gatemill.ledger.claims import Claims
from gatemill.ledger.experiments import Experiments
from gatemill.ledger.features import Features
from gatemill.ledger.files import Files
from gatemill.ledger.incidents import Incidents
from gatemill.ledger.jobs.jobs import Jobs
from gatemill.ledger.knowledge.knowledge import Knowledge
from gatemill.ledger.people import People
from gatemill.ledger.place import locate
from gatemill.ledger.purge import Purge
from gatemill.ledger.reader import Reader
from gatemill.ledger.recordings import Recordings
from gatemill.ledger.registry import Registry
from gatemill.ledger.reports import Reports
from gatemill.ledger.sessions import Sessions
from gatemill.ledger.trends import Trends
from gatemill.ledger.upkeep import SPARE_ROWS_MAX, Condition, Counters, Upkeep
from gatemill.ledger.webhooks import Webhooks
from gatemill.ledger.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gatemill.core.call import Key, UsageRow
    from gatemill.core.clock import Clock
    from gatemill.core.guard import Uses
    from gatemill.core.limits import Limits
    from gatemill.ledger.database import Database
    from gatemill.ledger.keys import KeyTable, ListedKey, Maker, NewKey
    from gatemill.ledger.limits import Change
    from gatemill.ledger.usage import Total

T = TypeVar("T")

JOB_READS_MAX = 1_000  # looks at jobs that may wait for their thread


class Ledger:
    """An open ledger. Made by `open`; belongs to the thread of one event loop."""

    def __init__(self, upkeep: Upkeep, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._upkeep = upkeep
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self.people = People(reader, self._change, clock)
        self.reports = Reports(reader)
        self.trends = Trends(reader)
        self.registry = Registry(reader, self._change, clock)
        self.experiments = Experiments(writer, reader, self._change, clock)
        self.claims = Claims(self._write, upkeep.holds.owner, clock)
        self.alerts = Alerts(self._write)
        self.incidents = Incidents(reader, self._write, clock)
        # A thread of its own: who waits for a job asks often, and a report may take seconds.
        self._job_reader = Reader(upkeep.place, JOB_READS_MAX)
        self.jobs = Jobs(writer, self._job_reader, upkeep.place, clock)
        self.files = Files(writer.share, self._job_reader, clock)
        # Another: a request waits for the features of its caller, for milliseconds.
        self._quick_reader = Reader(upkeep.place)
        self.features = Features(writer, (self._quick_reader, reader), clock)
        self.recordings = Recordings(writer, self._job_reader, clock)
        self.batches = Batches(writer, self._job_reader, clock)
        self.knowledge = Knowledge(writer, self._job_reader, upkeep.place, clock)
        self.sessions = Sessions(reader, self._write, clock, lambda: upkeep.pepper)
        self.webhooks = Webhooks(reader, self._write, clock, lambda: upkeep.pepper)
        self.purge = Purge(self, writer, clock)
        # An attempt about to be sent, in a slot, until its row was recorded: see holds.py. Bound
        # here, because they are called for every attempt.
        self.hold = upkeep.holds.hold
        self.release = upkeep.holds.release
        self._journal = upkeep.journal
        self._journaling = Condition("usage_journal")
        self._keeping = Condition("usage_rows")  # fails when rows are lost
        self._closed = False

    @classmethod
    def open(
        cls, data_dir: Path, url: str | None, clock: Clock, *, pepper: bytes | None = None
    ) -> Ledger:
        """The ledger, current and with its keys loaded; blocks until then, so call it before serving.

        `url` is None for gatemill.db in `data_dir`, sqlite:///path or postgresql://server/database.
        `pepper` None means the file `pepper` in `data_dir`, made if missing. Raises LedgerUnavailable
        and InvalidValue, both with a message for whoever starts the program.
        """
        place = locate(data_dir, url)
        upkeep = Upkeep(data_dir, place, clock, pepper)
        writer = Writer(upkeep)
        writer.start()
        return cls(upkeep, writer, Reader(place), clock)

    # --- The hot path ---------------------------------------------------------------------------

    def record(self, row: UsageRow) -> None:
        """The row survives the death of this process and is in the database within about 100 ms.

        Never raises and never waits for the database. While the journal fails, rows are held in
        memory, at most `SPARE_ROWS_MAX`; beyond that they are counted as lost.
        """
        upkeep = self._upkeep
        upkeep.counters.rows_recorded += 1
        try:
            self._journal.append(row)
        except OSError as error:
            self._spare(row, error)
        else:
            if not self._journaling.holds:
                self._journaling.works()
        if not self._writer.awake:
            self._writer.wake()

    def record_unsettled(self, row: UsageRow) -> None:
        """The worst case of an attempt whose process seems to be dead is recorded.

        The true row replaces it if it comes within `upkeep.SETTLE_AFTER_S`.
        """
        assert row.unsettled
        self.record(row)

    def identify(self, secret: bytes) -> Key | None:
        """The key of a secret, whatever its state; None for an unknown one."""
        return self._upkeep.keys.identify(secret)

    @property
    def keys(self) -> KeyTable:
        """The keys as of at most a second ago; a new object after every change."""
        return self._upkeep.keys

    # --- Keys -----------------------------------------------------------------------------------

    async def create_key(
        self,
        name: str,
        models: Sequence[str] = ("*",),
        *,
        admin: bool = False,
        expires_s: float | None = None,
        user_id: str = "",
        team_id: str = "",
        limits: Limits = UNLIMITED,
        scopes: Sequence[str] = DEFAULT,
        guards: Uses = NOTHING,
        maker: Maker = "cli",
    ) -> NewKey:
        """A new key, durable and known here; its secret is nowhere else.

        `expires_s` is Unix time; `maker` is "cli" or the admin's key. Raises InvalidValue, and
        PermissionDenied for more than the maker has.
        """
        scope = keys.Scope(
            name=name,
            models=tuple(models),
            admin=admin,
            expires_s=expires_s,
            user_id=user_id,
            team_id=team_id,
            limits=limits,
            scopes=tuple(scopes),
            guards=guards,
        )
        pepper, now_s = self._upkeep.pepper, self._clock.unix_s()
        return await self._change(lambda db: keys.create(db, pepper, scope, now_s, maker))

    async def rotate_key(self, key_id: str, grace_s: float, maker: Maker = "cli") -> NewKey:
        """A key with a new id and the old one's name and scope; the old one ends after `grace_s`.

        Raises NotFound, InvalidValue and PermissionDenied.
        """
        pepper, now_s = self._upkeep.pepper, self._clock.unix_s()
        return await self._change(lambda db: keys.rotate(db, pepper, key_id, grace_s, now_s, maker))

    async def update_key(
        self,
        key_id: str,
        *,
        name: str | None = None,
        models: Sequence[str] | None = None,
        limits: Change | None = None,
        user_id: str | None = None,
        team_id: str | None = None,
        scopes: Sequence[str] | None = None,
        guards: Uses | None = None,
        maker: Maker = "cli",
    ) -> Key:
        """The key as it is now; None leaves a value as it is.

        Raises NotFound, InvalidValue (more scopes than it has), and PermissionDenied for models that
        the maker has not.
        """
        said = {"name": name, "limits": limits, "user_id": user_id, "team_id": team_id}
        changes: dict[str, Any] = {field: new for field, new in said.items() if new is not None}
        if models is not None:
            changes["models"] = tuple(models)
        if scopes is not None:
            changes["scopes"] = tuple(scopes)
        if guards is not None:
            changes["guards"] = guards
        now_s = self._clock.unix_s()
        return await self._change(lambda db: keys.update(db, key_id, changes, now_s, maker))

    async def revoke_key(self, key_id: str, actor: str = "cli") -> Key:
        """The key, which works no longer: here at once, elsewhere within a second. Raises NotFound."""
        now_s = self._clock.unix_s()
        return await self._change(lambda db: keys.revoke(db, key_id, now_s, actor))

    async def list_keys(self, limit: int) -> list[ListedKey]:
        """Keys of every state, newest first."""
        return await self._reader.run(lambda db: keys.listed(db, limit))

    async def has_admin(self, unix_s: float = 0.0) -> bool:
        """Whether an admin key works then or later; by default, whether one was ever made."""
        return await self._reader.run(lambda db: keys.has_admin(db, unix_s))

    async def get_key(self, key_id: str) -> ListedKey:
        """A key of any state. Raises NotFound."""
        return await self._reader.run(lambda db: keys.read(db, key_id))

    # --- Changes --------------------------------------------------------------------------------

    async def revisions(self) -> dict[str, int]:
        """A number for each room of the house, which rises when what it keeps has changed."""
        return await self._reader.run(revisions.listed)

    # --- Usage ----------------------------------------------------------------------------------

    async def recent(self, limit: int) -> list[UsageRow]:
        """The newest committed attempts first."""
        return await self._reader.run(lambda db: usage.recent(db, limit))

    async def totals(self, since_s: float, until_s: float) -> list[Total]:
        """Sums per key and model of attempts begun in [since, until) Unix time, the dearest first."""
        return await self._reader.run(lambda db: usage.totals(db, since_s, until_s))

    async def spent(self, scope: str, scope_id: str, since_s: float, until_s: float) -> int:
        """Micro-dollars of requests that arrived in [since, until) Unix time, to whole minutes.

        `scope` is "key", "user", "team" or "model". All that this process has recorded is in it,
        and what others have committed. Unknown costs count as 0, unsettled attempts with their
        worst case. Raises LedgerUnavailable and Overloaded.
        """
        await self.flushed()
        return await self._reader.run(lambda db: usage.spent(db, scope, scope_id, since_s, until_s))

    async def delete_before(self, before_s: float) -> int:
        """The number of attempts deleted: of all requests before the midnight before a Unix time.

        Their minutes are deleted too; the sums of their days stay for ever. At least a day is kept.
        """
        cut_s = rollups.midnight_s(min(before_s, self._clock.unix_s() - rollups.DAY_S))
        await self._write(lambda db: usage.keep_since(db, cut_s))
        deleted = 0
        while True:
            count = await self._write(lambda db: usage.delete_rows(db, cut_s))
            deleted += count
            if count < usage.DELETE_ROWS:
                break
        while await self._write(lambda db: usage.delete_minutes(db, cut_s)):
            pass
        return deleted

    async def retain_audit(self, days: float) -> int:
        """The number of entries of the audit log deleted because they are older than `days`."""
        before_s, deleted = self._clock.unix_s() - days * rollups.DAY_S, 0
        while count := await self._write(
            lambda db: audit.delete_before(db, before_s, usage.DELETE_ROWS)
        ):
            deleted += count
        return deleted

    async def retain(self, days: float) -> int:
        """The number of attempts deleted because they are older than `days`; old alerts go too."""
        now_s = self._clock.unix_s()
        await self._write(lambda db: alerts.delete_before(db, now_s - alerts.KEPT_S))
        await self._write(lambda db: incidents.delete_before(db, now_s - incidents.KEPT_S))
        return await self.delete_before(now_s - days * rollups.DAY_S)

    async def flushed(self) -> None:
        """All rows recorded before are in the database. Raises LedgerUnavailable when they cannot be."""

        def flush(database: Database) -> None:
            while self._upkeep.flush(database) == 0.0:
                pass
            if not self._upkeep.commits.holds:
                raise LedgerUnavailable("The database takes no rows; they wait in the journal.")

        await self._write(flush)

    # --- Its state ------------------------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """Live counters, for metrics."""
        return self._upkeep.counters

    @property
    def commits(self) -> int:
        """Commits of units of work, so far."""
        return self._writer.commits

    @property
    def commit_units(self) -> int:
        """Units of work that were committed, alone or together, so far."""
        return self._writer.units

    def healthy(self) -> bool:
        """The thread runs, rows reach journal and database, and changed keys are noticed."""
        upkeep = self._upkeep
        good = self._journaling.holds and upkeep.commits.holds and upkeep.polls.holds
        return good and self._writer.alive and not self._closed

    async def close(self) -> None:
        """All rows are in the database, or stay in the journal if it fails; the threads have ended."""
        if self._closed:
            return
        self._closed = True
        await self._reader.close()
        await self._job_reader.close()
        await self.knowledge.close()
        await self._quick_reader.close()
        await self._let_go()
        await asyncio.wrap_future(self._writer.stop())
        self._journal.close()
        # Rows in memory alone are in the holds at best.
        self._upkeep.holds.close(remove=not self._upkeep.spare)
        if self._upkeep.spare:
            self.counters.rows_lost += len(self._upkeep.spare)
            self._keeping.failed("closed while neither journal nor database could be written")

    async def _let_go(self) -> None:
        # What is still under way is cut off now, as by a crash.
        for row in journal.decode(self._upkeep.holds.held()).rows:
            self.record(row)
        if self.claims.used:
            owner = self._upkeep.holds.owner
            with suppress(LedgerUnavailable, Overloaded):  # the next process does it
                await self._write(lambda db: claims.drop_owner(db, owner))

    def _spare(self, row: UsageRow, error: OSError) -> None:
        upkeep = self._upkeep
        upkeep.counters.journal_errors += 1
        self._journaling.failed(error.strerror or type(error).__name__)
        if len(upkeep.spare) < SPARE_ROWS_MAX:
            upkeep.spare.append(row)
            self._keeping.works()
            return
        upkeep.counters.rows_lost += 1
        self._keeping.failed("neither journal nor database can be written, and memory is used up")

    async def _change(self, change: Callable[[Database], T]) -> T:
        def run(database: Database) -> T:
            result = change(database)
            self._upkeep.poll(database)  # known here before the caller hears of it
            return result

        return await self._write(run)

    async def _write(self, work: Callable[[Database], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(work))
