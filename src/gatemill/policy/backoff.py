"""How long to wait before a repeat. Rule: randomness is an argument."""

from __future__ import annotations


def pause_s(repeat: int, first_s: float, most_s: float, unit: float) -> float:
    """Seconds before the repeat number `repeat` (1-based), full jitter.

    `unit` is a random number in [0, 1). Source: AWS Architecture Blog, "Exponential Backoff And
    Jitter", 2015.
    """
    return unit * min(most_s, first_s * 2.0 ** min(repeat - 1, 64))
