"""`Prefer: respond-async`: any inference request is a job, refused as it would be at once."""

from __future__ import annotations

import msgspec
import pytest

from jobs_over_http import CHAT_ARGS, JOBS, ended, events_of, jobs_there
from peer import peer, plain, post

ASYNC = {"prefer": "respond-async"}
BODIES = {
    "/v1/chat/completions": CHAT_ARGS,
    "/v1/completions": {"model": "echo", "prompt": "hi"},
    "/v1/embeddings": {"model": "echo", "input": "hi"},
    "/v1/responses": {"model": "echo", "input": "hi"},
    "/v1/messages": {**CHAT_ARGS, "max_tokens": 9},
    "/api/v1/inference": {"model": "echo", "text": "hi"},
}


@pytest.mark.parametrize("path", BODIES)
async def test_any_inference_request_can_be_a_job(ask, path):
    at_once = await ask("POST", path, BODIES[path])
    said = await ask("POST", path, BODIES[path], **ASYNC)
    assert said.status == 202
    job = said.json
    assert said.headers["location"] == f"{JOBS}/{job['id']}"
    assert said.headers["preference-applied"] == "respond-async"
    assert said.headers["x-request-id"]
    done = await ended(ask, job["id"])
    assert done["state"] == "succeeded", done
    assert done["result"].keys() == at_once.json.keys()


@pytest.fixture(params=["front", "uvicorn"])
async def asked(request, gate):
    """Asks in one form or the other: own protocol, or ASGI."""
    async with peer(gate) as client:
        if request.param == "uvicorn":
            await client.send(plain(gate, "/livez"))
            await client.answer()

        async def ask_this(data: bytes):
            await client.send(data)
            return await client.answer()

        yield ask_this


def _post(gate, said, path="/v1/chat/completions", **headers):
    return post(gate, msgspec.json.encode(said), path=path, **headers)


async def test_both_forms_take_jobs_and_the_connection_goes_on(gate, asked):
    for prefer in ("respond-async", "wait=10, Respond-Async", "respond-async; x=1"):
        said = await asked(_post(gate, CHAT_ARGS, prefer=prefer, x_priority="High"))
        assert (said.status, said.json["priority"]) == (202, "high")
        assert said.headers["location"].startswith("/v1/jobs/job_")
    said = await asked(_post(gate, CHAT_ARGS, prefer="wait=10"))
    assert (said.status, said.text) == (200, "hello big world")


async def test_both_forms_start_responses_in_the_background(gate, asked):
    body = {"model": "echo", "input": "hi", "background": True}
    said = await asked(_post(gate, body, "/v1/responses"))
    assert (said.status, said.json["status"]) == (200, "queued")
    said = await asked(_post(gate, {**body, "stream": True}, "/v1/responses"))
    assert [event["type"] for event in said.events][-1] == "response.completed"
    said = await asked(_post(gate, {"model": "echo", "input": "hi"}, "/v1/responses"))
    assert (said.status, said.json["status"]) == (200, "completed")


async def test_a_stream_becomes_the_jobs_events(ask):
    said = await ask("POST", "/v1/chat/completions", {**CHAT_ARGS, "stream": True}, **ASYNC)
    assert said.status == 202
    events = events_of(await ask("GET", f"{said.headers['location']}/events"))
    chunks = [event.data for event in events if event.id and event.data != "[DONE]"]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == "hello big world"


@pytest.mark.parametrize(
    ("path", "said", "status"),
    [
        ("/v1/chat/completions", {"model": "echo"}, 400),
        ("/v1/chat/completions", {**CHAT_ARGS, "model": "nobody"}, 404),
        ("/v1/chat/completions", {**CHAT_ARGS, "temperature": 9}, 400),
        ("/v1/messages", {"model": "echo", "max_tokens": 0, "messages": []}, 400),
        ("/api/v1/inference", {"model": "echo", "text": "hi", "stream": True}, 400),
        ("/v1/responses", {"model": "echo", "background": True}, 400),
    ],
)
async def test_a_bad_request_is_refused_as_it_would_be_at_once(ask, path, said, status):
    at_once = await ask("POST", path, {k: v for k, v in said.items() if k != "background"})
    later = await ask("POST", path, said, **ASYNC)
    assert later.status == at_once.status == status
    told, wanted = later.json, at_once.json
    for one in (told, wanted):
        one.pop("request_id")
    assert told == wanted
    assert later.headers["content-type"] == at_once.headers["content-type"]
    assert await jobs_there(ask) == 0


async def test_a_wrong_key_is_401_in_the_format_of_the_path(ask):
    for path, body in BODIES.items():
        assert (await ask("POST", path, body, "gm-wrong", **ASYNC)).status == 401


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x_priority": "urgent"}, "x-priority"),
        ({"x_callback_url": "http://10.0.0.1/"}, "callback_url"),
        ({"idempotency_key": "x" * 256}, "Idempotency-Key"),
    ],
)
async def test_bad_headers_are_refused(ask, headers, param):
    said = await ask("POST", "/v1/chat/completions", CHAT_ARGS, **ASYNC, **headers)
    assert (said.status, said.json["error"]["param"]) == (400, param)
    assert await jobs_there(ask) == 0


async def test_an_idempotency_key_makes_one_job(ask):
    async def once(said, **headers):
        return await ask(
            "POST", "/v1/chat/completions", said, **ASYNC, idempotency_key="k1", **headers
        )

    first, again = await once(CHAT_ARGS), await once(CHAT_ARGS)
    assert first.json["id"] == again.json["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert (await once({**CHAT_ARGS, "n": 2})).status == 422
    assert (await once(CHAT_ARGS, x_priority="low")).status == 422
    assert await jobs_there(ask) == 1


async def test_counting_tokens_is_answered_at_once(ask):
    said = await ask("POST", "/v1/messages/count_tokens", CHAT_ARGS, **ASYNC)
    assert (said.status, "input_tokens" in said.json) == (200, True)


async def test_where_nobody_takes_jobs_it_is_said(ask, gate):
    desk, gate.door.desk = gate.door.desk, None
    said = await ask("POST", "/v1/chat/completions", CHAT_ARGS, **ASYNC)
    assert (said.status, said.json["error"]["code"]) == (400, "unsupported_operation")
    assert (await ask("GET", JOBS)).status == 400
    gate.door.desk = desk
