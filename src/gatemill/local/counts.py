"""What a shelf has done so far, for the metrics. Rule: numbers only."""

from __future__ import annotations

from gatemill.observe.metrics import DURATION_S, Histogram

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Counts:
    """Written by the shelf and its runtimes on the event loop, read when somebody scrapes."""

    def __init__(self) -> None:
        self.loads: dict[str, int] = {}  # by engine
        self.load_s: dict[str, Histogram] = {}  # by engine
        self.failures = 0
        self.evictions = 0
        self.idle_unloads = 0
        self.batch_sizes: dict[str, Histogram] = {}  # by model, which only an admin names

    def loaded(self, engine: str, took_s: float) -> None:
        """A model has been loaded."""
        self.loads[engine] = self.loads.get(engine, 0) + 1
        self.load_s.setdefault(engine, Histogram(DURATION_S)).observe(took_s)

    def batches(self, name: str) -> Histogram:
        """Where a model's batches are counted; it outlives the model."""
        return self.batch_sizes.setdefault(name, Histogram(BATCH_SIZES))
