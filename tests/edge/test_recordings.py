"""Recordings over HTTP: kept, listed, shown, deleted, and asked again by `requests.replay`."""

from __future__ import annotations

import pytest

from api import api
from house_for_tests import opened
from line import line

PATH = "/v1/recordings"
CONFIG = """
[models.m]
targets = ["echo/echo"]
[recordings]
share = 1.0
"""


@pytest.fixture
async def asking(tmp_path):
    async with opened(tmp_path, CONFIG) as gate, api(gate) as asking:
        yield asking


async def test_a_request_and_its_answer_are_shown_as_they_were(asking):
    answer = await asking.chat("one two")
    streamed = await asking.chat("three four", stream=True)
    newest, oldest = (await asking.good("GET", PATH))["data"]
    assert oldest["request_id"] == answer.headers["x-request-id"]
    whole = await asking.good("GET", f"{PATH}/{oldest['request_id']}")
    assert whole["body"]["messages"][0]["content"] == "one two"
    assert whole["answer"] == answer.json
    assert (whole["filled"], whole["error"], whole["stream"]) == (None, None, False)
    flowed = await asking.good("GET", f"{PATH}/{newest['request_id']}")
    said = streamed.body.decode()
    assert flowed["answer"] == said[: said.index(": gatemill")]


async def test_a_failure_is_listed_as_one(asking):
    await asking.chat(model="none/none")
    await asking.chat()
    (failed,) = (await asking.good("GET", f"{PATH}?ended=error"))["data"]
    assert (failed["status"], failed["error"]) == (404, "model_not_found")
    assert len((await asking.good("GET", f"{PATH}?ended=ok&model=echo"))["data"]) == 1


async def test_a_request_that_says_no_is_not_kept(asking):
    turn = [{"role": "user", "content": "secret"}]
    body = {"model": "echo", "messages": turn}
    await asking("POST", "/v1/chat/completions", body, x_gatemill_record="No")
    assert (await asking.good("GET", PATH))["data"] == []


async def test_a_socket_that_says_no_is_not_kept(tmp_path):
    async with opened(tmp_path, CONFIG) as gate, api(gate) as asking:
        for wish, kept in (("no", 0), ("yes", 1)):
            headers = {"authorization": f"Bearer {gate.key}", "x-gatemill-record": wish}
            async with line(gate, additional_headers=headers) as ours:
                await ours.ask()
                assert (await ours.answer())[-1]["type"] == "done"
            assert len((await asking.good("GET", PATH))["data"]) == kept


async def test_they_are_paged_and_deleted(asking):
    ids = [(await asking.chat()).headers["x-request-id"] for _ in range(4)]
    page = await asking.good("GET", f"{PATH}?limit=3")
    assert (page["has_more"], [one["request_id"] for one in page["data"]]) == (True, ids[:0:-1])
    rest = await asking.good("GET", f"{PATH}?limit=3&after={ids[1]}")
    assert [one["request_id"] for one in rest["data"]] == ids[:1]
    assert await asking.good("DELETE", f"{PATH}/{ids[0]}") == {
        "object": "recordings.deleted",
        "deleted": 1,
    }
    for method in ("GET", "DELETE"):
        assert (await asking(method, f"{PATH}/{ids[0]}")).status == 404
    refused = await asking("DELETE", PATH)
    assert (refused.status, refused.json["error"]["param"]) == (400, "all")
    assert (await asking.good("DELETE", f"{PATH}?model=other"))["deleted"] == 0
    assert (await asking.good("DELETE", f"{PATH}?all=true"))["deleted"] == 3


async def test_what_is_wrong_is_named(asking):
    for query in ("ended=maybe", "since=soon", "limit=0", "who=me"):
        answer = await asking("GET", f"{PATH}?{query}")
        named = query.partition("=")[0]
        assert (answer.status, answer.json["error"]["param"]) == (400, named)


async def test_only_an_admin_may(asking):
    made = await asking.good("POST", "/api/v1/keys", {"name": "plain"})
    for method in ("GET", "DELETE"):
        for path in (PATH, PATH + "/x"):
            assert (await asking(method, path, key=made["secret"])).status == 403


async def test_the_configuration_ends_it_and_what_was_kept_stays(asking, tmp_path):
    await asking.chat()
    assert len((await asking.good("GET", PATH))["data"]) == 1
    (tmp_path / "gatemill.toml").write_text(CONFIG.replace("1.0", "0.0"))
    await asking.good("POST", "/api/v1/config/reload")
    await asking.chat()
    assert len((await asking.good("GET", PATH))["data"]) == 1


async def test_the_house_forgets_what_is_too_old(tmp_path):
    config = CONFIG + "bytes_max = 1\n"
    async with opened(tmp_path, config) as gate, api(gate) as asking:
        await asking.chat()
        assert len((await asking.good("GET", PATH))["data"]) == 1
        await gate.home.retain()
        assert (await asking.good("GET", PATH))["data"] == []
