"""A process that admits requests against a shared Redis, for tests: a second and a third gateway.

Run with the URL, the prefix, the process id, how many requests, and a word: "exit" or "stay". It prints
how many were admitted, as soon as all are answered; with "stay" it then keeps its holds until it is
killed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from gatemill.core.clock import SystemClock
from gatemill.core.limits import Hold, Kind, Rule, Wanted
from gatemill.kv.redis.limits import Identity
from redis_limiter import made, ready

COST = 10
RULES = {
    "budget": Rule("budget:key:a:total", Kind.BUDGET, "key", "a", 100 * COST, "total"),
    "requests": Rule("requests:key:a", Kind.REQUESTS, "key", "a", 100),
    "concurrency": Rule("concurrency:key:a", Kind.CONCURRENCY, "key", "a", 1000),
    "tokens": Rule("tokens:key:a", Kind.TOKENS, "key", "a", 100_000),
}


def started(url: str, prefix: str, process_id: str, requests: int, *words: str) -> subprocess.Popen:
    """The process. `words` are "exit" or "stay", and the names of rules."""
    program = [sys.executable, __file__, url, prefix, process_id, str(requests), *words]
    return subprocess.Popen(
        program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=Path(__file__).parent
    )


async def _run(url: str, prefix: str, process_id: str, requests: int, words: list[str]) -> None:
    clock = SystemClock()
    limiter = made(url, clock, Identity(process_id, prefix))
    await ready(limiter)
    await limiter.members.beat()
    rules = tuple(RULES[name] for name in words[1:])
    answers = await asyncio.gather(
        *(
            limiter.admit(Wanted(f"{process_id}-{number}", rules, 7, COST, clock.unix_s()))
            for number in range(requests)
        )
    )
    holds = [each for each in answers if isinstance(each, Hold)]
    sys.stdout.write(f"{len(holds)} {sum(each.local for each in holds)}\n")
    sys.stdout.flush()
    if words[0] == "stay":
        await asyncio.Event().wait()
    for hold in holds:
        limiter.settle(hold, 7, COST)
    await limiter.close()


if __name__ == "__main__":
    url, prefix, process_id, requests, *words = sys.argv[1:]
    asyncio.run(_run(url, prefix, process_id, int(requests), words))
