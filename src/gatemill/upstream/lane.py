"""The way to one target: its breaker, its limit and queue, its latency, its retry budget, its keys.

Rule: everything learned of a target is here, and outlives a reload of the configuration. `policy`
decides; this file holds, counts and says what has changed, once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from gatemill.core.errors import DeadlineExceeded, GatemillError, QueueFull, UpstreamTimeout
from gatemill.policy.adaptive import Concurrency
from gatemill.policy.breaker import CLOSED, IGNORED, Breaker, BreakerSettings
from gatemill.policy.ewma import PeakEwma
from gatemill.policy.retry_budget import RetryBudget
from gatemill.upstream import outcome
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane_numbers import LaneNumbers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gatemill.core.call import Attempt
    from gatemill.upstream.keys import PoolKey

JOBS_SHARE = 0.75  # of a lane's room that calls of jobs may take
JOBS_TURN = 20  # they wait behind all others, but for every so many turns
LANES_MAX = 4096  # kept at once; beyond it one that is idle and healthy is forgotten


class LaneSettings(Struct, frozen=True):
    """The limits of one lane."""

    breaker: BreakerSettings = BreakerSettings()
    last_target: str = "try"  # or "refuse": what happens when no target of a plan is ready
    budget_share: float = 0.2  # repeats, as a share of the requests
    budget_floor: int = 3
    concurrency_max: int = 256
    waiting_max: int = 256
    wait_s: float = 30.0


class Slot(Struct, eq=False, gc=False):
    """One attempt's place in a lane, from before it is sent until its answer has ended."""

    lane: Lane
    generation: int
    deadline_s: float  # of the call
    is_probe: bool
    key: PoolKey | None
    of_job: bool = False
    tried: Attempt | None = None  # set before anything is sent
    status: int = 0  # the upstream's, where it failed
    ended: bool = False
    relayed: bool = False  # the stream's relay ends it

    def end(self, error: GatemillError | None, now_s: float) -> None:
        """The place is free, and the lane has learned from the result. Only the first call counts."""
        if not self.ended:
            self.ended = True
            self.lane.finish(self, error, now_s)


class Lane:
    """The way to one target; satisfies ports.Lane."""

    def __init__(self, label: str, settings: LaneSettings, keys: KeyPool | None) -> None:
        self.label = label
        self.settings = settings
        self.keys = keys  # replaced by configure, read by enter
        self.latency = PeakEwma()  # until the first byte; written by attempt
        self.budget = RetryBudget(settings.budget_share, settings.budget_floor)
        self.in_flight = 0  # slots that have not ended
        # Counters: read by metrics, written here, the retries by `course`.
        self.opened = self.closed = self.probes = 0
        self.retries = self.retries_refused = self.queue_full = 0
        self._breaker = Breaker(settings.breaker)
        self._concurrency = Concurrency(settings.concurrency_max)
        # Each bounded by waiting_max: callers that wait, and jobs.
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._jobs_waiting: deque[asyncio.Future[bool]] = deque()
        self._jobs_in_flight = self._turns = 0  # of in_flight; turns given so far
        self._said_half_open = False  # once for each time it opens
        self._error, self._error_s = "", 0.0  # the last failure's code, and when (monotonic)

    def configure(self, settings: LaneSettings, keys: KeyPool | None) -> None:
        """These settings and keys count from now on; what was learned stays."""
        if settings.breaker != self.settings.breaker:
            self._breaker.configure(settings.breaker)
        self._concurrency.configure(settings.concurrency_max)
        self.budget.configure(settings.budget_share, settings.budget_floor)
        self.settings = settings
        self.keys = keys
        self._wake()

    # --- Looked at by plan ---------------------------------------------------------------------------

    def is_ready(self, now_s: float) -> bool:
        """An attempt may begin; see ports.Lane. It may have to wait for its turn."""
        if self.keys is not None and self.keys.wakes_s(now_s):
            return False
        return self._breaker.is_ready(now_s)

    def load_s(self, now_s: float) -> float:
        """Expected wait for the first byte; 0 for a target that nobody has tried."""
        return self.latency.value_s(now_s) * (self.in_flight + 1)

    def share(self, now_s: float) -> float:
        """Part of its weight that the target gets, 0 to 1."""
        return self._breaker.share(now_s)

    def opens_s(self, now_s: float) -> float:
        """Seconds until an attempt may begin; 0 when it may."""
        opens_s = self._breaker.opens_s(now_s)
        return opens_s if self.keys is None else max(opens_s, self.keys.wakes_s(now_s))

    # --- Entered by attempt ----------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting) + len(self._jobs_waiting)

    def enter(
        self,
        now_s: float,
        deadline_s: float,
        *,
        of_job: bool = False,
        but: Collection[PoolKey] = (),
    ) -> Slot | None:
        """A slot with no key of `but`, the probe's where one is due; None when not ready, or without room."""
        breaker = self._breaker
        if breaker.state == CLOSED:
            full = self._waiting or self.in_flight >= self._concurrency.limit
            if full or (of_job and not self._has_room_for_job()):
                return None
        elif not breaker.is_ready(now_s):
            return None
        key = None
        if self.keys is not None and (key := self.keys.take(now_s, but)) is None:
            return None
        is_probe = breaker.state != CLOSED
        generation = breaker.generation if not is_probe else self._probe(now_s)
        self.in_flight += 1
        self._jobs_in_flight += of_job
        return Slot(self, generation, deadline_s, is_probe, key, of_job)

    def force(self, now_s: float, deadline_s: float) -> Slot | None:
        """A slot although the target is not ready; its result is ignored while the breaker is open.

        None when it has no room: nobody waits behind an open breaker.
        """
        if self._waiting or self.in_flight >= self._concurrency.limit:
            return None
        key = None
        if self.keys is not None:
            key = self.keys.take(now_s) or self.keys.soonest()
        breaker = self._breaker
        is_probe = breaker.state != CLOSED and breaker.is_ready(now_s)
        if is_probe:
            generation = self._probe(now_s)
        else:
            generation = breaker.generation if breaker.state == CLOSED else IGNORED
        self.in_flight += 1
        return Slot(self, generation, deadline_s, is_probe, key)

    async def wait(
        self, deadline_s: float, now: Callable[[], float], *, of_job: bool = False
    ) -> Slot | None:
        """A slot when it is this request's turn; None when the target was ejected meanwhile.

        First come, first served; see JOBS_TURN. Raises QueueFull, also after `wait_s`, DeadlineExceeded.
        """
        settings = self.settings
        queue = self._jobs_waiting if of_job else self._waiting
        if len(queue) >= settings.waiting_max:
            self.queue_full += 1
            raise queue_full()
        left_s = deadline_s - now()
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        taken = False
        try:
            async with asyncio.timeout(min(left_s, settings.wait_s)):
                granted = await turn
            taken = True
        except TimeoutError:
            if left_s <= settings.wait_s:
                raise too_late() from None
            self.queue_full += 1
            raise queue_full() from None
        finally:
            if not taken:
                self._give_up(turn, queue)
        return self._granted(now(), deadline_s, of_job=of_job) if granted else None

    def finish(self, slot: Slot, error: GatemillError | None, now_s: float) -> None:
        """Called by the slot, once."""
        if error is None:
            if self._breaker.success(slot.generation, now_s):
                self.closed += 1
                structlog.get_logger().info("target_closed", target=self.label, why="probe")
            self._concurrency.success()
        else:
            self._learn(slot, error, now_s)
        self._leave(of_job=slot.of_job)

    def numbers(self, now_s: float) -> LaneNumbers:
        """For metrics."""
        return LaneNumbers(
            label=self.label,
            state=self._breaker.state,
            in_flight=self.in_flight,
            limit=self._concurrency.limit,
            waiting=self.waiting,
            keys_resting=self.keys.resting(now_s) if self.keys is not None else 0,
            opened=self.opened,
            closed=self.closed,
            probes=self.probes,
            retries=self.retries,
            retries_refused=self.retries_refused,
            queue_full=self.queue_full,
            keys=len(self.keys.keys) if self.keys is not None else 0,
            latency_s=self.latency.value_s(now_s),
            opens_s=self.opens_s(now_s),
            error=self._error,
            error_s=now_s - self._error_s if self._error else 0.0,
        )

    @property
    def is_idle(self) -> bool:
        """Nothing is under way and nothing is known that should be remembered."""
        return not self.in_flight and not self.waiting and self._breaker.state == CLOSED

    # --- Inside ----------------------------------------------------------------------------------

    def _probe(self, now_s: float) -> int:
        generation = self._breaker.begin(now_s)
        assert generation is not None, "it was ready, and nothing has been awaited since"
        self.probes += 1
        if not self._said_half_open:
            self._said_half_open = True
            structlog.get_logger().info("target_half_open", target=self.label, why="probe due")
        return generation

    def _learn(self, slot: Slot, error: GatemillError, now_s: float) -> None:
        answered = slot.tried is not None and slot.tried.first_byte_s > 0
        is_timeout = isinstance(error, UpstreamTimeout)
        if is_timeout and now_s >= slot.deadline_s:  # the caller's patience ended, not ours
            self._breaker.neutral(slot.generation)
            return
        if outcome.is_providers(error):
            self._error, self._error_s = error.code, now_s
        rest_s = outcome.key_rest_s(error) if slot.key is not None else None
        if slot.key is not None and rest_s is not None and self.keys is not None:
            self.keys.rest(slot.key, rest_s, now_s, error.code)
        if is_timeout and not answered and slot.tried is not None:
            self.latency.observe(now_s - slot.tried.started_s, now_s)
        # One of several keys being limited is no overload: the next one may have room.
        if outcome.is_overload(error, answered=answered) and (
            rest_s is None or not self._has_key(now_s)
        ):
            self._concurrency.overload(now_s)
        if not outcome.is_failure(error, slot.status):
            self._breaker.neutral(slot.generation)
        elif self._breaker.failure(slot.generation, now_s):
            self._opened(slot, error, now_s)

    def _has_key(self, now_s: float) -> bool:
        return self.keys is not None and not self.keys.wakes_s(now_s)

    def _opened(self, slot: Slot, error: GatemillError, now_s: float) -> None:
        self.opened += 1
        self._said_half_open = False
        breaker = self._breaker
        counted = f"{breaker.failures} of {breaker.attempts} attempts failed"
        structlog.get_logger().warning(
            "target_opened",
            target=self.label,
            why="the probe failed" if slot.is_probe else counted,
            error=error.code,
            seconds=round(breaker.opens_s(now_s), 3),
        )
        # Whoever waits goes elsewhere: there is no queue behind an open breaker.
        for queue in (self._waiting, self._jobs_waiting):
            while (turn := _next(queue)) is not None:
                turn.set_result(False)

    def _wake(self) -> None:
        while self.in_flight < self._concurrency.limit:
            self._turns += 1
            queues = (self._waiting, self._jobs_waiting)
            for queue in queues if self._turns % JOBS_TURN else reversed(queues):
                of_job = queue is self._jobs_waiting
                if of_job and not self._has_room_for_job():
                    continue
                if (turn := _next(queue)) is not None:
                    break
            else:
                return
            self.in_flight += 1  # from here on the place is the waiter's
            self._jobs_in_flight += of_job
            turn.set_result(True)

    def _has_room_for_job(self) -> bool:
        return self._jobs_in_flight < max(1, int(self._concurrency.limit * JOBS_SHARE))

    def _leave(self, *, of_job: bool) -> None:
        self.in_flight -= 1
        self._jobs_in_flight -= of_job
        if self._waiting or self._jobs_waiting:
            self._wake()

    def _give_up(self, turn: asyncio.Future[bool], queue: deque[asyncio.Future[bool]]) -> None:
        if turn in queue:
            queue.remove(turn)
        elif not turn.cancelled() and turn.result():  # it came in this very moment: passed on
            self._leave(of_job=queue is self._jobs_waiting)

    def _granted(self, now_s: float, deadline_s: float, *, of_job: bool) -> Slot | None:
        breaker = self._breaker
        key = self.keys.take(now_s) if self.keys is not None else None
        if breaker.state != CLOSED or (self.keys is not None and key is None):
            self._leave(of_job=of_job)
            return None
        return Slot(self, breaker.generation, deadline_s, is_probe=False, key=key, of_job=of_job)


def _next(queue: deque[asyncio.Future[bool]]) -> asyncio.Future[bool] | None:
    while queue:
        turn = queue.popleft()
        if not turn.done():  # else cancelled in this turn of the loop
            return turn
    return None


def queue_full() -> QueueFull:
    """The failure of a call for which no queue has room."""
    return QueueFull(
        "The model's targets are busy, and as many requests wait as may. Retry later.",
        retry_after_s=1,
    )


def too_late() -> DeadlineExceeded:
    """The failure of a call whose time is over."""
    return DeadlineExceeded("The request's deadline passed. Allow more time or ask for less.")


class Lanes:
    """All lanes and key pools of this process, by name; they outlive a reload."""

    def __init__(self, lanes_max: int = LANES_MAX) -> None:
        self.forgotten = 0  # lanes that made room for others
        self._lanes_max = lanes_max
        self._lanes: dict[str, Lane] = {}
        self._pools: dict[str, KeyPool] = {}

    def of(self, label: str, settings: LaneSettings, keys: KeyPool | None = None) -> Lane:
        """The lane of this target, which obeys these settings from now on."""
        lane = self._lanes.get(label)
        # A target's transport sends one fixed key, or none where a pool does. Those of the former
        # configuration keep their lane when that changes.
        if lane is not None and (lane.keys is None) == (keys is None):
            if lane.settings != settings or lane.keys is not keys:
                lane.configure(settings, keys)
            return lane
        if lane is None and len(self._lanes) >= self._lanes_max:
            self._forget()
        lane = self._lanes[label] = Lane(label, settings, keys)
        return lane

    def keys(
        self,
        provider: str,
        secrets: Sequence[str],
        headers_for: Callable[[str], tuple[tuple[str, str], ...]],
    ) -> KeyPool:
        """A pool of these keys. Those that rested in the provider's former pool go on resting."""
        pool = KeyPool(provider, secrets, headers_for)
        if provider in self._pools:
            pool.adopt(self._pools[provider])
        self._pools[provider] = pool
        return pool

    def metrics(self, now_s: float) -> list[LaneNumbers]:
        """The numbers of every lane."""
        return [lane.numbers(now_s) for lane in self._lanes.values()]

    def _forget(self) -> None:
        self.forgotten += 1
        idle = (label for label, lane in self._lanes.items() if lane.is_idle)
        self._lanes.pop(next(idle, next(iter(self._lanes))))
