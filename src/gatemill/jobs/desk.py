"""Where callers hand jobs in, and ask what became of them.

Rule: what is refused leaves no row, and what is accepted is on disk before the answer. Whose a job is
decides who may see it; to anybody else it is not there.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import (
    Conflict,
    GatemillError,
    InvalidValue,
    NotFound,
)
from gatemill.core.job import PRIORITIES, NewJob, Ring, owner_of
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import read
from gatemill.gateway.plan import plan
from gatemill.jobs import shown
from gatemill.jobs.arguments import Arguments
from gatemill.jobs.making import new_job
from gatemill.jobs.submission import Sender, Submission, begins_at, expires_at, placed
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.core.call import Key
    from gatemill.core.job import Full, Job, Progress
    from gatemill.core.ports import Bell, Json
    from gatemill.jobs.news import News
    from gatemill.jobs.services import Services
    from gatemill.ledger.jobs.rows import Accepted, Filter

MANY_MAX = 500  # dead letters that one request replays or purges
CHAT = "chat.completion"
INFERENCE = "inference"
RESPONSE = "response"  # in the background
_AT_ONCE = 50  # changes of single jobs that share the ledger's transactions
_PAUSE_EVERY = 50  # jobs of one request are looked at before others get their turn
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class Terms(Struct, frozen=True):
    """How much is accepted; see docs/settings.md, section jobs."""

    args_bytes: int
    waiting_max: int
    waiting_max_per_owner: int


class Manner(Struct, frozen=True):
    """How an inference request wants to be a job."""

    kind: str  # CHAT, INFERENCE or RESPONSE
    priority: int | None = None
    callback_url: str = ""
    metadata: bytes = b"{}"


class Many(Struct, frozen=True):
    """What became of many dead letters."""

    ids: tuple[str, ...]  # that were meant
    done: int
    has_more: bool  # another request does the rest


class Desk:
    """One for each configuration."""

    def __init__(
        self,
        services: Services,
        bell: Bell,
        terms: Terms,
        check_url: Callable[[str], Awaitable[None]],
        news: News,
    ) -> None:
        """`check_url` raises InvalidValue for a callback URL that is not to be called."""
        self.news = news
        self.services = services
        self._jobs = services.ledger.jobs
        self._bell = bell
        self._terms = terms
        self._check_url = check_url
        self._arguments = Arguments(services, terms.args_bytes)

    # --- Accepting -------------------------------------------------------------------------------

    async def accept(
        self, sender: Sender, said: Sequence[Submission], *, listed: bool = False
    ) -> list[Accepted]:
        """All of these jobs are accepted and durable, or none is; in their order.

        `listed` says that errors name a job's place in the list. Raises InvalidArguments for
        arguments that do not fit their kind, InvalidValue, NotFound, RequestTooLarge, RateLimited
        and Overloaded where too many wait, IdempotencyKeyReused, LedgerUnavailable.
        """
        _check_idempotency_key(sender)
        checked: set[str] = set()
        new: list[NewJob] = []
        for at, one in enumerate(said):
            try:
                if one.callback_url and one.callback_url not in checked:
                    await self._check_url(one.callback_url)
                    checked.add(one.callback_url)
                new.append(await self._new(sender, one, at))
            except GatemillError as error:
                raise placed(error, f"jobs.{at}" if listed else "") from None
            if at % _PAUSE_EVERY == _PAUSE_EVERY - 1:
                await asyncio.sleep(0)
        return await self._submit(new)

    async def accept_inference(
        self, sender: Sender, operation: str, body: bytes, manner: Manner
    ) -> Accepted:
        """An inference request is a job, refused as it would be if it were answered at once.

        Raises InvalidRequest and its kinds, ModelNotFound, and as `accept`.
        """
        _check_idempotency_key(sender)
        gateway = self.services.gateway
        caller = Caller(secret=None, started_s=gateway.now())
        call = read(gateway, gateway.surfaces[operation], body, caller, "", sender.key)
        plan(gateway.routes, sender.key, call, gateway.now())
        if manner.callback_url:
            await self._check_url(manner.callback_url)
        kind, args = manner.kind, body
        if kind == RESPONSE:
            args = fields.encode({"body": Raw(body)})
        elif kind == INFERENCE:
            args = fields.encode({"operation": operation, "body": Raw(body)})
        args = await self._arguments.check(kind, args, sender.key)
        more: dict[str, Any] = {} if manner.priority is None else {"priority": manner.priority}
        new = self._made(
            sender,
            kind,
            args,
            0,
            callback_url=manner.callback_url,
            metadata=manner.metadata,
            **more,
        )
        return (await self._submit([new]))[0]

    async def _new(self, sender: Sender, said: Submission, at: int) -> NewJob:
        now_s = self.services.clock.unix_s()
        self._arguments.check_kind(said.kind)
        run_at = begins_at(said, now_s)
        args = await self._arguments.check(said.kind, bytes(said.args), sender.key)
        more: dict[str, Any] = {}
        if said.priority is not None:
            more["priority"] = PRIORITIES.index(said.priority)
        if said.metadata:
            more["metadata"] = fields.encode(said.metadata)
        return self._made(
            sender,
            said.kind,
            args,
            at,
            run_at=run_at,
            expires_at=expires_at(said, run_at, now_s),
            callback_url=said.callback_url or "",
            **more,
        )

    def _made(self, sender: Sender, kind: str, args: bytes, at: int, **more: Any) -> NewJob:
        if sender.idempotency_key:
            more["unique_key"] = f"idem:{sender.idempotency_key}:{at}"
            more["fingerprint"] = sender.fingerprint
        return new_job(
            self.services,
            kind,
            args,
            owner=owner_of(sender.key),
            key_id=sender.key.id,
            **more,
        )

    async def _submit(self, new: Sequence[NewJob]) -> list[Accepted]:
        terms = self._terms
        found = await self._jobs.submit(new, terms.waiting_max_per_owner, terms.waiting_max)
        await self.ring([each.job for each in found if each.created])
        return found

    async def ring(self, jobs: Sequence[Job | NewJob]) -> None:
        """Workers hear of those that wait; a NewJob is one that has just been written."""
        waiting = (job for job in jobs if isinstance(job, NewJob) or job.state == "queued")
        rings = [Ring(job.id, job.queue, job.priority) for job in waiting]
        if rings:
            await self.services.ring(rings)

    # --- Looking ---------------------------------------------------------------------------------

    async def full(self, key: Key, job_id: str) -> Full:
        """The job with its arguments and its result. Raises NotFound, LedgerUnavailable."""
        return await self._jobs.get(job_id, _seen(key))

    async def look(self, key: Key, job_id: str) -> tuple[Job, Progress | None]:
        """The job and how far it is, without what is long. Raises as `full`."""
        return await self._jobs.look(job_id, _seen(key))

    async def events(self, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """The next of what a job has said, numbered from 1; whose it is has been asked before."""
        return await self._jobs.events(job_id, after, limit)

    async def told(self, key: Key, job_id: str) -> Json:
        """A job as the API tells it, with its cost and its history. Raises as `full`."""
        full = await self.full(key, job_id)
        return shown.whole(full, *await self._history(job_id))

    async def letter(self, key: Key, job_id: str) -> Json:
        """A dead letter, for its owner or an admin with its arguments. Raises as `full`."""
        full = await self.full(key, job_id)
        if full.job.state != "dead":
            raise _not_dead(full.job.state, NotFound)
        # A prompt is more than the control plane tells those who may only look.
        knows = _owner(key) in (None, full.job.owner)
        return shown.letter(full, *await self._history(job_id), knows_args=knows)

    async def _history(self, job_id: str) -> tuple[Any, int | None]:
        await self.services.ledger.flushed()
        return await self._jobs.attempts(job_id), await self._jobs.cost(job_id)

    async def listed(self, key: Key, wanted: Filter, limit: int, after: str = "") -> list[Job]:
        """Jobs of the caller, an admin's sees all; the newest first, after the id `after`."""
        return await self._listed(_seen(key), wanted, limit, after)

    async def _listed(
        self, owner: str | None, wanted: Filter, limit: int, after: str = ""
    ) -> list[Job]:
        return await self._jobs.listed(msgspec.structs.replace(wanted, owner=owner), limit, after)

    # --- Changing --------------------------------------------------------------------------------

    async def cancel(self, key: Key, job_id: str) -> Job:
        """It never starts, or stops within seconds; what has ended stays. Raises NotFound."""
        job = await self._jobs.cancel(job_id, _owner(key))
        if job.state == "running":
            await self._bell.call_off(job.id)
        self.news.tell(job.id)
        return job

    async def replay(
        self, key: Key, job_id: str, args: bytes | None = None, priority: int | None = None
    ) -> Job:
        """A dead letter is queued again, with other arguments if there are any.

        Raises NotFound, Conflict when it is not dead any more, InvalidValue for arguments of a job on
        another key's account, and what `accept` says of them.
        """
        job, _ = await self._jobs.look(job_id, _owner(key))
        if args is not None:
            if self._arguments.is_hidden(job.kind):
                raise InvalidValue(
                    f"`args`: those of {job.kind} cannot be changed. Leave them out.", param="args"
                )
            # It runs with the scopes, the models and the money of its own key.
            if job.key_id != key.id and not key.admin:
                raise InvalidValue(
                    "`args`: this job is on another key's account. Leave them out, or hand in a job.",
                    param="args",
                )
            args = await self._arguments.check(job.kind, args, key)
        if not await self._jobs.replay(job_id, _owner(key), args=args, priority=priority):
            raise _not_dead((await self._jobs.look(job_id, _owner(key)))[0].state, Conflict)
        job, _ = await self._jobs.look(job_id, _owner(key))
        await self.ring([job])
        self.news.tell(job_id)
        return job

    async def delete(self, key: Key, job_id: str) -> None:
        """A job that has ended is gone. Raises NotFound, and Conflict while it has not."""
        job, _ = await self._jobs.look(job_id, _owner(key))
        if not await self._jobs.delete(job_id, _owner(key)):
            raise Conflict(f"This job is {job.state}. Cancel it first, then delete it.", param="id")

    async def purge(self, key: Key, job_id: str) -> None:
        """A dead letter is gone, with all that belongs to it. Raises NotFound and Conflict."""
        job, _ = await self._jobs.look(job_id, _owner(key))
        if not await self._jobs.purge(job_id, _owner(key)):
            raise _not_dead(job.state, Conflict)

    # --- Many dead letters -----------------------------------------------------------------------

    async def dead(self, key: Key, wanted: Filter) -> Many:
        """The ids of dead letters that a replay or a purge of this filter would mean now."""
        dead = msgspec.structs.replace(wanted, state="dead")
        found = await self._listed(_owner(key), dead, MANY_MAX + 1)
        ids = tuple(job.id for job in found[:MANY_MAX])
        return Many(ids, 0, len(found) > MANY_MAX)

    async def replay_many(self, key: Key, meant: Many, priority: int | None) -> Many:
        """Those that are dead are queued again; the others stay as they are."""

        async def one(job_id: str) -> Job | None:
            owner = _owner(key)
            if not await self._jobs.replay(job_id, owner, args=None, priority=priority):
                return None
            return (await self._jobs.look(job_id, owner))[0]

        done = await _each(meant.ids, one)
        await self.ring(done)
        for job in done:
            self.news.tell(job.id)
        return Many(meant.ids, len(done), meant.has_more)

    async def purge_many(self, key: Key, meant: Many) -> Many:
        """Those that are dead are gone."""

        async def one(job_id: str) -> str | None:
            return job_id if await self._jobs.purge(job_id, _owner(key)) else None

        return Many(meant.ids, len(await _each(meant.ids, one)), meant.has_more)


async def _each(ids: Sequence[str], work: Callable[[str], Awaitable[Any]]) -> list[Any]:
    """What `work` gives for each, a few at once; without those that it finds nothing for."""

    async def one(job_id: str) -> Any:
        try:
            return await work(job_id)
        except NotFound:
            return None

    found: list[Any] = []
    for at in range(0, len(ids), _AT_ONCE):
        found += await asyncio.gather(*(one(job_id) for job_id in ids[at : at + _AT_ONCE]))
    return [each for each in found if each is not None]


def _owner(key: Key) -> str | None:
    """Whose jobs a key may change; None is everybody's."""
    return None if key.admin else owner_of(key)


def _seen(key: Key) -> str | None:
    """Whose jobs a key may look at; None is everybody's."""
    return None if key.may("admin:read") else owner_of(key)


def _not_dead(state: str, kind: type[GatemillError]) -> GatemillError:
    return kind(
        f"This job is no dead letter: it is {state}. GET /v1/dead_letters lists those.", param="id"
    )


def _check_idempotency_key(sender: Sender) -> None:
    if sender.idempotency_key and not _IDEMPOTENCY_KEY.fullmatch(sender.idempotency_key):
        raise InvalidValue(
            "`Idempotency-Key`: send 1 to 255 printable ASCII characters.", param="Idempotency-Key"
        )
