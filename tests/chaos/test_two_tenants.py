"""Two tenants never see each other: not an id, a word, a kept answer, a row or a label, whatever they do."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import databases
import redis_service
from gatemill.ledger.registry_rows import Model, NewVersion
from house_for_tests import Opened, opened
from peer import Peer, peer, plain
from sink import Sink
from tenants import Sent, Tenant, Watch, bare, operation, trespass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatemill.fake_provider.server import FakeProvider

WANTED = "GATEMILL_TEST_OPERATIONS"
OPERATIONS = int(os.environ.get(WANTED, "500"))
WORKERS = 24
PROMPTS = 5  # of each
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-up"
[models.m]
targets = ["up/fake+first-byte=0.005"]
cache = {{ ttl_s = 60, scope = "{scope}" }}
[models.echo]
targets = ["echo/echo"]
[webhooks]
private_addresses = ["127.0.0.0/8"]
endpoints_max = 10000
{stores}
"""


async def _tenants(gate: Opened, sink: Sink) -> list[Tenant]:
    found = []
    for name in ("ada", "eve"):
        team = f"team-{name}-7f3a"
        await gate.home.ledger.people.create_team(team, name, actor="cli")
        new = await gate.home.ledger.create_key(f"key-{name}-51bc", team_id=team)
        hook = f"http://127.0.0.1:{sink.port}/hook/{name}"
        tenant = Tenant(name, new.secret, new.key.id, team, hook)
        for number in range(PROMPTS):
            tenant.keep("prompt", await _prompt(gate, tenant, number))
        found.append(tenant)
    return found


async def _prompt(gate: Opened, tenant: Tenant, number: int) -> str:
    """The name of a prompt that is this team's; it says so."""
    name, desk = f"prompt_{tenant.name}{number:09}", gate.home.rooms.registry
    await desk.create(Model(name, "prompt", "", "", team_id=tenant.team_id), "cli")
    await desk.add_prompt(name, (f"{tenant.canary} says {number}", None), NewVersion(), "cli")
    return name


class Play:
    """The server, the two, and what they were told."""

    def __init__(self, gate: Opened, tenants: list[Tenant]) -> None:
        self.gate = gate
        self.tenants = tenants
        self.watch = Watch()

    async def run(self, count: int) -> None:
        """So many operations, half of them by each, many at once; some hang up at any instant."""
        each = count // WORKERS
        await asyncio.gather(*(self._work(number, each) for number in range(WORKERS)))

    async def _work(self, number: int, count: int) -> None:
        chance = random.Random(number)
        left = count
        while left > 0:
            async with peer(self.gate) as client:
                stays = True
                while left > 0 and stays:
                    left -= 1
                    stays = await self._one(chance, client)

    async def _one(self, chance: random.Random, client: Peer) -> bool:
        """One operation; whether the connection can take another."""
        mine, other = chance.sample(self.tenants, 2)
        if chance.random() < 0.12:
            return await self._trespass(chance, client, mine, other)
        sent = operation(chance, mine)
        await client.send(sent.bytes(mine.secret))
        if chance.random() < 0.1:
            await asyncio.sleep(chance.choice([0, 0.001, 0.003, 0.01]))
            self.watch.hung_up += 1
            return False
        try:
            answer = await client.answer()
        except TimeoutError as error:
            error.add_note(f"{sent.method} {sent.path}")
            raise
        self.watch.take(mine, other, sent, answer)
        return not answer.closes

    async def _trespass(
        self, chance: random.Random, client: Peer, mine: Tenant, other: Tenant
    ) -> bool:
        made = trespass(chance, other)
        if made is None:
            return True
        told = []
        for sent in made:
            await client.send(sent.bytes(mine.secret))
            answer = await client.answer()
            self.watch.take(mine, other, sent, answer)
            if answer.closes:
                return False
            told.append(bare(answer, sent))
        self.watch.foreign += 1
        if told[0] != told[1] or told[0][0] != 404:
            self.watch.leaks.append(f"{made[0].path}: {told}")
        return True

    async def settled(self) -> dict[str, int]:
        """Rows by key, after everything under way has ended; each tenant is told of its own."""
        gate = self.gate
        assert gate.crew is not None
        await gate.home.ledger.flushed()
        rows = await gate.home.ledger.recent(1_000_000)
        counts = {tenant.key_id: 0 for tenant in self.tenants}
        for row in rows:
            counts[row.key_id] += 1
            team = next(each.team_id for each in self.tenants if each.key_id == row.key_id)
            assert row.team_id == team
        for mine, other in zip(self.tenants, self.tenants[::-1], strict=True):
            async with peer(gate) as client:
                for path in ("/api/v1/requests?limit=10000", "/api/v1/usage?by=key,team"):
                    sent = Sent("GET", path)
                    await client.send(sent.bytes(mine.secret))
                    answer = await client.answer()
                    assert answer.status == 200
                    self.watch.take(mine, other, sent, answer)
                    assert mine.key_id.encode() in answer.body
        return counts


async def _played(tmp_path: Path, config: str, count: int) -> tuple[Play, Sink, dict[str, int]]:
    async with Sink() as sink, opened(tmp_path, config, works=True) as gate:
        play = Play(gate, await _tenants(gate, sink))
        await play.run(count)
        counts = await play.settled()
        async with peer(gate) as client:
            await client.send(plain(gate, "/metrics"))
            page = (await client.answer()).body
    for tenant in play.tenants:
        for mark in tenant.marks():
            assert mark not in page
    return play, sink, counts


def _good(play: Play, sink: Sink, counts: dict[str, int]) -> None:
    """Nobody saw anything of the other, and all of it was there."""
    watch = play.watch
    assert watch.leaks == []
    assert watch.foreign > OPERATIONS / 30
    assert watch.hung_up > OPERATIONS / 30
    for tenant in play.tenants:
        assert set(tenant.told) <= {200, 201, 202, 400, 403, 404, 409, 422}, tenant.told
        assert counts[tenant.key_id] > min(OPERATIONS, 10_000) / 20  # of the newest rows
    for hook in sink.seen:
        name = hook.line.split()[1].rpartition("/")[2]
        wrong = next(each for each in play.tenants if each.name != name)
        assert not [mark for mark in wrong.marks() if mark in hook.body]


def _figures(play: Play, sink: Sink) -> str:
    recall = play.gate.home.gateway.recall
    return (
        f"{OPERATIONS} operations of two tenants: {len(play.watch.done)} kinds of answers, {recall.hits} hits,"
        f" {play.watch.hung_up} hung up, {play.watch.foreign} times the other's things asked for,"
        f" {len(sink.seen)} notifications, {len(play.watch.leaks)} leaks"
    )


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The long form keeps a machine busy for minutes."""
    monkeypatch.setattr("peer.PATIENCE_S", 90.0)


@pytest.fixture(params=databases.KINDS if WANTED in os.environ else ["sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where it is all kept: SQLite and memory, or Postgres and Redis."""
    with databases.empty(request.param, tmp_path) as place, redis_service.store() as url:
        is_shared = request.param == "postgres"
        lines = [f'database = "{place.url}"', f'counters = "{url}"', f'cache = "{url}"']
        yield "\n".join(["[stores]", *lines]) if is_shared else ""


async def test_two_tenants_see_nothing_of_each_other_whatever_they_do(
    stores: str, tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    config = CONFIG.format(fake=fake.url, scope="key", stores=stores)
    play, sink, counts = await _played(tmp_path, config, OPERATIONS)
    _good(play, sink, counts)
    say(f"{'Postgres' if stores else 'SQLite'}: {_figures(play, sink)}")


async def test_what_two_tenants_share_on_purpose_would_be_seen(tmp_path: Path, fake: FakeProvider):
    config = CONFIG.format(fake=fake.url, scope="all", stores="")
    play, _, _ = await _played(tmp_path, config, 1_000)
    assert len(play.watch.leaks) > 3
