"""A secret is not found out by how long its refusal takes.

Pairs of wrong secrets: one that shares all but its last six characters with a key that exists, one that
shares nothing; half of the pairs in either order. All are new: one that is asked for again and again
is refused faster, whatever it is, because the processor has learned its way. By default 2,000 pairs;
GATEMILL_TEST_TIMING_PAIRS=20000 is the long form.
"""

from __future__ import annotations

import os
from math import erfc, sqrt
from random import Random
from time import perf_counter_ns

import heavy
from gatemill.ledger import keys
from gatemill.ledger.keys import Scope

PAIRS = int(os.environ.get("GATEMILL_TEST_TIMING_PAIRS", "2000"))
# The long form is a person's, who looks at p; the short one must not fail one run in a hundred by chance.
P_MIN = 0.01 if PAIRS >= 20_000 else 1e-6
PEPPER = bytes(range(32))


def test_a_nearly_right_secret_is_refused_as_fast_as_a_wrong_one(database):
    made = keys.create(database, PEPPER, Scope("key"), 1.0)
    table = keys.load(database, PEPPER, 2.0)
    right, coin = made.secret, Random(7)

    def took(secret: bytes) -> int:
        began = perf_counter_ns()
        found = table.identify(secret)
        ended = perf_counter_ns()
        assert found is None
        return ended - began

    near_is_first = [True, False] * (PAIRS // 2)  # whoever comes first is slower
    coin.shuffle(near_is_first)
    slower = faster = 0
    for is_first in near_is_first:
        one, other = (keys.new_secret("".join(coin.choices("abcdefghij", k=10))) for _ in range(2))
        heads = [right, other] if is_first else [other, right]
        secrets = [(head[:-6] + one[-6:]).encode() for head in heads]
        took_ns = [took(secret) for secret in secrets]
        near_ns = took_ns[heads.index(right)]
        slower += near_ns > min(took_ns)
        faster += near_ns < max(took_ns)
    # A sign test: without a difference, each pair is a fair coin, however the machine is busy.
    count = slower + faster
    p = erfc(abs(slower - faster) / sqrt(2 * count))
    heavy.say(
        f"{PAIRS} pairs: nearly right was slower {slower} times, faster {faster}, p = {p:.3f}"
    )
    assert p >= P_MIN
    assert table.identify(right.encode()) is not None
