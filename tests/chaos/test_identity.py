"""Who you are is your key: no header makes you another, and nobody sees what belongs to another key."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from crowd import crowd
from house_for_tests import Opened, opened
from peer import Answer, body, peer, post

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.fake_provider.server import FakeProvider

REQUESTS = 2000
LIMIT = 1000
# GATEMILL_TEST_OPERATIONS says more, see docs/guides/prove-it.md.
OPERATIONS = int(os.environ.get("GATEMILL_TEST_OPERATIONS", "1500"))
WORKERS = 50
ROUNDS = 20  # at most; how often two meet in one second depends on the machine
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-up"
[models.m]
targets = ["up/fake+first-byte=0.01"]
cache = {{ ttl_s = {ttl_s}, scope = "{scope}" }}
[prices."up/fake+first-byte=0.01"]
input = 1
output = 10
{limits}
"""
# Every answer of the provider has an id of its own, every request of ours too.
_ANSWER_ID = re.compile(rb'"id":"(chatcmpl-[^"]+)"')
_REQUEST_ID = re.compile(rb'"request_id":"([^"]+)"')


async def test_2000_requests_with_changing_headers_are_one_caller_with_one_bill(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    limits = f"[limits.default]\nrequests_per_minute = {LIMIT}"
    config = CONFIG.format(fake=fake.url, ttl_s=0, scope="key", limits=limits)
    async with opened(tmp_path, config) as gate:
        requests = [
            post(
                gate,
                body("m", "hi", user=f"user-{number}"),
                **{
                    "X-User-ID": f"user-{number + 1}",
                    "X-Forwarded-For": f"10.0.{number // 250}.{number % 250}",
                    "X-Real-IP": f"10.1.{number // 250}.{number % 250}",
                    "Forwarded": f"for=10.2.{number // 250}.{number % 250}",
                    "X-Conversation-ID": f"talk-{number}",
                },
            )
            for number in range(REQUESTS)
        ]
        told = await crowd([gate], requests, WORKERS)
        await gate.home.ledger.flushed()
        rows = await gate.home.ledger.recent(REQUESTS + 1)
    statuses = Counter(each.status for each in told)
    assert statuses == {200: LIMIT, 429: REQUESTS - LIMIT}
    assert len(rows) == LIMIT
    assert len({(row.key_id, row.user_id, row.team_id) for row in rows}) == 1
    bill = sum(row.cost_microusd or 0 for row in rows)
    assert bill == LIMIT * (1 + 3 * 10)  # one prompt token and three words
    say(f"{REQUESTS} disguises, limit {LIMIT}: {statuses[200]} answered, one bill of ${bill / 1e6}")


class Seen(Struct):
    """What callers were given."""

    owners: dict[bytes, str] = field(default_factory=dict)  # by id of the answer: who saw it first
    foreign: list[bytes] = field(default_factory=list)  # ids that somebody else saw
    statuses: Counter[int] = field(default_factory=Counter)
    hung_up: int = 0

    def take(self, owner: str, answer: Answer) -> None:
        """Whose answer it is, is whose it was."""
        self.statuses[answer.status] += 1
        for found in _ANSWER_ID.findall(answer.body):
            if self.owners.setdefault(found, owner) != owner:
                self.foreign.append(found)
        ours = answer.headers["x-request-id"].encode()
        self.foreign += [found for found in _REQUEST_ID.findall(answer.body) if found != ours]


def _operation(gate: Opened, chance: random.Random, secret: str) -> bytes:
    """A request of few that both keys send, so that they could meet in every store."""
    number = chance.randrange(300)
    headers = {"authorization": f"Bearer {secret}"}
    kind = chance.random()
    if kind < 0.1:
        headers["cache-control"] = chance.choice(["no-store", "no-cache", "max-age=1"])
    elif kind < 0.4:
        headers["idempotency-key"] = f"order-{number}"
        number += chance.random() < 0.05  # another body under the same name
    stream = number % 2 == 0
    return post(gate, body("m", f"question {number}", stream=stream), **headers)


async def _work(gate: Opened, seen: Seen, secrets: dict[str, str], number: int, count: int) -> None:
    chance = random.Random(number)
    left = count
    while left:
        async with peer(gate) as client:
            closes = False
            while left and not closes:
                left -= 1
                owner = chance.choice("ab")
                await client.send(_operation(gate, chance, secrets[owner]))
                if chance.random() < 0.1:  # hangs up at any instant
                    await asyncio.sleep(chance.choice([0, 0.001, 0.003, 0.01]))
                    seen.hung_up += 1
                    break
                answer = await client.answer()
                seen.take(owner, answer)
                closes = answer.closes


def _met(gate: Opened, seen: Seen) -> int:
    """How often the rarest of all meetings of two keys has happened."""
    recall, replayed = gate.home.gateway.recall, gate.home.gateway.idempotency.replayed
    return min(recall.hits, recall.coalesced, replayed, seen.hung_up, seen.statuses[422])


async def _mixed(
    tmp_path: Path,
    fake: FakeProvider,
    scope: str,
    count: int,
    enough: Callable[[Opened, Seen], bool],
) -> tuple[Seen, Opened]:
    """At least `count` operations, and more until there is `enough` of what chance has to bring."""
    config = CONFIG.format(fake=fake.url, ttl_s=60, scope=scope, limits="")
    seen = Seen()
    async with opened(tmp_path, config) as gate:
        made = {name: await gate.home.ledger.create_key(name) for name in "ab"}
        secrets = {name: new.secret for name, new in made.items()}
        each = count // WORKERS
        for turn in range(ROUNDS):
            numbers = range(turn * WORKERS, (turn + 1) * WORKERS)
            await asyncio.gather(*(_work(gate, seen, secrets, number, each) for number in numbers))
            if enough(gate, seen):
                break
        await gate.home.ledger.flushed()
        rows = await gate.home.ledger.recent(count * ROUNDS + 1)
        assert {row.key_id for row in rows} == {new.key.id for new in made.values()}
    return seen, gate


async def test_two_keys_see_nothing_of_each_other_in_10000_operations(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    seen, gate = await _mixed(tmp_path, fake, "key", OPERATIONS, lambda *were: _met(*were) > 5)
    recall, replayed = gate.home.gateway.recall, gate.home.gateway.idempotency.replayed
    assert seen.foreign == []
    assert set(seen.statuses) <= {200, 409, 422}
    assert _met(gate, seen) > 5
    operations = seen.statuses.total() + seen.hung_up
    say(
        f"{operations} operations of two keys: {recall.hits} hits, {recall.coalesced} coalesced,"
        f" {replayed} replayed, {seen.hung_up} hung up, {len(seen.foreign)} foreign"
    )


async def test_what_two_keys_share_on_purpose_would_be_seen(tmp_path: Path, fake: FakeProvider):
    seen, _ = await _mixed(tmp_path, fake, "all", 1000, lambda _, were: len(were.foreign) > 20)
    assert len(seen.foreign) > 20
