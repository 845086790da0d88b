"""However callers vary what they send, /metrics stays small."""

from __future__ import annotations

import os
import random
import string
import sys

from house_for_tests import opened
from peer import body, peer, plain, post

REQUESTS = int(os.environ.get("GATEMILL_TEST_REQUESTS", "600"))
SERIES_MAX = 5_000
CONFIG = """
[models."any/*"]
targets = ["echo/*"]
[models.echo]
targets = ["echo/echo"]
[[guards.input]]
guard = "secrets"
mode = "log"
"""


def word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_letters + string.digits, k=12))


def asked(gate, rng: random.Random) -> bytes:
    """A request that nobody has sent before."""
    new = word(rng)
    return rng.choice(
        (
            lambda: post(gate, body(f"any/{new}", new)),
            lambda: post(gate, body(new, new)),
            lambda: post(gate, body("echo", new, user=new, metadata={new: new})),
            lambda: post(gate, body("echo", f"sk-{new * 4}", temperature=new)),
            lambda: post(gate, authorization=f"Bearer gm-{new}"),
            lambda: post(gate, b"{" + new.encode()),
            lambda: plain(gate, f"/{new}/{new}"),
            lambda: plain(gate, f"/v1/jobs/{new}"),
            lambda: plain(gate, "/v1/models", new.upper()),
        )
    )()


async def test_no_word_of_a_caller_makes_a_series(tmp_path):
    rng = random.Random(7)
    async with opened(tmp_path, CONFIG) as gate:
        left = REQUESTS
        while left:
            async with peer(gate) as client:
                while left:
                    left -= 1
                    await client.send(asked(gate, rng))
                    if (await client.answer()).closes:
                        break
        async with peer(gate) as client:
            await client.send(plain(gate, "/metrics"))
            lines = (await client.answer()).body.decode().splitlines()
    series = [line for line in lines if not line.startswith("#")]
    sys.stdout.write(f"{REQUESTS} requests: {len(series)} series\n")
    assert 100 < len(series) <= SERIES_MAX
