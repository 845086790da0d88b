"""How sure one may be that two arms differ, whenever one looks. Rule: pure; looking often changes nothing.

Asymptotic confidence sequences: an interval at every moment, and with probability 1 - alpha all of
them hold the truth at once. A fixed interval does not: looked at a hundred times, it finds a difference
between equal arms in about a third of all experiments.
Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", 2021, theorem 2.2.
"""

from __future__ import annotations

from math import log, sqrt

from msgspec import Struct

ALPHA = 0.05  # probability that any interval of all that will be looked at is wrong
# Of each arm, before anything is said: with fewer the normal approximation is not to be trusted.
COUNT_MIN = 30
# Observations of both arms at which the interval is as narrow as it can be made.
TUNED_AT = 1_000.0
_DIGITS = 1e-9
_TUNED_FOR = (-2 * log(ALPHA) + log(-2 * log(ALPHA)) + 1) / TUNED_AT


class Sample(Struct, frozen=True):
    """What is known of one arm, or of one figure."""

    count: int
    mean: float = 0.0
    squares: float = 0.0  # sum of squared deviations from the mean

    @property
    def variance(self) -> float:
        """Of the observations; 0 for fewer than two."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


class Interval(Struct, frozen=True):
    """An estimate, and between what the truth is."""

    value: float
    low: float
    high: float


def sample(count: int, center: float, total: float, squares: float) -> Sample:
    """A sample of sums that were taken about `center`, which only has to be near the mean.

    `total` is the sum of deviations from it, `squares` that of their squares.
    """
    if not count:
        return Sample(0)
    return Sample(count, center + total / count, max(0.0, squares - total * total / count))


def difference(a: Sample, b: Sample, *, binary: bool, alpha: float = ALPHA) -> Interval | None:
    """Mean of `a` minus mean of `b`; None while there are too few observations."""
    if min(a.count, b.count) < COUNT_MIN:
        return None
    first, second = (_binary(a), _binary(b)) if binary else _pooled(a, b)
    # Sums of equal numbers differ in their last digits; that is no difference.
    least = _DIGITS * max(abs(a.mean), abs(b.mean))
    spread = max(least, sqrt(first / a.count + second / b.count))
    value = a.mean - b.mean
    half = spread * _width(a.count + b.count, alpha)
    return Interval(value, value - half, value + half)


def mean(of: Sample, *, binary: bool, alpha: float = ALPHA) -> Interval | None:
    """The mean; None while there are too few observations."""
    if of.count < COUNT_MIN:
        return None
    variance = _binary(of) if binary else of.variance
    half = sqrt(variance / of.count) * _width(of.count, alpha)
    return Interval(of.mean, of.mean - half, of.mean + half)


def verdict(found: Interval | None, *, higher: bool, margin: float = 0.0) -> str:
    """a_better, b_better, equivalent or continue. With a margin, a difference that is surely smaller counts as none."""
    if found is None:
        return "continue"
    if margin > 0 and -margin < found.low and found.high < margin:
        return "equivalent"
    if found.low > 0:
        return "a_better" if higher else "b_better"
    if found.high < 0:
        return "b_better" if higher else "a_better"
    return "continue"


def _width(count: int, alpha: float) -> float:
    """Half the interval, in standard errors."""
    scaled = count * _TUNED_FOR
    return sqrt(2 * (scaled + 1) / scaled * log(sqrt(scaled + 1) / alpha))


def _binary(of: Sample) -> float:
    """The variance as if a success and a failure had been seen besides.

    Thirty successes of thirty are no proof that failure is impossible.
    """
    count = of.count + 2
    centre = (of.mean * of.count + 1) / count
    squares = of.squares + of.count * (of.mean - centre) ** 2 + centre**2 + (1 - centre) ** 2
    return squares / count


def _pooled(a: Sample, b: Sample) -> tuple[float, float]:
    """Both variances, each as if one more value had been seen that is as odd as all values are.

    An arm that has always given the same value so far will not for ever.
    """
    count = a.count + b.count
    between = a.count * b.count / count * (a.mean - b.mean) ** 2
    odd = (a.squares + b.squares + between) / count
    return (a.squares + odd) / a.count, (b.squares + odd) / b.count
