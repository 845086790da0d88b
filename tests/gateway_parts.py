"""A gateway without sockets or files: its rows, its log lines and its numbers lie in the test's hands."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gatemill.core import ids
from gatemill.core.call import Key, Price, UsageRow
from gatemill.core.clock import FakeClock
from gatemill.core.guard import NOTHING, Uses
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.gateway.admit import Admission, Gate, Reserve
from gatemill.gateway.books import Books
from gatemill.gateway.guards import Counts, Guards, Making
from gatemill.gateway.local_guards import known_of
from gatemill.gateway.parts import Caller, Gateway
from gatemill.gateway.pipeline import answer
from gatemill.gateway.plan import Route, Routes
from gatemill.gateway.recall import Recall
from gatemill.gateway.shadow import Shadows
from gatemill.kv.memory.cache import MemoryAnswers
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.observe.access import AccessLog, as_json
from gatemill.observe.metrics import Meter, page
from gatemill.upstream.attempt import Retries, Tries
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import chat, completions, count_tokens, embeddings, messages, responses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.call import Reply, Target, UsageRow
    from gatemill.core.guard import Remote
    from gatemill.guards.scan import Scan

SECRET = b"gm-k1-secret"
KEY = Key(id="k1", name="test")
# 1, 2, 0.5, 1.5, 3 and 4 micro-dollars a token.
PRICE = Price(1_000_000, 2_000_000, 500_000, 1_500_000, 1_500_000, 3_000_000, 4_000_000)
SURFACES = (chat, completions, count_tokens, embeddings, messages, responses)


class Kept:
    """Stands where the line writer does, and keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.dropped = 0

    def write(self, lines: bytes) -> None:
        self.data += lines


class KeyTable:
    """Keys by their secret."""

    def __init__(self, **keys: Key) -> None:
        self._keys = {SECRET: KEY} | {name.encode(): key for name, key in keys.items()}

    def identify(self, secret: bytes) -> Key | None:
        return self._keys.get(secret)


def guards_of(uses: Uses, remotes: Mapping[str, Remote]) -> Guards:
    """Guards with every pattern there is; those that wait for somebody are the test's."""
    making = Making(known_of({}, 256, ("team",)), _scan, lambda use: (remotes[use.guard], 0.5))
    return Guards(uses, making, ThreadPoolExecutor(1), Counts(), ("refuse", 1 << 20))


def _scan(looks: Any) -> Scan:
    return import_module("gatemill.guards.scan").Scan(looks)


def route(*targets: Target, name: str = "m", **fields: Any) -> Route:
    return Route(name=name, targets=targets, **fields)


def numbers(meter: Meter) -> dict[str, float]:
    """Every sample of /metrics, as `name{label="value"}` without the gatemill_ in front."""
    found = {}
    for family in text_string_to_metric_families(page(meter, "1", "c").decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('gatemill_')}{{{labels}}}"] = sample.value
    return found


class Rows:
    """The ledger's part that takes rows; what it holds lies open."""

    def __init__(self) -> None:
        self.rows: list[UsageRow] = []
        self.held: dict[int, UsageRow] = {}
        self.holds = 0

    def record(self, row: UsageRow) -> None:
        self.rows.append(row)

    def hold(self, row: UsageRow) -> int:
        self.holds += 1
        self.held[self.holds] = msgspec.convert(row, UsageRow)
        return self.holds

    def release(self, slot: int) -> None:
        del self.held[slot]


class Stage:
    """One gateway, and what it leaves behind."""

    def __init__(
        self,
        *routes: Route,
        in_flight_max: int = 8,
        depth_max: int = 64,
        default: Limits = UNLIMITED,
        uses: Uses = NOTHING,
        remotes: Mapping[str, Remote] | None = None,
        **keys: Key,
    ) -> None:
        self.clock = FakeClock()
        self.book = Rows()
        self.rows = self.book.rows
        self.meter = Meter()
        self.kept = Kept()
        self.gate = Gate(in_flight_max, self.meter)
        self.crossed: list[tuple[str, float, int, float]] = []
        self.spent = 0  # what the ledger says that everybody has spent already
        self.limiter = MemoryLimiter(self._spent, self._crossed, self.clock)
        self.admission = Admission(
            self.limiter, default, Reserve(100, 50, 5.0), self._sleep, lambda: 0.5
        )
        books = Books(self.book, self.limiter, self.admission.refuse)
        self.answers = MemoryAnswers(1 << 20, self.clock)
        self.remotes = remotes or {}
        self.gateway = Gateway(
            keys=KeyTable(**keys),
            gate=self.gate,
            routes=Routes(
                routes,
                lambda _provider, _model: PRICE,
                lambda provider, model: Lane(f"{provider}/{model}", LaneSettings(), None),
            ),
            admission=self.admission,
            recall=Recall(self.answers, self.clock, self.clock.monotonic_s, 1 << 20),
            idempotency=None,
            shadows=Shadows(),
            tries=Tries(
                now=self.clock.monotonic_s,
                sleep=self._sleep,
                rng=lambda: 0.5,
                retries=Retries(),
                opening=books.opening,
                more=books.more,
            ),
            books=books,
            guards=guards_of(uses, self.remotes),
            surfaces={surface.NAME: surface for surface in SURFACES},
            meter=self.meter,
            access=AccessLog(self.kept, as_json),
            clock=self.clock,
            now=self.clock.monotonic_s,
            new_id=ids.sequence("req_"),
            request_timeout_s=100.0,
            json_depth_max=depth_max,
            version="0123456789ab",
        )

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    async def _spent(self, rule: Any, start_s: float, end_s: float) -> int:
        return self.spent

    def _crossed(self, rule: Any, start_s: float, spent: int, share: float) -> None:
        self.crossed.append((rule.name, start_s, spent, share))

    async def ask(self, operation: str = "chat", body: bytes | None = None, **caller: Any) -> Reply:
        """The reply to a request; without a body it is a chat with the model `m`."""
        sent = asking() if body is None else body
        said = {"secret": SECRET, "started_s": self.clock.monotonic_s(), **caller}
        return await answer(self.gateway, operation, sent, Caller(**said), "req_1")

    @property
    def lines(self) -> Sequence[dict[str, Any]]:
        """The access log so far."""
        self.gateway.access.flush()
        return msgspec.json.decode(b"[" + b",".join(self.kept.data.splitlines()) + b"]")

    @property
    def numbers(self) -> dict[str, float]:
        return numbers(self.meter)


def asking(**fields: Any) -> bytes:
    """The body of a chat request for the model `m`."""
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return msgspec.json.encode(said)
