"""Jobs in the process that answers requests: it runs them, drains with them, and reloads around them."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

from crews import PLAY, acting, ended, reached, submit
from gatemill.core.errors import InvalidApiKey
from gatemill.jobs.making import new_job
from house_for_tests import opened
from running import Running, serve

ECHO = '[models.m]\ntargets = ["echo/echo"]\n'
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'


def asked(url: str, key: str, said: Any) -> Any:
    request = urllib.request.Request(
        url,
        None if said is None else json.dumps(said).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def left(running: Running, job_id: str, *states: str) -> str:
    """The state of the job, once it is none of these."""
    url = f"{running.url}/v1/jobs/{job_id}"
    while (state := asked(url, running.key, None)["state"]) in states:
        time.sleep(0.05)  # what is looked at tells nobody when it changes
    return state


async def test_a_call_of_a_job_is_a_call_of_its_key_and_costs_what_it_costs(tmp_path: Path):
    async def ask(ctx: Any, _args: Any) -> Any:
        answer = json.loads(await ctx.ask("chat", BODY))
        return answer["choices"][0]["message"]["content"]

    async def stream(ctx: Any, _args: Any) -> Any:
        body = BODY.replace(b"{", b'{"stream":true,', 1)
        return [event.decode() async for event in ctx.stream("chat", body)]

    async with opened(tmp_path, PLAY + ECHO, works=True) as house:
        services = house.home.jobs.services
        (listed,) = await house.home.ledger.list_keys(10)
        with acting(ask=ask, stream=stream):
            (first,) = await submit(services, "ask", key_id=listed.key.id)
            (second,) = await submit(services, "stream", key_id=listed.key.id)
            said = json.loads((await ended(services, first)).result or b"")
            events = json.loads((await ended(services, second)).result or b"")
        await house.home.ledger.flushed()
        rows = await house.home.ledger.recent(10)
        assert "hello" in said
        assert events[-1] == "data: [DONE]\n\n"
        assert all(event.startswith("data: ") and event.count("\n\n") == 1 for event in events)
        assert {(row.job_id, row.key_id) for row in rows} == {
            (first, listed.key.id),
            (second, listed.key.id),
        }
        assert house.home.gateway.meter.in_flight == 0


async def test_a_job_whose_key_was_revoked_is_a_dead_letter(tmp_path: Path):
    async with opened(tmp_path, PLAY + ECHO, works=True) as house:
        services = house.home.jobs.services
        new = await house.home.ledger.create_key("short")
        await house.home.ledger.revoke_key(new.key.id)
        (job_id,) = await submit(services, "sleep", key_id=new.key.id)
        full = await ended(services, job_id)
    assert full.job.state == "dead"
    assert json.loads(full.job.error or b"")["code"] == InvalidApiKey.code


async def test_jobs_use_up_none_of_the_requests_in_flight(tmp_path: Path):
    config = f"{PLAY}{ECHO}[limits]\nrequests_in_flight = 1\n"
    begun, go = asyncio.Event(), asyncio.Event()

    async def hold(ctx: Any, _args: Any) -> Any:
        async with asyncio.timeout(60):
            ctx.services.gateway.gate.enter()
            begun.set()
            await go.wait()
            ctx.services.gateway.gate.leave()

    async with opened(tmp_path, config, works=True) as house:
        with acting(hold=hold):
            (job_id,) = await submit(house.home.jobs.services, "hold")
            await begun.wait()
            said = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            url = f"{house.url}/v1/chat/completions"
            answer = await asyncio.to_thread(asked, url, house.key, said)
            go.set()
            await ended(house.home.jobs.services, job_id)
    assert answer["choices"]


async def test_a_reload_gives_jobs_the_new_gateway_and_lets_those_that_run_go_on(tmp_path: Path):
    seen: list[str] = []
    go = asyncio.Event()

    async def look(ctx: Any, args: Any) -> None:
        if args.text == "wait":
            await go.wait()
        seen.append(f"{args.text} {'other' in ctx.services.gateway.routes.exact}")

    async with opened(tmp_path, PLAY + ECHO, works=True) as house:
        services = house.home.jobs.services
        with acting(look=look):
            (first,) = await submit(services, "look", text="wait")
            await reached(services, first, {"running"})
            more = '[models.other]\ntargets = ["echo/echo"]\n'
            (tmp_path / "gatemill.toml").write_text(PLAY + ECHO + more)
            assert house.shown is not None
            assert house.shown.reloader is not None
            await house.shown.reloader.reload()
            (second,) = await submit(services, "look", text="after")
            await ended(services, second)
            go.set()
            await ended(services, first)
    assert seen == ["after True", "wait False"]


def test_serve_runs_jobs_and_gives_back_what_it_cannot_finish(tmp_path: Path):
    config = f"{PLAY}[server]\ndrain_timeout_s = 1\n"
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with serve(tmp_path, config, **paths) as running:
        url = f"{running.url}/v1/jobs"
        quick = asked(url, running.key, {"kind": "play", "args": {"act": "sleep"}})
        slow = asked(url, running.key, {"kind": "play", "args": {"act": "sleep", "seconds": 600}})
        assert left(running, quick["id"], "queued", "running") == "succeeded"
        assert left(running, slow["id"], "queued") == "running"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
    with serve(tmp_path, config, **paths) as running:
        job = asked(f"{running.url}/v1/jobs/{slow['id']}", running.key, None)
        outcomes = [attempt["outcome"] for attempt in job["attempts"]]
        assert outcomes[0] == "released"
        assert job["attempt"] <= 1


def test_serve_need_not_run_jobs_itself(tmp_path: Path):
    config = f"{PLAY}embedded = false\n"
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with serve(tmp_path, config, **paths) as running:
        url = f"{running.url}/v1/jobs"
        said = {"kind": "play", "args": {"act": "sleep"}, "ttl": 0.5}
        job_id = asked(url, running.key, said)["id"]
        # It keeps house all the same: what nobody begins in time expires.
        assert left(running, job_id, "queued") == "expired"


async def test_a_new_job_is_what_its_kind_says(tmp_path: Path):
    async with opened(tmp_path, f"{PLAY}attempts_max = 9\ntimeout_s = 5\n") as house:
        services = house.home.jobs.services
        new = new_job(services, "play", b"{}", owner="key:x", key_id="", priority=0)
        other = new_job(services, "play", b"{}", owner="key:x", key_id="")
    assert (new.queue, new.attempts_max, new.timeout_s, new.priority) == ("inference", 9, 5.0, 0)
    assert new.id.startswith("job_")
    assert new.id < other.id
    assert len(new.id) == len("job_") + 11 + 6 + 20
