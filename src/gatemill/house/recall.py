"""The cache and the kept answers of the settings -> stages of the gateway.

Rule: the store outlives a reload; who may read which answer is decided anew.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatemill.gateway.idempotency import Idempotency
from gatemill.gateway.recall import Recall
from gatemill.kv.memory.cache import MemoryAnswers

if TYPE_CHECKING:
    from gatemill.core.clock import Clock
    from gatemill.gateway.recall import Answers, Embed
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings

_RECORDING_SHARE = 4  # of the cache's memory, one part in so many holds streams under way


def answers_of(settings: Settings, clock: Clock) -> Answers:
    """The store that `stores.cache` names. Raises InvalidValue when its package is missing."""
    if settings.stores.cache == "memory":
        return MemoryAnswers(settings.cache.memory_bytes, clock)
    redis: Any = import_module("gatemill.kv.redis.cache")
    connecting: Any = import_module("gatemill.kv.redis.connection")
    addresses: Any = import_module("gatemill.core.redis_address")
    connection = connecting.Connection(addresses.address(settings.stores.cache))
    made: Answers = redis.RedisAnswers(connection, "gm:cache:")
    return made


def recall_of(settings: Settings, answers: Answers, clock: Clock, embed: Embed) -> Recall:
    """Stage 5 of the gateway."""
    return Recall(
        answers,
        clock,
        clock.monotonic_s,
        settings.cache.memory_bytes // _RECORDING_SHARE,
        embed,
    )


def idempotency_of(settings: Settings, ledger: Ledger, clock: Clock) -> Idempotency:
    """What stands around every request that carries an Idempotency-Key."""
    said = settings.idempotency
    return Idempotency(ledger.claims, clock, said.keep_s, said.body_bytes)
