"""What is told of the way to a target. Rule: data only; `lane.py` fills it, metrics and pages show it."""

from __future__ import annotations

from msgspec import Struct


class LaneNumbers(Struct, frozen=True):
    """What a lane exports; from `opened` to `queue_full` they are totals since the start."""

    label: str
    state: int  # 0 closed, 1 half-open, 2 open
    in_flight: int
    limit: int
    waiting: int
    keys_resting: int
    opened: int
    closed: int
    probes: int
    retries: int
    retries_refused: int
    queue_full: int
    keys: int  # of the pool; 0 where there is one fixed key, or none
    latency_s: float  # until the first byte, as it is expected now
    opens_s: float  # until an attempt may begin; 0: now
    error: str  # code of the last failure; "" for none
    error_s: float  # how long ago that was
