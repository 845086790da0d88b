"""What the ledger and the limits are told before an attempt is sent and after a request is over.

Rule: an attempt is on disk as its worst case before a byte of it leaves, and as what it was before
the caller has its answer; so a crash at any moment leaves exactly one row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gatemill.core.call import UsageRow
from gatemill.core.money import microusd
from gatemill.policy import reserve
from gatemill.policy.price import cost_pico

if TYPE_CHECKING:
    from gatemill.core.call import Attempt, Call
    from gatemill.core.errors import GatemillError
    from gatemill.core.limits import Refusal
    from gatemill.core.ports import Limiter

UNSETTLED = "unsettled"
FREE = frozenset(("count_tokens",))  # operations for which nobody is billed
_NO_TOKENS = (0, 0, 0, 0, 0, 0, 0)
_SETTLED = False  # UsageRow.unsettled
_OUTPUT_TOKENS = 4096  # for the worst case of an answer that nobody bounds
# The provider may have worked before these ended an attempt, and will bill for it.
_MAY_BE_BILLED = frozenset(
    (
        "client_closed_request",
        "internal_error",
        "upstream_bad_reply",
        "upstream_interrupted",
        "upstream_timeout",
        "deadline_exceeded",
    )
)


class Rows(Protocol):
    """The part of the ledger that takes rows."""

    def record(self, row: UsageRow) -> None:
        """The row outlives this process."""
        ...

    def hold(self, row: tuple[Any, ...]) -> int:
        """The row is written if this process dies before `release`; -1 where it cannot be kept.

        `row` has the values of a UsageRow in its order.
        """
        ...

    def release(self, slot: int) -> None:
        """The row held there is not needed: the true one was recorded."""
        ...


class Books:
    """One for the gateway."""

    __slots__ = ("limiter", "refuse", "rows")

    def __init__(self, rows: Rows, limiter: Limiter, refuse: Refuse) -> None:
        """`refuse` makes the error of a refusal."""
        self.rows = rows
        self.limiter = limiter
        self.refuse = refuse

    def opening(self, call: Call, tried: Attempt) -> None:
        """An attempt is about to be sent."""
        price = tried.target.price
        cost: int | None = None
        if call.operation in FREE:
            cost = 0
        elif price is not None:
            output = call.head.output_max or call.output_cap or _OUTPUT_TOKENS
            cost = reserve.worst_microusd(price, len(call.body), output * call.head.choices)
        tried.slot = self.rows.hold(_stand_in(call, tried, cost))

    async def more(self, call: Call, tried: Attempt) -> None:
        """Money for one more attempt is held, if the last one may have to be paid too.

        Raises what `refuse` makes.
        """
        hold = call.hold
        if hold is None or not call.reserve_microusd:
            return
        # The last of the attempts may be the one that is about to begin.
        last = call.attempts[-2] if call.attempts[-1] is tried else call.attempts[-1]
        if last.usage is not None or may_be_billed(last):
            refusal = await self.limiter.extend(hold, 0, call.reserve_microusd)
            if refusal is not None:
                raise self.refuse(refusal)

    def record(self, call: Call, tried: Attempt, cost_microusd: int | None) -> UsageRow:
        """The attempt is in the ledger as it was."""
        row = row_of(call, tried, cost_microusd)
        rows = self.rows
        rows.record(row)
        if tried.slot >= 0:
            rows.release(tried.slot)
            tried.slot = -1
        return row

    def record_recalled(self, call: Call, now_s: float) -> UsageRow:
        """An answer that no provider gave is in the ledger, at no cost."""
        row = UsageRow(
            attempt_id=f"{call.id}-1",
            request_id=call.id,
            attempt=1,
            at=call.arrived_at,
            key_id=call.key.id if call.key else "",
            operation=call.operation,
            model=call.head.model,
            provider="",
            target_model="",
            stream=call.head.stream,
            status=200,
            error="",
            input_tokens=0,
            cache_read_tokens=0,
            cache_write_tokens=0,
            input_audio_tokens=0,
            output_tokens=0,
            reasoning_tokens=0,
            output_audio_tokens=0,
            estimated=False,
            cost_microusd=0,
            latency_ms=(now_s - call.started_s) * 1e3,
            first_token_ms=None,
            user_id=call.key.user_id if call.key else "",
            team_id=call.key.team_id if call.key else "",
            cache=call.cache,
            version=call.version,
            decision=call.decision,
            job_id=call.job_id,
            experiment_id=call.experiment,
            prompt_version=call.prompt,
            trace_id=call.trace.id if call.trace is not None else "",
        )
        self.rows.record(row)
        return row


class Refuse(Protocol):
    """Makes the error of a refusal."""

    def __call__(self, refusal: Refusal) -> GatemillError:
        """The error, counted."""
        ...


def may_be_billed(tried: Attempt) -> bool:
    """The provider may have worked on an attempt that has failed."""
    return tried.is_sent and tried.error in _MAY_BE_BILLED


def cost_of(tried: Attempt) -> int | None:
    """Micro-dollars of an attempt whose usage is known; None without a price."""
    price, usage = tried.target.price, tried.usage
    assert usage is not None
    return None if price is None else microusd(cost_pico(price, usage))


def row_of(call: Call, tried: Attempt, cost: int | None) -> UsageRow:
    """The ledger's row of an attempt whose usage is known."""
    key, target, usage = call.key, tried.target, tried.usage
    assert usage is not None
    started_s, first_s = tried.started_s, tried.first_byte_s
    # By position, in the order of the fields: by name it takes twice as long.
    return UsageRow(
        f"{call.id}-{tried.number}",
        call.id,
        tried.number,
        call.arrived_at,
        key.id if key is not None else "",
        call.operation,
        call.head.model,
        target.provider,
        target.model,
        call.head.stream,
        tried.status,
        tried.error,
        usage.input,
        usage.cache_read,
        usage.cache_write + usage.cache_write_1h,  # without a call: this is the hot path
        usage.input_audio,
        usage.output,
        usage.reasoning,
        usage.output_audio,
        usage.estimated,
        cost,
        (tried.ended_s - started_s) * 1e3,
        (first_s - started_s) * 1e3 if first_s else None,
        key.user_id if key is not None else "",
        key.team_id if key is not None else "",
        "",
        call.version,
        _SETTLED,
        call.decision,
        call.job_id,
        call.experiment,
        target.version,
        call.prompt,
        call.trace.id if call.trace is not None else "",
        (started_s - call.started_s) * 1e3,
    )


def _stand_in(call: Call, tried: Attempt, cost: int | None) -> tuple[Any, ...]:
    """The row that stands for an attempt until the true one comes, as a tuple."""
    key, target = call.key, tried.target
    return (
        f"{call.id}-{tried.number}",
        call.id,
        tried.number,
        call.arrived_at,
        key.id if key is not None else "",
        call.operation,
        call.head.model,
        target.provider,
        target.model,
        call.head.stream,
        0,
        UNSETTLED,
        *_NO_TOKENS,
        True,
        cost,
        0.0,
        None,
        key.user_id if key is not None else "",
        key.team_id if key is not None else "",
        "",
        call.version,
        True,
        "",
        call.job_id,
        call.experiment,
        target.version,
        call.prompt,
        call.trace.id if call.trace is not None else "",
        (tried.started_s - call.started_s) * 1e3,
    )
