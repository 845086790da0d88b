"""Another configuration while requests run: nobody notices, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AsyncExitStack

import pytest
from msgspec import Struct

from crowd import until
from gatemill import __version__
from gatemill.core.clock import SystemClock
from gatemill.core.errors import Draining, ExtraNotInstalled, Overloaded
from gatemill.core.tasks import spawn
from gatemill.edge.reload import WAITING_MAX, Reloader
from gatemill.fake_provider import server as fake_provider
from gatemill.observe import metrics
from gatemill.observe.lines import LineWriter
from gatemill.settings.source import Source
from house_for_tests import Opened, opened
from peer import ask, body, chat, peer, plain, post

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
MORE_LIMITS = ECHO + "[limits]\nbody_bytes = 77\n"
CALLERS, RELOADS = 8, 20
PATIENCE_S = 60.0
UP = '[providers.up]\nkind = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-upstream-key"\n'


class Reloading(Struct):
    """A house whose configuration a test may write again."""

    gate: Opened
    reloader: Reloader
    file: object
    adopted: list

    def write(self, text):
        self.file.write_text(text)

    async def load(self, text):
        self.write(text)
        return await self.reloader.reload()


@pytest.fixture
async def start(tmp_path):
    """Opens a house that can be reloaded; the argument is its TOML."""
    async with AsyncExitStack() as stack:

        async def begin(text):
            gate = await stack.enter_async_context(opened(tmp_path, text))
            file = tmp_path / "gatemill.toml"
            source = Source(file, {}, {"server.data_dir": str(tmp_path / "data")}, lister=None)
            sink = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, sink)
            writer = LineWriter(sink)
            stack.callback(writer.close)
            adopted = []
            reloader = Reloader(
                (gate.home, source.load()),
                source,
                gate.door,
                adopted.append,
                (SystemClock(), (writer, False)),
            )
            stack.push_async_callback(reloader._leaving.close)
            return Reloading(gate, reloader, file, adopted)

        yield begin


@pytest.fixture
async def other():
    """Another provider."""
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


# --- What holds takes effect ----------------------------------------------------------------------


async def test_a_model_that_was_added_is_there_and_the_version_is_another(start):
    run = await start(ECHO)
    before = await chat(run.gate)
    outcome = await run.load(ECHO + '[models.more]\ntargets = ["echo/echo"]\n')
    after = await chat(run.gate, "more")
    assert after.status == 200
    assert (outcome.outcome, outcome.changes) == ("ok", ('+ models.more.targets[0]: "echo/echo"',))
    assert after.headers["x-gatemill-config"] == outcome.version
    assert before.headers["x-gatemill-config"] != outcome.version


async def test_the_door_is_told_of_the_new_settings(start):
    run = await start(ECHO)
    await run.load(ECHO + "[limits]\nbody_bytes = 77\n")
    assert [settings.limits.body_bytes for settings in run.adopted] == [77]


async def test_nothing_new_is_said_to_be_nothing(start):
    run = await start(ECHO)
    gateway = run.gate.door.gateway
    outcome = await run.load(ECHO + "# a remark\n")
    assert (outcome.outcome, outcome.changes, outcome.version) == ("unchanged", (), gateway.version)
    assert run.gate.door.gateway is gateway


async def test_what_needs_a_restart_is_named_and_not_applied(start):
    run = await start(ECHO)
    text = ECHO + "[server]\nport = 1\nrequest_timeout_s = 5\n"
    outcome = await run.load(text)
    assert outcome.changes == ("server.request_timeout_s: 600.0 -> 5.0",)
    assert outcome.needs_restart == ("server.port: 8700 -> 1",)
    assert run.reloader.settings.server.port == 8700
    again = await run.load(text)
    assert (again.outcome, again.needs_restart) == ("unchanged", outcome.needs_restart)


async def test_a_dry_run_says_it_and_does_nothing(start):
    run = await start(ECHO)
    gateway = run.gate.door.gateway
    run.write(ECHO + "[limits]\nbody_bytes = 77\n")
    outcome = await run.reloader.reload(dry_run=True)
    assert (outcome.outcome, outcome.version) == ("ok", gateway.version)
    assert outcome.changes == ("limits.body_bytes: 33554432 -> 77",)
    assert run.gate.door.gateway is gateway
    assert len(run.reloader.history.entries()) == 1


async def test_what_was_counted_goes_on(start):
    run = await start(ECHO)
    await chat(run.gate)
    await run.load(ECHO + "[limits]\nbody_bytes = 77777\n")
    await chat(run.gate)
    page = metrics.page(run.gate.door.gateway.meter, __version__, "x").decode()
    assert (
        'gatemill_requests_total{model="echo",operation="chat",provider="echo",status="200"} 2.0'
        in page
    )


# --- What does not hold changes nothing -----------------------------------------------------------


async def test_what_the_door_cannot_take_is_not_half_in_effect(start):
    run = await start(ECHO)
    gateway = run.gate.door.gateway

    def refuse(_settings):
        raise ExtraNotInstalled("Signing in with an identity provider needs an extra.")

    run.reloader._adopt = refuse
    outcome = await run.load(MORE_LIMITS)
    assert (outcome.outcome, outcome.version) == ("failed", gateway.version)
    assert run.gate.door.gateway is gateway
    assert run.reloader.settings.limits.body_bytes != 77
    home = run.reloader.home
    assert home.lasting.watcher._rooms is home.rooms, "what the database adds still reaches it"


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("[models\n", ["gatemill.toml:1: "]),
        ("[server]\nprot = 1\n", ["gatemill.toml:2: server.prot: unknown key"]),
        (
            '[models.a]\ntargets = ["nobody/x"]\n[limits]\nbody_bytes = 0\n',
            [
                'gatemill.toml:2: models.a.targets.0: no provider is named "nobody"',
                "gatemill.toml:4: limits.body_bytes: must be at least 1",
            ],
        ),
        ('[providers.up]\nkind = "openai"\nca_file = "none.pem"\n', ["gatemill.toml:3: "]),
    ],
    ids=["broken", "unknown", "two", "no_file"],
)
async def test_all_mistakes_are_said_and_the_old_one_stays(start, text, errors):
    run = await start(ECHO)
    gateway = run.gate.door.gateway
    outcome = await run.load(text)
    assert (outcome.outcome, outcome.version) == ("failed", gateway.version)
    said = [line.replace(f"{run.file.parent}/", "") for line in outcome.errors]
    assert len(said) == len(errors)
    for line, begins in zip(said, errors, strict=True):
        assert line.startswith(begins)
    assert run.gate.door.gateway is gateway
    assert (await chat(run.gate)).status == 200
    assert (await run.load(ECHO)).outcome == "unchanged"


async def test_a_file_that_cannot_be_used_changes_nothing(start, tmp_path):
    run = await start(ECHO)
    gateway = run.gate.door.gateway
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    url = 'kind = "openai"\nbase_url = "https://127.0.0.1:1/v1"\n'
    outcome = await run.load(ECHO + f'[providers.up]\n{url}ca_file = "{bad}"\n')
    assert outcome.outcome == "failed"
    assert run.gate.door.gateway is gateway
    assert run.adopted[-1] is run.reloader.settings, "the door has those in effect again"


async def test_a_file_that_is_gone_changes_nothing(start):
    run = await start(ECHO)
    run.file.unlink()
    outcome = await run.reloader.reload()
    assert outcome.outcome == "failed"
    assert "no such file" in outcome.errors[0]


# --- Requests under way ---------------------------------------------------------------------------


async def test_a_stream_of_a_model_that_is_removed_ends_well(start, held):
    run = await start(ECHO)
    await run.load(ECHO + UP.format(url=held.url) + '[models.x]\ntargets = ["up/m"]\n')
    pool = run.reloader.home.transports["up"]
    async with peer(run.gate) as client:
        await client.send(post(run.gate, body("x", stream=True)))
        await client.head()
        await client.chunk()
        assert (await run.load(ECHO)).outcome == "ok"
        assert (await chat(run.gate, "x")).code == "model_not_found"
        assert pool._connections_max > 0
        held.release()
        got = b""
        while (more := await client.chunk()) != b"":
            got += more
        assert b"data: [DONE]\n\n" in got
    await _until(lambda: pool._connections_max == 0)


async def test_new_requests_go_to_the_new_address_of_a_provider(start, fake, other):
    run = await start(UP.format(url=fake.url))
    assert (await chat(run.gate, "up/fake")).status == 200
    await run.load(UP.format(url=other.url))
    assert (await chat(run.gate, "up/fake")).status == 200
    assert (len(fake.journal), len(other.journal)) == (1, 1)


async def test_connections_to_a_provider_that_stays_are_kept(start, fake):
    run = await start(UP.format(url=fake.url))
    await chat(run.gate, "up/fake")
    pool = run.gate.home.transports["up"]
    await run.load(UP.format(url=fake.url) + ECHO)
    await chat(run.gate, "up/fake")
    assert run.reloader.home.transports["up"] is pool
    assert pool._connections_max > 0
    assert len(pool._idle) == 1


async def test_what_is_not_used_any_more_is_closed_once_its_requests_have_ended(
    start, fake, other, held
):
    run = await start(ECHO)  # the first house is held by the test itself
    await run.load(UP.format(url=held.url))
    pools = [run.reloader.home.transports["up"]]
    async with peer(run.gate) as client:
        await client.send(post(run.gate, body("up/m")))
        await held.until_asked()
        for provider in (other, fake):
            await run.load(UP.format(url=provider.url))
            pools.append(run.reloader.home.transports["up"])
        await chat(run.gate, "up/fake")
        # The request holds the first of them, and nobody the second.
        await _until(lambda: pools[1]._connections_max == 0)
        assert [pool._connections_max > 0 for pool in pools] == [True, False, True]
        held.release()
        assert (await client.answer()).status == 200
    await _until(lambda: [pool._connections_max > 0 for pool in pools] == [False, False, True])


async def test_a_request_that_was_cut_does_not_keep_its_gateway(start, fake):
    run = await start(ECHO)
    pauses = asyncio.Queue()
    run.reloader._leaving._pause = pauses.get
    await run.load(UP.format(url=fake.url))
    pool = run.reloader.home.transports["up"]
    async with peer(run.gate) as client:
        await client.send(post(run.gate, body("up/fake+hang")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        await run.load(ECHO)
    await fake.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        while pool._connections_max:
            pauses.put_nowait(None)
            await asyncio.sleep(0.01)


async def test_every_request_during_twenty_reloads_succeeds(start, fake, other):
    run = await start(UP.format(url=fake.url))
    over = False
    versions: list[str] = []  # that answered, in this order

    async def ask_on():
        async with peer(run.gate) as client:
            while not over:
                await client.send(post(run.gate, body("up/fake")))
                answer = await client.answer()
                assert answer.status == 200, answer.body
                versions.append(answer.headers["x-gatemill-config"])

    callers = [spawn(ask_on(), "caller") for _ in range(CALLERS)]
    for turn in range(RELOADS):
        text = (
            UP.format(url=(other, fake)[turn % 2].url) + f"[limits]\nheader_count = {turn + 20}\n"
        )
        outcome = await run.load(text)
        assert outcome.outcome == "ok"
        # Each is in effect before the next, and is asked more than once.
        await until(lambda said=outcome: versions.count(said.version) >= CALLERS, PATIENCE_S)
    over = True
    await asyncio.gather(*callers)
    assert len(set(versions) - {run.gate.home.gateway.version}) == RELOADS
    assert len(fake.journal) + len(other.journal) == len(versions)


async def test_there_is_no_reload_during_a_drain(start):
    run = await start(ECHO)
    run.gate.door.drain()
    with pytest.raises(Draining):
        await run.load(ECHO + "[limits]\nbody_bytes = 77\n")


async def test_reloads_at_once_come_one_after_the_other_and_not_without_end(start):
    run = await start(ECHO)
    run.write(ECHO + "[limits]\nbody_bytes = 77777\n")
    waiting = [spawn(run.reloader.reload(), "reload") for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await run.reloader.reload()
    outcomes = [outcome.outcome for outcome in await asyncio.gather(*waiting)]
    assert outcomes == ["ok"] + ["unchanged"] * (WAITING_MAX - 1)


# --- What is remembered ---------------------------------------------------------------------------


async def test_every_configuration_that_was_in_effect_is_kept(start):
    run = await start(ECHO)
    first = run.gate.door.gateway.version
    text = ECHO + "[limits]\nbody_bytes = 77\n"
    second = (await run.load(text)).version
    await run.load("broken")
    kept = run.reloader.history.entries()
    assert [(entry.number, entry.version) for entry in kept] == [(2, second), (1, first)]
    assert kept[0].text == text.encode()


async def test_without_room_for_the_history_the_reload_works(start, tmp_path):
    run = await start(ECHO)
    folder = tmp_path / "data" / "config"
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    assert (await run.load(ECHO + "[limits]\nbody_bytes = 77\n")).outcome == "ok"


async def test_the_metrics_tell_of_every_reload(start):
    run = await start(ECHO)
    for text in (ECHO, ECHO + "[limits]\nbody_bytes = 77\n", "broken"):
        await run.load(text)
    page = metrics.page(run.gate.door.gateway.meter, __version__, "x").decode()
    for outcome in ("ok", "unchanged", "failed"):
        assert f'gatemill_config_reloads_total{{outcome="{outcome}"}} 1.0' in page
    assert "gatemill_config_last_reload_success 0.0" in page
    await run.load(ECHO)
    page = metrics.page(run.gate.door.gateway.meter, __version__, "x").decode()
    assert "gatemill_config_last_reload_success 1.0" in page
    (line,) = [x for x in page.splitlines() if x.startswith("gatemill_config_last_reload_time")]
    assert float(line.split()[1]) > 1.7e9


async def _until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            gc.collect()
            await asyncio.sleep(0)


# --- Over HTTP ------------------------------------------------------------------------------------


async def test_a_house_without_a_source_says_so(gate):
    gate.shown.reloader = None
    answer = await ask(gate, plain(gate, "/api/v1/config/versions"))
    assert (answer.status, answer.json["code"]) == (404, "not_found")
