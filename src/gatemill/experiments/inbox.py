"""Outcomes that callers send. Rule: of another key's request nobody hears, and nothing counts twice.

Who sends an outcome need not know whether an experiment runs: where none does, the answer says that it
does not count, and is no error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import UNSET, Struct

from gatemill.core import ids
from gatemill.core.errors import InvalidValue, MissingParameter, NotFound
from gatemill.experiments import checking
from gatemill.experiments.table import assigned
from gatemill.gateway.routes import allows
from gatemill.ledger.outcomes import Outcome

if TYPE_CHECKING:
    from gatemill.core.call import Key, UsageRow
    from gatemill.experiments.asked import Feedback
    from gatemill.experiments.table import Table
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.experiment_rows import Experiment
    from gatemill.ledger.ledger import Ledger

# Another process writes a request down within about 0.1 s of its answer.
_LATE_S = (0.1, 0.2)
_ENDED = "the experiment is not running"


class Told(Struct, frozen=True):
    """What became of an outcome."""

    experiment: str = ""  # its id; "" for none
    arm: str = ""
    counted: bool = False
    reason: str = ""  # why it does not count


class Inbox:
    """One for the desk."""

    def __init__(self, ledger: Ledger, gateway: Gateway, table: Table, feedback_max: int) -> None:
        """At most `feedback_max` outcomes of one experiment are kept."""
        self._ledger = ledger
        self._feedback_max = feedback_max
        self._gateway = gateway
        self._table = table
        self._new_id = ids.unguessable("fb_")

    async def tell(self, key: Key, said: Feedback) -> Told:
        """The outcome is durable, or does not count.

        Raises NotFound for a request or an experiment that the key cannot know, InvalidValue for a
        metric that it has not or a value that it cannot have, MissingParameter, IdempotencyKeyReused,
        RateLimited.
        """
        if said.request_id is not UNSET:
            if said.experiment is not UNSET:
                raise InvalidValue(
                    "`experiment`: a request knows its own. Send `request_id`, or `experiment` and"
                    " `unit`.",
                    param="experiment",
                )
            return await self._of_request(key, said, said.request_id)
        if said.experiment is UNSET:
            raise MissingParameter(
                "`request_id`: is required: the header x-request-id of the answer. Or send `experiment`"
                " and `unit`.",
                param="request_id",
            )
        if said.unit is UNSET:
            raise MissingParameter(
                "`unit`: is required with `experiment`: whose arm it was about.", param="unit"
            )
        return await self._of_unit(key, said, said.experiment, said.unit)

    async def record(self, one: Experiment, outcome: Outcome) -> bool:
        """An outcome of ours, such as a judge's; whether it counts. Raises InvalidValue."""
        checking.value(checking.declared(one, outcome.metric), outcome.value)
        counted = await self._ledger.experiments.tell(outcome, self._feedback_max)
        self._table.outcomes += counted
        return counted

    async def _of_request(self, key: Key, said: Feedback, request_id: str) -> Told:
        last = await self._request(key, request_id)
        if not last.experiment_id:
            return Told(reason="the request was in no experiment")
        one = await self._experiment(last.experiment_id)
        arm = last.version.partition("/")[0]
        if one is None:
            return Told(reason="the experiment is gone")
        # Several requests of a key are one unit where keys are split; of end users only the caller knows.
        unit = last.key_id if one.unit == "key" else f"request:{request_id}"
        if said.unit is not UNSET:
            unit = said.unit
        own = f"request:{request_id}:{said.metric}"
        return await self._keep(one, key, said, (arm, unit, request_id, own))

    async def _of_unit(self, key: Key, said: Feedback, name: str, unit: str) -> Told:
        one = await self._experiment(name)
        if one is None or not (key.admin or allows(key, one.served)):
            raise NotFound("There is no such experiment.", param="experiment")
        if one.state != "running":  # nobody knows then which arm the unit has seen
            checking.declared(one, said.metric)
            return Told(one.id, "", reason=_ENDED)
        own = self._new_id(self._gateway.clock.unix_s())
        return await self._keep(one, key, said, (assigned(one, unit), unit, "", own))

    async def _keep(
        self, one: Experiment, key: Key, said: Feedback, where: tuple[str, str, str, str]
    ) -> Told:
        arm, unit, request_id, mark = where
        value = checking.value(checking.declared(one, said.metric), said.value)
        named = said.idempotency_key is not UNSET
        outcome = Outcome(
            experiment_id=one.id,
            mark=f"key:{key.id}:{said.idempotency_key}" if named else mark,
            metric=said.metric,
            arm=arm,
            unit=unit,
            request_id=request_id,
            key_id=key.id,
            value=value,
            at=self._gateway.clock.unix_s(),
            replaces=not named,
        )
        if not await self.record(one, outcome):
            return Told(one.id, arm, reason=_ENDED)
        return Told(one.id, arm, counted=True)

    async def _request(self, key: Key, request_id: str) -> UsageRow:
        """The attempt that answered. Raises NotFound."""
        reports = self._ledger.reports
        rows = await reports.request(request_id)
        if not rows:
            await self._ledger.flushed()
            rows = await reports.request(request_id)
        for late_s in _LATE_S:
            if rows:
                break
            await asyncio.sleep(late_s)
            rows = await reports.request(request_id)
        if not rows or (rows[0].key_id != key.id and not key.admin):
            raise NotFound(
                "There is no request with this id that has been answered. It stands in the header"
                " x-request-id.",
                param="request_id",
            )
        return rows[-1]

    async def _experiment(self, name: str) -> Experiment | None:
        """By id or name; None when it is not there."""
        known = self._table.known
        if name in known:
            return known[name]
        try:
            return await self._ledger.experiments.get(name)
        except NotFound:
            return None
