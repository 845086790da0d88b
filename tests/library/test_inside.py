"""The whole library before a real provider: what callers of the server get, a program gets."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

import gatemill
from gatemill import house
from gatemill.core.errors import (
    BudgetSpent,
    GatemillError,
    InvalidApiKey,
    InvalidType,
    InvalidValue,
    LedgerUnavailable,
    ModelNotFound,
    RateLimited,
    UpstreamError,
    UpstreamInterrupted,
)
from gatemill.core.limits import Budget, Limits
from gatemill.fake_provider import server as fake_provider

CONFIG = """
[server]
data_dir = "{data}"
[providers.open]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-upstream"
[models.fast]
targets = ["open/fake"]
[models.brittle]
targets = ["open/fake+status=503"]
fallbacks = ["fast"]
[models.broken]
targets = ["open/fake+status=503"]
[models.slow]
targets = ["open/fake+slow=0.01"]
[models.cut]
targets = ["open/fake+cut=2"]
[models.kept]
targets = ["open/fake"]
cache = {{ ttl_s = 60 }}
[models.vectors]
targets = ["echo/echo"]
[providers.echo]
[prices."open/fake"]
input = 1.0
output = 2.0
[prices."open/fake+slow=0.01"]
input = 1.0
output = 2.0
[retries]
attempts_max = 2
backoff_s = 0.001
"""


@asynccontextmanager
async def town(folder, more: str = "", **said):
    """An open gateway, and the provider that it asks."""
    fake = await fake_provider.start("127.0.0.1", 0)
    file = folder / "gatemill.toml"
    file.write_text(CONFIG.format(fake=fake.url, data=folder / "data") + more)
    try:
        async with gatemill.open(file, environ={}, **said) as gm:
            yield gm, fake
    finally:
        await fake.stop()


async def rows(gm):
    await gm._home.ledger.flushed()
    return await gm._home.ledger.recent(1000)


# --- Calls ---------------------------------------------------------------------------------------


async def test_a_chat_is_answered_billed_and_written_down(tmp_path):
    async with town(tmp_path) as (gm, _):
        answer = await gm.chat("fast", "Hello", temperature=0)
        (row,) = await rows(gm)
    assert answer.text
    assert answer.data["object"] == "chat.completion"
    assert (answer.target, answer.attempts, answer.cache) == ("open/fake", 1, "")
    assert answer.cost_microusd == row.cost_microusd > 0
    assert (row.request_id, row.key_id, row.operation) == (answer.request_id, "library", "chat")


async def test_messages_are_given_as_they_are(tmp_path):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    async with town(tmp_path) as (gm, fake):
        await gm.chat("fast", messages)
        assert fake.journal[-1].body["messages"] == messages


async def test_a_failing_target_is_not_noticed(tmp_path):
    async with town(tmp_path) as (gm, _):
        answer = await gm.chat("brittle", "Hello")
    assert (answer.target, answer.attempts) == ("open/fake", 2)


async def test_a_failure_is_an_exception_with_its_code(tmp_path):
    async with town(tmp_path) as (gm, _):
        with pytest.raises(UpstreamError):
            await gm.chat("broken", "Hello")
        with pytest.raises(ModelNotFound):
            await gm.chat("unknown", "Hello")
        with pytest.raises(InvalidType, match="no JSON"):
            await gm.chat("fast", [{"role": "user", "content": object()}])
        with pytest.raises(GatemillError) as caught:
            await gm.chat("fast", "Hello", temperature="hot", n="two")
    assert caught.value.status == 400


async def test_an_answer_comes_in_pieces(tmp_path):
    async with town(tmp_path) as (gm, _):
        whole = (await gm.chat("fast", "Count to five")).text
        found = [piece async for piece in gm.stream("fast", "Count to five")]
        recorded = await rows(gm)
    assert len(found) > 1
    assert "".join(found) == whole
    assert [row.stream for row in recorded] == [True, False]


async def test_leaving_a_stream_hangs_up_and_bills_what_came(tmp_path):
    async with town(tmp_path) as (gm, _):
        stream = gm.stream("slow", "Count to five")
        assert await anext(stream)
        await stream.aclose()
        (row,) = await rows(gm)
        assert gm._home.gateway.meter.in_flight == 0
    assert row.error == "client_closed_request"
    assert row.cost_microusd > 0


async def test_a_stream_that_breaks_says_so_between_two_pieces(tmp_path):
    async with town(tmp_path) as (gm, _):
        found = []
        with pytest.raises(UpstreamInterrupted):
            async for piece in gm.stream("cut", "Count to five"):
                found.append(piece)
    assert found


async def test_texts_become_vectors(tmp_path):
    async with town(tmp_path) as (gm, _):
        answer = await gm.embed("vectors", ["one", "two"])
        again = await gm.embed("vectors", "one")
    assert len(answer.vectors) == 2
    assert answer.vectors[0] == again.vectors[0] != answer.vectors[1]


async def test_texts_get_labels_and_documents_an_order(tmp_path):
    async with town(tmp_path) as (gm, _):
        said = await gm.predict("builtin/sentiment", ["excellent", "awful"], top_k=2)
        assert [each["label"] for each in said.data["predictions"]] == ["positive", "negative"]
        ranked = await gm.rerank("builtin/lexical", "red mill", ["owl", "red mill"], top_n=1)
        assert [each["index"] for each in ranked.data["results"]] == [1]
        assert (said.target, ranked.cost_microusd) == ("builtin/sentiment", 0)


async def test_an_equal_question_is_answered_from_the_cache(tmp_path):
    async with town(tmp_path) as (gm, _):
        first = await gm.chat("kept", "Hello")
        second = await gm.chat("kept", "Hello")
        fresh = await gm.chat("kept", "Hello", cache_control="no-cache")
    assert (first.cache, second.cache, fresh.cache) == ("miss", "hit", "miss")
    assert (second.text, second.cost_microusd) == (first.text, 0)


async def test_a_request_with_its_own_key_is_done_once(tmp_path):
    async with town(tmp_path) as (gm, _):
        first = await gm.chat("fast", "Hello", idempotency_key="one")
        second = await gm.chat("fast", "Hello", idempotency_key="one")
        assert second.data == first.data
        assert len(await rows(gm)) == 1
        with pytest.raises(GatemillError) as caught:
            await gm.chat("fast", "Something else", idempotency_key="one")
    assert caught.value.code == "idempotency_key_reused"


async def test_many_prompts_are_answered_in_order_and_bounded(tmp_path):
    most = 0
    async with town(tmp_path) as (gm, _):
        meter = gm._home.gateway.meter

        def prompts():
            nonlocal most
            for index in range(40):
                most = max(most, meter.in_flight)
                yield f"prompt {index}"

        answers = await gm.gather(prompts(), model="vectors", max_concurrent=4)
        failed = await gm.gather(["a", "b"], model="unknown", max_concurrent=4)
        with pytest.raises(InvalidValue, match="max_concurrent"):
            await gm.gather([], model="fast", max_concurrent=0)
    assert [answer.text for answer in answers] == [
        answer.text for answer in sorted(answers, key=lambda one: one.request_id)
    ]
    assert all(f"prompt {index}" in answer.text for index, answer in enumerate(answers))
    assert most <= 4
    assert [type(each) for each in failed] == [ModelNotFound, ModelNotFound]


# --- Who calls -----------------------------------------------------------------------------------


async def test_the_budget_of_a_key_holds(tmp_path):
    async with town(tmp_path) as (gm, _):
        limits = Limits(budgets=(Budget("day", 100_000),))
        made = await gm._home.ledger.create_key("team", limits=limits)
    async with town(tmp_path, key=made.secret) as (gm, _):
        results = await gm.gather(["Hello"] * 50, model="fast", max_concurrent=50, max_tokens=2000)
        spent = await gm._home.ledger.spent("key", made.key.id, 0, 2**40)
        with pytest.raises(BudgetSpent):
            await gm.chat("fast", "Hello", max_tokens=60_000)
        recorded = await rows(gm)
    assert {type(each) for each in results} <= {gatemill.Answer, BudgetSpent, RateLimited}
    assert 0 < spent <= 100_000
    assert {row.key_id for row in recorded} == {made.key.id}


async def test_a_key_that_is_not_known_is_refused(tmp_path):
    async with town(tmp_path, key="gm-abc-def") as (gm, _):
        with pytest.raises(InvalidApiKey):
            await gm.chat("fast", "Hello")


async def test_the_limits_of_keys_without_their_own_hold_for_the_program(tmp_path):
    more = "[limits.default]\nrequests_per_minute = 2\n"
    async with town(tmp_path, more) as (gm, _):
        results = await gm.gather(["Hello"] * 5, model="fast", max_concurrent=5)
    assert [type(each) for each in results].count(RateLimited) == 3


# --- Opening and closing -------------------------------------------------------------------------


async def test_settings_come_from_the_file_the_environment_and_the_call(tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text('[providers.echo]\n[models.a]\ntargets = ["echo/echo"]\n')
    environ = {"GATEMILL_LIMITS__JSON_DEPTH": "9"}
    data = str(tmp_path / "here")
    async with gatemill.open(str(file), environ=environ, server__data_dir=data) as gm:
        assert "a" in gm.models
        assert gm._home.gateway.json_depth_max == 9
        assert b"gatemill_build_info" in gm.metrics()
    assert (tmp_path / "here" / "gatemill.db").exists()


async def test_the_programs_own_environment_counts_when_no_other_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("GATEMILL_LIMITS__JSON_DEPTH", "8")
    monkeypatch.chdir(tmp_path)
    async with gatemill.open() as gm:
        assert gm._home.gateway.json_depth_max == 8


async def test_everything_wrong_with_a_configuration_is_said_at_once(tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text('[server]\nprot = 1\n[models.a]\ntargets = ["nobody/x"]\n')
    with pytest.raises(gatemill.ConfigErrors) as caught:
        async with gatemill.open(file, environ={}):
            pass
    assert [error.origin.line for error in caught.value.errors] == [2, 4]


async def test_nothing_is_left_behind(tmp_path):
    async with town(tmp_path) as (gm, _):
        await gm.chat("fast", "Hello")
    tasks, files = asyncio.all_tasks(), open_files()
    async with town(tmp_path) as (gm, _):
        await gm.chat("fast", "Hello")
        [piece async for piece in gm.stream("fast", "Hello")]
        await gm.gather(["a", "b"], model="fast", max_concurrent=2)
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


async def test_a_program_that_fails_inside_leaves_nothing_behind(tmp_path):
    async with town(tmp_path):
        pass
    files = open_files()
    with pytest.raises(ZeroDivisionError):
        async with town(tmp_path) as (gm, _):
            await gm.chat("fast", "Hello")
            raise ZeroDivisionError
    assert open_files() == files


async def test_a_gateway_that_cannot_be_built_leaves_nothing_behind(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    file = tmp_path / "gatemill.toml"
    file.write_text(
        '[providers.p]\nkind = "openai"\nbase_url = "https://127.0.0.1:1/v1"\n'
        f'ca_file = "{tmp_path}/ca.pem"\n'
    )
    tasks, files = asyncio.all_tasks(), open_files()
    with pytest.raises(OSError, match="certificate"):
        async with gatemill.open(file, environ={}, server__data_dir=str(tmp_path / "data")):
            pass
    assert asyncio.all_tasks() == tasks
    assert open_files() == files


async def test_a_ledger_that_cannot_be_opened_is_said_so(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(LedgerUnavailable):
        async with gatemill.open(environ={}, server__data_dir=str(tmp_path / "data")):
            pass


def test_it_runs_on_uvloop(tmp_path):
    async def main() -> tuple[str, list[str]]:
        async with town(tmp_path) as (gm, _):

            @gm.cached(ttl_s=5)
            @gm.limited(concurrency=5)
            @gm.retried(deadline_s=20)
            @gm.guarded()
            @gm.metered()
            async def ask(prompt: str) -> gatemill.Answer:
                return await gm.chat("fast", prompt)

            answers = await asyncio.gather(*(ask("Hello") for _ in range(20)))
            assert len({answer.request_id for answer in answers}) == 1
            return answers[0].text, [piece async for piece in gm.stream("fast", "Hello")]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text, pieces = runner.run(main())
    assert text == "".join(pieces)


async def test_decorated_functions_stand_beside_requests(tmp_path):
    async with town(tmp_path) as (gm, _):

        @gm.metered(name="ask")
        @gm.retried(attempts_max=3, backoff_s=0.001)
        @gm.guarded(name="ask", failures=2)
        async def ask(prompt: str) -> str:
            return (await gm.chat("broken", prompt)).text

        with pytest.raises(UpstreamError):
            await ask("Hello")
        page = gm.metrics().decode()
    assert (
        'gatemill_requests_total{model="ask",operation="function",provider="",status="503"} 1.0'
        in page
    )


def open_files() -> list[str]:
    """What this process has open, by name; those of pipes and sockets have no number."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(number.readlink()).split(":")[0])
        except FileNotFoundError:  # the one that listed them
            continue
    return sorted(found)


async def test_an_opening_that_is_called_off_closes_what_it_had_opened(tmp_path, monkeypatch):
    begun, goes_on, closed = threading.Event(), threading.Event(), []

    class Opened:
        async def close(self) -> None:
            closed.append(self)

    def opened(*_):
        begun.set()
        goes_on.wait()
        return Opened()

    monkeypatch.setattr(house, "open_ledger", opened)
    opening = gatemill.open(environ={}, server__data_dir=str(tmp_path)).__aenter__()
    task = asyncio.ensure_future(opening)
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(closed) == 1
