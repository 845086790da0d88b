"""Where one call has been, and where it may go next.

Rule: first every target that is ready, in the plan's order; then those again that broke by
themselves, within attempts, retry budget, `Retry-After` and deadline; a target that is left alone is
tried only when there is no other.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import CircuitOpen, GatemillError, QueueFull, UpstreamTimeout
from gatemill.policy import backoff
from gatemill.upstream import outcome
from gatemill.upstream.lane import Lane, Slot, queue_full, too_late

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.core.call import Attempt, Call, Target
    from gatemill.upstream.keys import PoolKey


class Retries(Struct, frozen=True):
    """How often a failed attempt is followed by another."""

    attempts_max: int = 3  # for one call, over all targets
    backoff_s: float = 0.25  # longest pause before the first repeat; it doubles
    backoff_max_s: float = 8.0
    retry_after_max_s: float = 20.0  # of a provider's Retry-After that is waited for


class Tries(Struct, frozen=True):
    """What every call's attempts share."""

    now: Callable[[], float]  # monotonic seconds
    sleep: Callable[[float], Awaitable[None]]
    rng: Callable[[], float]  # in [0, 1)
    retries: Retries
    # Called right before an attempt is sent; must not raise.
    opening: Callable[[Call, Attempt], None]
    # Awaited before the second attempt and later ones; a GatemillError ends the call, which then
    # fails with what its last attempt failed with.
    more: Callable[[Call, Attempt], Awaitable[None]]


class _Failed(Struct):
    """The last failure at one target."""

    again_s: float  # not before: the provider's Retry-After
    repeats: bool
    with_next_key: bool


class Course(Struct):
    """One call on its way through its targets; made for the call, gone with it."""

    targets: Sequence[Target]
    call: Call
    tries: Tries
    at: int = 0  # index of the target that was entered last
    sent: int = 0  # attempts begun
    repeats: int = 0  # pauses made; the backoff doubles with each
    failed: dict[int, _Failed] = {}  # by index
    full: set[int] = set()  # their queue had no room for this call
    refused: set[PoolKey] = set()  # one of them again is a repeat, however short its rest was
    may_force: bool = True  # nothing has been tried yet, except a probe
    last: GatemillError | None = None  # the last failure of an upstream

    def enter(self, now_s: float) -> Slot | None:
        """A slot at the first target, not yet tried, that is ready and has room."""
        deadline_s = self.call.deadline_s
        if now_s >= deadline_s:
            raise too_late()
        failed, full, of_job = self.failed, self.full, bool(self.call.job_id)
        for index, target in enumerate(self.targets):
            if index in failed or index in full:
                continue
            lane = target.lane
            assert isinstance(lane, Lane)
            slot = lane.enter(now_s, deadline_s, of_job=of_job)
            if slot is not None:
                return self._take(index, slot)
        return None

    async def find(self) -> Slot:
        """A slot at the next place, after whatever has to be waited for.

        Raises the last failure when no place is left; CircuitOpen, QueueFull and DeadlineExceeded.
        """
        while True:
            now_s = self.tries.now()
            if self.sent >= self.tries.retries.attempts_max:
                raise self._verdict(now_s)
            slot = self._next_key(now_s) or self.enter(now_s)
            if slot is None and (busy := self._busy(now_s)) is not None:
                slot = await self._wait(busy)
            elif slot is None:
                slot = self._forced(now_s)
                if slot is None:
                    again = self._again(now_s)
                    if again is None:
                        raise self._verdict(now_s)
                    slot = await self._repeat(*again)
            if slot is not None:
                return slot

    def failed_with(self, slot: Slot, error: GatemillError) -> GatemillError | None:
        """Takes down how the attempt ended. Gives what to raise, None when to go on."""
        call, now_s = self.call, self.tries.now()
        tried = slot.tried
        assert tried is not None
        if not call.attempts or call.attempts[-1] is not tried:  # `more` has refused it
            slot.end(error, now_s)
            return self.last
        if isinstance(error, UpstreamTimeout):
            tried.is_sent = error.is_sent
            if now_s >= call.deadline_s:
                error = too_late()
        tried.status, tried.error = error.status, error.code
        tried.ended_s = tried.ended_s or now_s
        slot.end(error, now_s)
        if not error.falls_back:
            return error
        retry_after_s = error.retry_after_s or 0.0
        with_next_key = slot.key is not None and outcome.key_rest_s(error) is not None
        if slot.key is not None and with_next_key:
            self.refused.add(slot.key)
        # Those that failed longest ago come first when it is time for repeats.
        self.failed.pop(self.at, None)
        self.failed[self.at] = _Failed(
            again_s=now_s + retry_after_s,
            repeats=outcome.repeats(error, slot.status)
            and retry_after_s <= self.tries.retries.retry_after_max_s,
            with_next_key=with_next_key,
        )
        self.may_force = self.may_force and slot.is_probe
        # Its traceback holds the frame that holds this course; of what was tried, only the words count.
        self.last = error.with_traceback(None)
        return None

    # --- Inside ----------------------------------------------------------------------------------

    def _lane(self, index: int) -> Lane:
        lane = self.targets[index].lane
        assert isinstance(lane, Lane)
        return lane

    def _take(self, index: int, slot: Slot) -> Slot:
        if index not in self.failed:
            slot.lane.budget.deposit()
        self.at = index
        self.sent += 1
        return slot

    def _untried(self) -> list[int]:
        known = self.failed.keys() | self.full
        return [index for index in range(len(self.targets)) if index not in known]

    def _next_key(self, now_s: float) -> Slot | None:
        """The target that has just refused one key, with the next one."""
        failed = self.failed.get(self.at)
        if failed is None or not failed.with_next_key:
            return None
        # A last attempt goes to another target rather than to one more key.
        is_last = self.sent + 1 >= self.tries.retries.attempts_max
        if is_last and any(self._lane(index).is_ready(now_s) for index in self._untried()):
            return None
        of_job = bool(self.call.job_id)
        slot = self._lane(self.at).enter(
            now_s, self.call.deadline_s, of_job=of_job, but=self.refused
        )
        return slot and self._take(self.at, slot)

    def _busy(self, now_s: float) -> int | None:
        """The ready target, not yet tried, for which the fewest wait."""
        ready = [index for index in self._untried() if self._lane(index).is_ready(now_s)]
        return min(ready, key=lambda index: self._lane(index).waiting, default=None)

    async def _wait(self, index: int) -> Slot | None:
        try:
            slot = await self._lane(index).wait(
                self.call.deadline_s, self.tries.now, of_job=bool(self.call.job_id)
            )
        except QueueFull:
            self.full.add(index)
            return None
        return slot and self._take(index, slot)

    def _forced(self, now_s: float) -> Slot | None:
        """The target that opens first, when none is ready and that is what the settings say."""
        lanes = [(index, self._lane(index)) for index in self._untried()]
        lanes = [each for each in lanes if each[1].settings.last_target == "try"]
        if not lanes or not self.may_force:
            return None
        self.may_force = False
        index, lane = min(lanes, key=lambda each: each[1].opens_s(now_s))
        slot = lane.force(now_s, self.call.deadline_s)
        return slot and self._take(index, slot)

    def _again(self, now_s: float) -> tuple[float, int] | None:
        """The pause before the next repeat, and its target, whose retry budget has paid for it."""
        retries = self.tries.retries
        jitter_s = backoff.pause_s(
            self.repeats + 1, retries.backoff_s, retries.backoff_max_s, self.tries.rng()
        )
        pauses = [
            (max(jitter_s, failed.again_s - now_s), index)
            for index, failed in self.failed.items()
            if failed.repeats and index not in self.full
        ]
        pauses.sort(key=itemgetter(0))
        for pause_s, index in pauses:
            lane = self._lane(index)
            if now_s + pause_s >= self.call.deadline_s or not lane.is_ready(now_s + pause_s):
                continue
            if lane.budget.withdraw():
                lane.retries += 1
                return pause_s, index
            lane.retries_refused += 1
        return None

    async def _repeat(self, pause_s: float, index: int) -> Slot | None:
        self.repeats += 1
        await self.tries.sleep(pause_s)
        now_s, lane = self.tries.now(), self._lane(index)
        slot = lane.enter(now_s, self.call.deadline_s, of_job=bool(self.call.job_id))
        if slot is not None:
            return self._take(index, slot)
        if lane.is_ready(now_s):
            slot = await self._wait(index)
        if slot is None:
            self.failed[index].repeats = False
        return slot

    def _verdict(self, now_s: float) -> GatemillError:
        if self.last is not None:
            # Not kept: its traceback holds the frame that holds this course.
            last, self.last = self.last, None
            return last
        if self.full:
            return queue_full()
        opens_s = min(self._lane(index).opens_s(now_s) for index in range(len(self.targets)))
        return CircuitOpen(
            "Every target of this model failed lately and is left alone. Retry later.",
            retry_after_s=opens_s,
        )
