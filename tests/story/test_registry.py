"""Models and prompts of one's own over real sockets: versions, aliases under load, rollback, two processes."""

from __future__ import annotations

import asyncio

import openai
import pytest

from api import api
from house_for_tests import opened
from jobs_over_http import ended
from registry_play import (
    BILLING,
    BUGS,
    CONFIG,
    EXAMPLES,
    PRODUCTION,
    alias,
    made,
    predicted,
    trained,
)
from sdks import openai_at

REQUESTS = 100
AT_ONCE = 20


async def test_an_alias_switches_under_load_and_no_request_fails(ask):
    await made(ask, "builtin:sentiment")
    assert await trained(ask) == 2
    assert (await ask("PUT", PRODUCTION, alias(1, "The first."))).status == 200
    allowed = {1}  # while a switch is under way, both
    found: list[tuple[str, set[int]]] = []
    over = asyncio.Event()  # every switch has been asked about
    answered: dict[int, asyncio.Event] = {1: asyncio.Event(), 2: asyncio.Event()}

    async def caller() -> None:
        while len(found) < REQUESTS or not over.is_set():
            before = set(allowed)
            said = await predicted(ask, "mood@production", BUGS[0])
            assert said.headers["x-gatemill-model-version"] == said.json["version"]
            found.append((said.json["version"], before | allowed))
            answered[int(said.json["version"].rpartition(":")[2])].set()

    async def switcher() -> None:
        for version, reason in ((2, "up"), (1, "down")) * 5:
            allowed.add(version)
            answered[version].clear()
            said = await ask("PUT", PRODUCTION, alias(version, reason, if_current=3 - version))
            assert said.status == 200, said.body
            allowed.intersection_update({version})
            await answered[version].wait()
        over.set()

    await asyncio.gather(switcher(), *(caller() for _ in range(AT_ONCE)))
    assert len(found) >= REQUESTS
    assert {version for version, _ in found} == {"mood:1", "mood:2"}
    for version, could_be in found:
        assert int(version.rpartition(":")[2]) in could_be
    said = await predicted(ask, "mood")
    assert said.json["version"] == "mood:1"

    rows = (await ask("GET", "/v1/models/mood/events?limit=2")).json
    assert [
        (each["from_version"], each["to_version"], each["reason"]) for each in rows["data"]
    ] == [
        (2, 1, "down"),
        (1, 2, "up"),
    ]
    audit = (await ask("GET", "/api/v1/audit?limit=1")).json["data"][0]
    assert audit["action"] == "set_alias"
    assert audit["object_id"] == "mood"
    assert audit["detail"] == {"alias": "production", "from": 2, "to": 1, "reason": "down"}
    assert audit["actor"] == ask.admin.split("-")[1]
    requests = (await ask("GET", "/api/v1/requests?limit=1")).json["data"][0]
    assert requests["status"] == 200


async def test_a_rollback_restores_what_was_and_a_second_goes_further_back(ask):
    await made(ask, "builtin:sentiment", "builtin:sentiment", "builtin:sentiment")
    for version in (1, 2, 3):
        await ask("PUT", PRODUCTION, alias(version))
    for version in (2, 1):
        said = (await ask("POST", PRODUCTION + "/rollback", {"reason": "It was worse."})).json
        assert (said["version"], said["previous"]) == (version, version + 1)
        assert (await predicted(ask, "mood")).json["version"] == f"mood:{version}"
    said = await ask("POST", PRODUCTION + "/rollback", {"reason": "Once more."})
    assert said.status == 409


async def test_another_process_on_the_same_database_follows(gate, ask, tmp_path):
    await made(ask, "builtin:sentiment")
    await trained(ask)
    await ask("PUT", PRODUCTION, alias(1))
    async with opened(tmp_path, CONFIG) as other, api(other) as there:
        there.admin = ask.admin
        assert (await predicted(there, "mood")).json["version"] == "mood:1"
        await ask("PUT", PRODUCTION, alias(2))
        async with asyncio.timeout(60.0):  # about one, unless the machine is busy
            while (await predicted(there, "mood", BUGS[0])).json["version"] != "mood:2":
                pass  # asking takes its time
        said = await predicted(there, "mood", BUGS[0])
        assert said.json["predictions"][0]["label"] == "bug"


async def test_a_head_learns_labels_and_answers_like_any_classifier(ask):
    await made(ask)
    said = await ask("POST", "/v1/predict", {"model": "mood", "input": "x"})
    assert said.status == 404  # no version yet
    assert await trained(ask, l2=0.01, card="# Tickets") == 1
    said = (await ask("GET", "/v1/models/mood/versions/1")).json
    assert said["engine"] == "head" and said["source"] == "head:builtin/hash-512"
    assert said["metrics"]["accuracy"] == 1.0
    assert said["params"] == {"l2": 0.01, "labels": ["billing", "bug"]}
    assert said["card"] == "# Tickets"
    said = await ask(
        "POST", "/v1/predict", {"model": "mood:1", "input": [BUGS[0], BILLING[0]], "top_k": 2}
    )
    first, second = said.json["predictions"]
    assert (first["label"], second["label"]) == ("bug", "billing")
    assert sum(each["score"] for each in first["scores"]) == pytest.approx(1.0, abs=1e-5)
    assert said.json["usage"]["prompt_tokens"] > 10


async def test_a_head_uses_features_that_stand_beside_the_text(ask):
    await made(ask)
    examples = [
        {"text": "hello", "label": label, "features": {"user.tier": tier}}
        for tier, label in (("gold", "keep"), ("free", "sell")) * 10
    ]
    assert await trained(ask, examples=examples) == 1
    for tier, label in (("gold", "keep"), ("free", "sell")):
        body = {"model": "mood", "input": "hello", "features": {"user.tier": tier}}
        said = await ask("POST", "/v1/predict", body)
        assert said.json["predictions"][0]["label"] == label


async def test_a_prompt_of_the_registry_is_filled_in_by_an_unchanged_client(gate, ask):
    assert (await ask("POST", "/v1/models", {"name": "greet", "kind": "prompt"})).status == 201
    version = {
        "template": [
            {"role": "user", "content": "Say hello to {{ name }} in {{ language }}."},
        ],
        "variables": {"name": {}, "language": {"default": "French"}},
        "params": {"temperature": 0.5},
    }
    assert (await ask("POST", "/v1/models/greet/versions", version)).status == 201
    async with openai_at(gate.url, gate.key) as client:
        extra = {"prompt_id": "greet", "prompt_variables": {"name": "Ann"}}
        said = await client.chat.completions.create(model="taken", messages=[], extra_body=extra)
        assert said.choices[0].message.content == "Say hello to Ann in French."
        with pytest.raises(openai.BadRequestError, match=r"prompt_variables\.name"):
            extra = {"prompt_id": "greet", "prompt_variables": {}}
            await client.chat.completions.create(model="taken", messages=[], extra_body=extra)
    row = (await ask("GET", "/api/v1/requests?limit=5")).json["data"]
    assert any(each["status"] == 200 for each in row)
    said = await ask("POST", "/v1/models/greet/versions", {**version, "params": {}})
    assert said.json["id"] == "greet:2"
    said = (await ask("GET", "/v1/models/greet/compare?from=1&to=2")).json
    assert said["fields"] == {"params": [{"temperature": 0.5}, {}]} and said["template"] == []
    said = await ask(
        "POST", "/v1/models/greet/versions/2/render", {"prompt_variables": {"name": "X"}}
    )
    assert said.json["messages"][0]["content"] == "Say hello to X in French."


async def test_a_version_of_a_provider_that_is_gone_takes_no_traffic(gate, ask):
    await made(ask, "builtin:sentiment", name="chatty")
    await ask("POST", "/v1/models", {"name": "talk", "task": "generate"})
    assert (await ask("POST", "/v1/models/talk/versions", {"source": "echo:echo"})).status == 201
    said = await ask("PUT", "/v1/models/talk/aliases/production", alias(1))
    assert said.status == 200 and said.json["loaded"] is False
    chat = {"model": "talk@production", "messages": [{"role": "user", "content": "hi"}]}
    said = await ask("POST", "/v1/chat/completions", chat)
    assert said.json["choices"][0]["message"]["content"] == "hi"
    assert said.headers["x-gatemill-model-version"] == "talk:1"


async def test_names_end_and_prompts_are_found_by_admins_alone(gate, ask):
    await made(ask, "builtin:sentiment", "builtin:sentiment")
    await ask("POST", "/v1/models", {"name": "greet", "kind": "prompt"})
    await ask("POST", "/v1/models/greet/versions", {"template": "hi"})
    key = (await gate.home.ledger.create_key("plain")).secret
    assert (await ask("GET", "/v1/models/greet", key=key)).status == 404
    assert (await ask("GET", "/v1/models/greet:1")).json["version"] == "greet:1"
    assert [each["id"] for each in (await ask("GET", "/v1/registry?kind=prompt")).json["data"]] == [
        "greet"
    ]
    page = (await ask("GET", "/v1/registry?limit=1")).json
    assert page["has_more"] and page["data"][0]["id"] == "greet"
    assert (await ask("GET", "/v1/registry?after=greet")).json["data"][0]["id"] == "mood"
    page = (await ask("GET", "/v1/models/mood/versions?limit=1")).json
    assert page["has_more"] and page["data"][0]["id"] == "mood:2"
    page = (await ask("GET", "/v1/models/mood/versions?after=mood:2")).json
    assert [each["version"] for each in page["data"]] == [1]
    assert (await ask("GET", "/v1/models/mood/versions?after=x:y")).status == 400
    assert (await ask("GET", "/v1/models/mood/compare?from=1")).status == 400
    said = await ask("DELETE", "/v1/models/mood/versions/1")
    assert (said.status, said.json["error"]["param"]) == (400, "reason")
    said = await ask("DELETE", "/v1/models/mood/versions/1?reason=old")
    assert said.json["archived"] is True
    said = await ask("POST", "/v1/predict", {"model": "mood:1", "input": "x"})
    assert said.status == 404
    said = await ask("PUT", PRODUCTION, alias(1))
    assert said.status == 409
    await ask("PUT", PRODUCTION, alias(2))
    said = await ask("DELETE", PRODUCTION + "?reason=none&if_current=2")
    assert (said.json["version"], said.json["previous"]) == (None, 2)
    assert (await ask("DELETE", "/v1/models/mood?reason=gone")).json["deleted"] is True
    assert (await ask("GET", "/v1/models/mood")).status == 404
    assert (await ask("POST", "/v1/predict", {"model": "mood", "input": "x"})).status == 404


async def test_training_is_an_admins_job_and_ends_with_a_reason_where_it_cannot_be(gate, ask):
    await made(ask)
    job = {"kind": "models.train_head", "args": {"name": "mood", "examples": EXAMPLES}}
    key = (await gate.home.ledger.create_key("plain")).secret
    assert (await ask("POST", "/v1/jobs", job, key)).status == 403
    job["args"]["name"] = "none"
    ended_as = await ended(ask, (await ask("POST", "/v1/jobs", job)).json["id"])
    assert ended_as["state"] == "dead" and "nothing called `none`" in ended_as["error"]["message"]
    await ask("POST", "/v1/models", {"name": "vectors", "task": "embed"})
    said = await ask("POST", "/v1/models/vectors/versions", {"examples": EXAMPLES})
    assert (said.status, said.json["error"]["param"]) == (400, "examples")


async def test_an_explanation_names_the_versions(ask):
    await ask("POST", "/v1/models", {"name": "talk", "task": "generate"})
    await ask("POST", "/v1/models/talk/versions", {"source": "echo:echo"})
    await ask("POST", "/v1/models", {"name": "greet", "kind": "prompt"})
    await ask("POST", "/v1/models/greet/versions", {"template": "hi"})
    said = (
        await ask("POST", "/v1/explain", {"model": "talk", "messages": [], "prompt_id": "greet"})
    ).json
    assert (said["model_version"], said["prompt_version"]) == ("talk:1", "greet:1")
    assert said["outcome"]["status"] == 200
