"""What one can do with experiments. Rule: who gets which arm is a pure function; nothing is kept for it.

A draft is served to nobody. A running one splits callers and has outcomes. While it is paused its first
arm, the control, answers everybody; once it is concluded its winner does, or the control where none was
named, until it is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from msgspec import UNSET
from msgspec.structs import replace

from gatemill.core import ids
from gatemill.core.errors import Conflict, InvalidValue
from gatemill.experiments import checking, guardrails, results, table
from gatemill.experiments.inbox import Inbox
from gatemill.ledger.outcomes import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.call import Key
    from gatemill.experiments.asked import Change, NewExperiment
    from gatemill.experiments.results import Figures
    from gatemill.experiments.table import Table
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.experiment_rows import Arm, Event, Experiment, Guardrail
    from gatemill.ledger.ledger import Ledger

FEEDBACK_MAX = 1_000_000
GUARD_PACE_S = 5.0  # between two looks at the guardrails of one experiment, over all processes
_LATE_S = 0.5  # a request that is being written down


class Desk:
    """One for the house."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        splits: Table,
        publish: Callable[[], None],
        feedback_max: int = FEEDBACK_MAX,
    ) -> None:
        """`publish` serves what the table says now; so many outcomes of one experiment are kept."""
        self._ledger = ledger
        self._gateway = gateway
        self.table = splits
        self._publish = publish
        self.inbox = Inbox(ledger, gateway, splits, feedback_max)
        self._new_id = ids.unguessable("exp_")

    @property
    def _now_s(self) -> float:
        return self._gateway.clock.unix_s()

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded."""
        self.table.replace(await self._ledger.experiments.served())
        self._publish()

    # --- Looking ---------------------------------------------------------------------------------

    async def get(self, name: str) -> Experiment:
        """By id or name. Raises NotFound."""
        return await self._ledger.experiments.get(name)

    async def listed(self, state: str, limit: int, after: str) -> list[Experiment]:
        """The newest first, after the id `after`; `state` "" is any."""
        return await self._ledger.experiments.listed(state, limit, after)

    async def events(self, name: str, limit: int, before: int | None) -> list[Event]:
        """What was changed, the newest first. Raises NotFound."""
        one = await self.get(name)
        return await self._ledger.experiments.events(one.id, limit, before)

    async def results(self, name: str) -> dict[str, Any]:
        """What is known of the arms so far, as JSON has it. Raises NotFound."""
        one = await self.get(name)
        await self._ledger.flushed()
        until_s = self._now_s if one.ended_at is None else one.ended_at
        wanted = Wanted(one.id, one.started_at or until_s, until_s + _LATE_S)
        ledger = self._ledger.experiments
        sums = await ledger.sums(wanted)
        with_requests = {row.arm for row in sums.counted}
        p95_ms = {name: await ledger.latency(wanted, name) for name in sorted(with_requests)}
        return results.told(one, sums, p95_ms, until_s)

    # --- Changing --------------------------------------------------------------------------------

    async def create(self, key: Key, said: NewExperiment) -> Experiment:
        """A draft. Raises InvalidValue, MissingParameter and Conflict."""
        now_s = self._now_s
        new = checking.experiment(said, self._new_id(now_s), key, self._gateway, now_s)
        return await self._ledger.experiments.create(new, key.id, said.reason)

    async def change(self, key: Key, name: str, said: Change) -> Experiment:
        """With other weights or another description. Raises NotFound, InvalidValue and Conflict."""

        def change(old: Experiment, now_s: float) -> Experiment:
            new = old if said.description is UNSET else replace(old, description=said.description)
            if said.weights is UNSET:
                return new
            if old.state == "concluded":
                raise Conflict("This experiment is concluded; its weights are history.", param="id")
            return checking.weighed(new, said.weights, now_s)

        return await self._update(name, change, (key.id, "change", said.reason))

    async def start(self, key: Key, name: str, reason: str) -> Experiment:
        """It splits callers from now on, here at once and in other processes within a second.

        Raises NotFound, Conflict, and InvalidValue for an arm whose model has gone meanwhile.
        """

        def start(old: Experiment, now_s: float) -> Experiment:
            if old.state == "concluded":
                raise Conflict("This experiment is concluded. Make a new one.", param="id")
            checking.check_models(old, key, self._gateway)
            return replace(old, state="running", started_at=old.started_at or now_s)

        return await self._update(name, start, (key.id, "start", reason))

    async def pause(self, key: Key, name: str, reason: str) -> Experiment:
        """The control answers everybody; outcomes wait. Raises NotFound and Conflict."""

        def pause(old: Experiment, _now_s: float) -> Experiment:
            if old.state not in ("running", "paused"):
                raise Conflict(f"This experiment is a {old.state} one. Only a running one pauses.")
            return replace(old, state="paused")

        return await self._update(name, pause, (key.id, "pause", reason))

    async def conclude(self, key: Key, name: str, winner: str | None, reason: str) -> Experiment:
        """It has ended: the winner answers everybody, else the control. Raises NotFound, Conflict, InvalidValue."""

        def conclude(old: Experiment, now_s: float) -> Experiment:
            if old.state == "draft":
                raise Conflict("This experiment was never started. Delete it.", param="id")
            if winner is not None and old.arm(winner) is None:
                names = ", ".join(arm.name for arm in old.arms)
                raise InvalidValue(f"`winner`: send one of {names}, or null.", param="winner")
            if old.state == "concluded" and (winner or "") != old.winner:
                raise Conflict("This experiment was concluded otherwise.", param="winner")
            return replace(
                old, state="concluded", winner=winner or "", ended_at=old.ended_at or now_s
            )

        return await self._update(name, conclude, (key.id, "conclude", reason))

    async def delete(self, key: Key, name: str) -> Experiment:
        """It is gone, with all that was said of it; callers get what they would without it.

        Raises NotFound, and Conflict while it decides.
        """
        one = await self.get(name)
        await self._ledger.experiments.delete(one.id, key.id)
        await self.refresh()
        return one

    async def _update(
        self,
        name: str,
        change: Callable[[Experiment, float], Experiment],
        who: tuple[str, str, str],
    ) -> Experiment:
        new = await self._ledger.experiments.update(name, change, who)
        await self.refresh()
        return new

    # --- Guardrails ------------------------------------------------------------------------------

    async def guard(self) -> int:
        """The number of arms that lose their weight because they did what no arm may.

        Any number of processes may call it at any time; each experiment is looked at by one of them.
        """
        count, ledger = 0, self._ledger.experiments
        for one in list(self.table.known.values()):
            guarded = one.state == "running" and one.guardrails
            if guarded and await ledger.take_turn(one.id, GUARD_PACE_S):
                count += await self._guard(one)
        if count:
            await self.refresh()
        return count

    async def _guard(self, one: Experiment) -> int:
        count, now_s = 0, self._now_s
        looked: dict[float, dict[str, Figures]] = {}  # most arms are looked at from one moment
        for arm in guardrails.watched(one):
            for rail in one.guardrails:
                since_s = guardrails.since_s(one, rail, arm, now_s)
                wanted = Wanted(one.id, since_s, now_s + _LATE_S)
                if since_s not in looked:
                    sums = await self._ledger.experiments.counted(wanted)
                    looked[since_s] = results.figures(one, sums)
                why = await self._breach(rail, arm, wanted, looked[since_s][arm.name])
                if why and await self._stop(one, arm, why):
                    count += 1
                    break
        return count

    async def _breach(self, rail: Guardrail, arm: Arm, wanted: Wanted, known: Figures) -> str:
        p95_ms = None
        if rail.metric == "latency_p95_ms" and known.requests >= rail.min_requests:
            p95_ms = await self._ledger.experiments.latency(wanted, arm.name)
        return guardrails.breach(rail, known, p95_ms)

    async def _stop(self, one: Experiment, arm: Arm, why: str) -> bool:
        """False: another process was faster, or it is the last one that answers, which goes on."""
        changed = False

        def stop(old: Experiment, _now_s: float) -> Experiment:
            nonlocal changed
            new = guardrails.stopped(old, arm.name, why)
            changed = new is not old
            return new

        who = ("guardrail", "stop_arm", f"{arm.name}: {why}")
        await self._ledger.experiments.update(one.id, stop, who)
        if changed:
            self.table.stopped += 1
            structlog.get_logger().warning(
                "experiment_arm_stopped", experiment=one.name, arm=arm.name, reason=why
            )
        return changed

    def assigned(self, one: Experiment, unit: str) -> str:
        """The arm that this unit gets."""
        return table.assigned(one, unit)
