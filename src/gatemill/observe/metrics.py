"""Every metric of the product, and the numbers behind those of the gateway.

Rule: labels come from closed sets (configured names, our own codes), so the number of series cannot
be driven by a caller. On the way of a request only integers and floats are added; prometheus-client
makes its objects when somebody scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from gatemill.observe.snapshots import Histograms, Line, Numbers, Snapshot, Spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

DURATION_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 600)
OVERHEAD_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)
SERIES_MAX = 5_000  # a bound on top of the closed label sets: above it the model label is "other"
OTHER = "other"
IN_FLIGHT = "gatemill_requests_in_flight"
LOOP_LAG = "gatemill_event_loop_lag_seconds"


class Histogram:
    """Counts per bucket, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value` in its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        """Add the counts of `other`, which has the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def spread(self) -> Spread:
        """The same, to be written down at once."""
        return Spread(self.bounds, self.counts, self.total)

    @classmethod
    def of(cls, spread: Spread) -> Histogram:
        """What was written down."""
        found = cls(spread.bounds)
        found.counts, found.total = spread.counts, spread.total
        return found

    def samples(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative buckets and the sum, as prometheus-client wants them."""
        buckets, running = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(running)))
        return buckets, self.total


class Series:
    """All numbers of one (operation, model, provider, status): one look-up per request."""

    __slots__ = ("cost_microusd", "duration", "first_token", "overhead", "requests", "tokens")

    def __init__(self) -> None:
        self.requests = 0
        self.duration = Histogram(DURATION_S)
        self.overhead = Histogram(OVERHEAD_S)
        self.first_token = Histogram(DURATION_S)
        self.tokens = [0, 0, 0, 0]  # input, cache_read, cache_write, output (reasoning included)
        self.cost_microusd = 0

    @classmethod
    def of(cls, line: Line) -> Series:
        """What was written down."""
        found = cls()
        found.requests, found.tokens = line.requests, line.tokens
        found.cost_microusd = line.cost_microusd
        found.duration = Histogram.of(line.duration)
        found.overhead = Histogram.of(line.overhead)
        found.first_token = Histogram.of(line.first_token)
        return found


TOKEN_KINDS = ("input", "cache_read", "cache_write", "output")


class Labelled(NamedTuple):
    """A family whose values somebody else keeps."""

    text: str
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], float]]


class Spreads(NamedTuple):
    """A family of histograms that somebody else keeps."""

    text: str
    labels: tuple[str, ...]
    read: Callable[[], Sequence[tuple[tuple[str, ...], Histogram]]]


class Meter:
    """The numbers behind /metrics."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, int], Series] = {}
        self._errors: dict[str, int] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._unpriced: dict[str, int] = {}
        self.in_flight = 0  # written by admit and settle
        self.loop_lag = Histogram(OVERHEAD_S)  # written by the server's ticker
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}  # name -> help, reader
        self.counters: dict[str, tuple[str, Callable[[], float]]] = {}
        # name -> help, label names, reader of values by label values; the labels from closed sets
        self.labelled_gauges: dict[str, Labelled] = {}
        self.labelled_counters: dict[str, Labelled] = {}
        self.labelled_histograms: dict[str, Spreads] = {}
        # What has to be asked for before a scrape; each bounds its own time and raises nothing.
        self.samplers: dict[str, Callable[[], Awaitable[None]]] = {}

    def series(self, operation: str, model: str, provider: str, status: int) -> Series:
        """The series of these labels; made when first asked for."""
        found = self._series.get((operation, model, provider, status))
        if found is None:
            if len(self._series) >= SERIES_MAX:
                model = OTHER
            found = self._series.setdefault((operation, model, provider, status), Series())
        return found

    def by_status(self) -> list[tuple[int, Series]]:
        """All series, with the status that they are of."""
        return [(status, series) for (_, _, _, status), series in self._series.items()]

    def error(self, code: str) -> None:
        """Count a failure that a caller has seen."""
        self._errors[code] = self._errors.get(code, 0) + 1

    def attempt(self, provider: str, outcome: str) -> None:
        """Count one try at a provider: "ok", or our error code."""
        self._attempts[provider, outcome] = self._attempts.get((provider, outcome), 0) + 1

    def unpriced(self, provider: str) -> None:
        """Count an attempt whose price is unknown: its cost is missing from the sums."""
        self._unpriced[provider] = self._unpriced.get(provider, 0) + 1

    # --- Several processes ------------------------------------------------------------------------

    def snapshot(self, at_s: float) -> Snapshot:
        """All numbers as they are now; `at_s` is Unix time."""
        lines = {
            key: Line(
                one.requests,
                one.duration.spread(),
                one.overhead.spread(),
                one.first_token.spread(),
                one.tokens,
                one.cost_microusd,
            )
            for key, one in self._series.items()
        }
        counters = {
            name: Numbers(text, (), {(): float(read())})
            for name, (text, read) in self.counters.items()
        }
        gauges = {
            name: Numbers(text, (), {(): float(read())})
            for name, (text, read) in self.gauges.items()
        }
        for into, families in ((counters, self.labelled_counters), (gauges, self.labelled_gauges)):
            for name, (text, labels, values) in families.items():
                found = {key: float(value) for key, value in values().items()}
                into[name] = Numbers(text, labels, found)
        histograms = {
            name: Histograms(
                text, labels, {key: one.spread() for key, one in merged(spreads()).items()}
            )
            for name, (text, labels, spreads) in self.labelled_histograms.items()
        }
        gauges[IN_FLIGHT] = Numbers("", (), {(): self.in_flight})
        histograms[LOOP_LAG] = Histograms("", (), {(): self.loop_lag.spread()})
        return Snapshot(
            at_s,
            lines,
            self._errors,
            self._attempts,
            self._unpriced,
            counters,
            histograms,
            gauges,
        )

    @classmethod
    def showing(cls, numbers: Snapshot) -> Meter:
        """A meter that says what the snapshot says, once."""
        meter = cls()
        if (under_way := numbers.gauges.pop(IN_FLIGHT, None)) is not None:
            meter.in_flight = int(under_way.values[()])
        if (lag := numbers.histograms.pop(LOOP_LAG, None)) is not None:
            meter.loop_lag = Histogram.of(lag.values[()])
        meter._errors, meter._attempts = numbers.errors, numbers.attempts
        meter._unpriced = numbers.unpriced
        meter._series = {key: Series.of(line) for key, line in numbers.lines.items()}
        for into, families in (
            (meter.labelled_counters, numbers.counters),
            (meter.labelled_gauges, numbers.gauges),
        ):
            for name, one in families.items():
                into[name] = Labelled(one.text, one.labels, one.values.copy)
        for name, spreads in numbers.histograms.items():
            found = [(key, Histogram.of(one)) for key, one in spreads.values.items()]
            meter.labelled_histograms[name] = Spreads(spreads.text, spreads.labels, found.copy)
        return meter

    # --- Scrape ----------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """What is sampled is fresh, or as it was if that takes too long."""
        for sample in self.samplers.values():
            await sample()

    def collect(self) -> Iterator[Metric]:
        """All families; called by prometheus-client."""
        yield from self._requests()
        yield from self._usage()
        yield _counts("gatemill_errors", "Failures callers have seen.", ("code",), self._errors)
        yield _counts(
            "gatemill_attempts",
            "Tries at providers by outcome.",
            ("provider", "outcome"),
            self._attempts,
        )
        yield _counts(
            "gatemill_unpriced_attempts",
            "Attempts whose price is unknown; set [prices] to count their cost.",
            ("provider",),
            self._unpriced,
        )
        yield from self._process()

    def _requests(self) -> Iterator[Metric]:
        names = ("operation", "model", "provider", "status")
        # A series without requests holds only tokens: an attempt that another had to follow.
        seen = [(key, series) for key, series in self._series.items() if series.requests]
        counts = {(o, m, p, str(s)): v.requests for (o, m, p, s), v in seen}
        yield _counts("gatemill_requests", "Requests answered.", names, counts)
        keyed = [((o, m), v.duration) for (o, m, _, _), v in seen]
        yield _histograms(
            "gatemill_request_duration_seconds",
            "From the first byte of the request to the last byte of the answer.",
            ("operation", "model"),
            keyed,
        )
        yield _histograms(
            "gatemill_overhead_seconds",
            "The part of a request not spent waiting for a provider.",
            ("operation",),
            [((o,), v.overhead) for (o, _, _, _), v in seen],
        )
        yield _histograms(
            "gatemill_time_to_first_token_seconds",
            "From asking the provider to the first byte of its answer.",
            ("model", "provider"),
            [((m, p), v.first_token) for (_, m, p, _), v in self._series.items() if p],
        )

    def _usage(self) -> Iterator[Metric]:
        tokens: dict[tuple[str, ...], int] = {}
        cost: dict[tuple[str, ...], int] = {}
        for (_, model, provider, _), series in self._series.items():
            if not provider:
                continue
            for kind, count in zip(TOKEN_KINDS, series.tokens, strict=True):
                tokens[model, provider, kind] = tokens.get((model, provider, kind), 0) + count
            cost[model, provider] = cost.get((model, provider), 0) + series.cost_microusd
        yield _counts("gatemill_tokens", "Tokens.", ("model", "provider", "direction"), tokens)
        dollars = {labels: amount / 1e6 for labels, amount in cost.items()}
        yield _counts("gatemill_cost_usd", "Cost in dollars.", ("model", "provider"), dollars)

    def _process(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(IN_FLIGHT, "Requests under way.", value=self.in_flight)
        yield _histograms(LOOP_LAG, "How late timers fire.", (), [((), self.loop_lag)])
        for name, (text, read) in self.gauges.items():
            yield GaugeMetricFamily(name, text, value=read())
        for name, (text, read) in self.counters.items():
            yield CounterMetricFamily(name, text, value=read())
        for name, (text, labels, values) in self.labelled_counters.items():
            yield _counts(name, text, labels, values())
        for name, (text, labels, values) in self.labelled_gauges.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for key, value in values().items():
                family.add_metric(key, value)
            yield family
        for name, (text, labels, spreads) in self.labelled_histograms.items():
            yield _histograms(name, text, labels, spreads())


def page(meter: Meter, version: str, config_version: str) -> bytes:
    """The text of /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(meter)
    info = GaugeMetricFamily("gatemill_build_info", "Constant 1.", labels=("version", "config"))
    info.add_metric((version, config_version), 1)
    registry.register(_Once(info))
    return generate_latest(registry)


class _Once:
    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _counts(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Mapping[Any, float],  # by label value, or by a tuple of them
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family


def merged(
    values: Sequence[tuple[tuple[str, ...], Histogram]],
) -> dict[tuple[str, ...], Histogram]:
    """One histogram for each value of the labels."""
    found: dict[tuple[str, ...], Histogram] = {}
    for key, histogram in values:
        found.setdefault(key, Histogram(histogram.bounds)).merge(histogram)
    return found


def _histograms(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Sequence[tuple[tuple[str, ...], Histogram]],
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, histogram in merged(values).items():
        buckets, total = histogram.samples()
        family.add_metric(key, buckets, total)
    return family
