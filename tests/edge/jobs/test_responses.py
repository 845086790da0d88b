"""/v1/responses/{id}: every answer and event is OpenAI's; the caller may leave and come back."""

from __future__ import annotations

import asyncio

import pytest

import heavy
from jobs_over_http import CHAT_ARGS, JOBS, events_of, submit, until
from openai_contract import validate, validate_stream_event

PATH = "/v1/responses"
ASKED = {"model": "echo", "input": "hello big world", "background": True}


async def _made(ask, **more):
    said = await ask("POST", PATH, {**ASKED, **more})
    assert said.status == 200, said.body
    validate("Response", said.json)
    return said.json


async def _ended(ask, response_id, key=None):
    job = response_id.replace("resp_", "job_")
    assert (await ask("GET", f"{JOBS}/{job}/events", None, key)).status == 200
    found = await ask.good("GET", f"{PATH}/{response_id}", None, key)
    validate("Response", found)
    return found


async def _begun(ask):
    """The id of the response that runs now."""

    async def look():
        return (await ask.good("GET", f"{JOBS}?state=running"))["data"]

    return (await until(look))[0]["id"].replace("job_", "resp_")


async def _events(ask, response_id, after=None):
    query = "" if after is None else f"&starting_after={after}"
    said = await ask("GET", f"{PATH}/{response_id}?stream=true{query}")
    events = [event.data for event in events_of(said)]
    for event in events:
        validate_stream_event(event)
    return events


@pytest.mark.parametrize("model", ["echo", "up/fake"])
async def test_a_response_is_queued_and_then_completed(ask, model):
    made = await _made(ask, model=model, metadata={"a": "b"}, temperature=0.5)
    assert (made["status"], made["background"], made["output"]) == ("queued", True, [])
    assert (made["metadata"], made["temperature"], made["store"]) == ({"a": "b"}, 0.5, True)
    done = await _ended(ask, made["id"])
    assert (done["id"], done["status"], done["background"]) == (made["id"], "completed", True)
    assert done["usage"]["output_tokens"] > 0
    assert done["completed_at"] >= done["created_at"] == made["created_at"]
    assert done["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("model", ["echo", "up/fake"])
async def test_the_stream_survives_its_caller_and_can_be_resumed_anywhere(ask, model):
    said = await ask("POST", PATH, {**ASKED, "model": model, "stream": True})
    live = [event.data for event in events_of(said)]
    response_id = live[0]["response"]["id"]
    assert [event["type"] for event in live[:2]] == ["response.created", "response.queued"]
    assert live[-1]["type"] == "response.completed"
    whole = await _events(ask, response_id)
    assert whole == live
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert {e["response"]["id"] for e in whole if "response" in e} == {response_id}
    for after in range(len(whole)):
        assert await _events(ask, response_id, after) == whole[after + 1 :]
    done = await _ended(ask, response_id)
    assert {**whole[-1]["response"], "completed_at": 0} == {**done, "completed_at": 0}


async def test_a_response_runs_on_when_its_caller_leaves(ask, gate):
    body = {**ASKED, "model": "up/fake+slow=0.05", "stream": True}
    following = asyncio.ensure_future(ask("POST", PATH, body))
    response_id = await _begun(ask)
    following.cancel()
    events = await _events(ask, response_id)
    assert events[-1]["type"] == "response.completed"


async def test_a_response_that_fails_says_so_in_openais_words(ask):
    made = await _made(ask, model="up/fake+status=400", stream=False)
    failed = await _ended(ask, made["id"])
    assert failed["status"] == "failed"
    assert failed["error"]["code"] in ("server_error", "invalid_prompt")
    said = await ask("POST", PATH, {**ASKED, "model": "up/fake+status=400", "stream": True})
    events = [event.data for event in events_of(said)]
    for event in events:
        validate_stream_event(event)
    assert events[-1]["type"] == "response.failed"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    response_id = events[0]["response"]["id"]
    assert await _events(ask, response_id) == events
    assert await _events(ask, response_id, len(events) - 1) == []


async def test_a_response_that_stops_early_is_incomplete(ask):
    made = await _made(ask, max_output_tokens=1)
    done = await _ended(ask, made["id"])
    assert done["status"] == "incomplete"
    assert done["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_response_that_waits_can_be_cancelled(ask):
    await ask.good("POST", "/v1/queues/inference/pause")
    made = await _made(ask, stream=None)
    gone = await ask.good("POST", f"{PATH}/{made['id']}/cancel")
    validate("Response", gone)
    assert (gone["id"], gone["status"]) == (made["id"], "cancelled")
    again = await ask.good("POST", f"{PATH}/{made['id']}/cancel")
    assert again == gone


async def test_a_response_that_runs_can_be_cancelled(ask):
    following = asyncio.ensure_future(
        ask("POST", PATH, {**ASKED, "model": "up/fake+hang", "stream": True})
    )
    response_id = await _begun(ask)
    async with asyncio.timeout(heavy.within(2.5)):
        gone = await ask.good("POST", f"{PATH}/{response_id}/cancel")
        events = [event.data for event in events_of(await following)]
    assert gone["status"] == "cancelled"
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "cancelled")
    validate_stream_event(events[-1])


async def test_a_response_can_be_deleted_once_it_has_ended(ask):
    await ask.good("POST", "/v1/queues/inference/pause")
    made = await _made(ask)
    said = await ask("DELETE", f"{PATH}/{made['id']}")
    assert (said.status, said.json["error"]["code"]) == (409, "conflict")
    await ask.good("POST", f"{PATH}/{made['id']}/cancel")
    gone = await ask.good("DELETE", f"{PATH}/{made['id']}")
    assert gone == {"id": made["id"], "object": "response", "deleted": True}
    assert (await ask("GET", f"{PATH}/{made['id']}")).status == 404


async def test_what_was_not_asked_as_a_stream_has_no_events(ask):
    made = await _made(ask)
    said = await ask("GET", f"{PATH}/{made['id']}?stream=true")
    assert (said.status, said.json["error"]["param"]) == (400, "stream")


async def test_what_is_not_to_be_stored_is_refused(ask):
    said = await ask("POST", PATH, {**ASKED, "store": False})
    assert (said.status, said.json["error"]["param"]) == (400, "store")


@pytest.mark.parametrize("after", ["x", "-1", "1.5"])
async def test_a_place_that_is_no_number_is_refused(ask, after):
    made = await _made(ask, stream=None)
    said = await ask("GET", f"{PATH}/{made['id']}?stream=true&starting_after={after}")
    assert said.status == 400


async def test_other_ids_are_not_there(ask, keys):
    made = (await ask("POST", PATH, ASKED, keys.ada)).json["id"]
    job = (await submit(ask))["id"]
    later = (await ask("POST", PATH, {"model": "echo", "input": "x"}, prefer="respond-async")).json
    for name in (made.replace("resp_", "job_"), job.replace("job_", "resp_"), "resp_1", "x"):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
            said = await ask(method, f"{PATH}/{name}{path}")
            assert (said.status, said.json["error"]["param"]) == (404, "response_id"), name
    foreign = await ask("GET", f"{PATH}/{made}", None, keys.eve)
    unknown = await ask("GET", f"{PATH}/resp_1", None, keys.eve)
    assert foreign.status == unknown.status == 404
    assert foreign.json["error"] == unknown.json["error"]
    assert (await ask("GET", f"{PATH}/{made}", None, keys.bob)).status == 200
    assert (await ask("GET", f"{PATH}/resp_{later['id'][4:]}")).status == 404


async def test_a_chat_is_no_response(ask):
    chat = await ask("POST", "/v1/chat/completions", CHAT_ARGS, prefer="respond-async")
    assert (await ask("GET", f"{PATH}/{chat.json['id'].replace('job_', 'resp_')}")).status == 404
