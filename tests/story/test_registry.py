"""Models and prompts of one's own over real sockets: versions, aliases under load, rollback, two processes."""

from __future__ import annotations

import asyncio

import openai
import pytest

from api import api
from house_for_tests import opened
from jobs_over_http import ended

REQUESTS = 300
AT_ONCE = 20
BILLING = [f"please refund invoice number {n}, it was charged twice" for n in range(8)]
BUGS = [f"the window crashes with error {n} when it opens" for n in range(8)]
EXAMPLES = [{"text": text, "label": "billing"} for text in BILLING]
EXAMPLES += [{"text": text, "label": "bug"} for text in BUGS]
CONFIG = '[models.taken]\ntargets = ["echo/echo"]\n'
MOOD = {"name": "mood", "task": "classify", "description": "Praise or blame?"}


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as running:
        yield running


@pytest.fixture
async def ask(gate):
    async with api(gate) as asking:
        yield asking


async def made(ask, *sources, name="mood"):
    """A model with these versions."""
    assert (await ask("POST", "/v1/models", {**MOOD, "name": name})).status == 201
    for source in sources:
        said = await ask("POST", f"/v1/models/{name}/versions", {"source": source})
        assert said.status == 201, said.body


async def trained(ask, **more) -> int:
    """The number of a version that was trained."""
    said = await ask("POST", "/v1/models/mood/versions", {"examples": EXAMPLES, **more})
    assert said.status == 202, said.body
    job = await ended(ask, said.json["id"])
    assert job["state"] == "succeeded", job
    return job["result"]["version"]


def alias(version, reason="It is better on our tickets.", **more):
    return {"version": version, "reason": reason, **more}


PRODUCTION = "/v1/models/mood/aliases/production"


async def predicted(ask, model, text="I love it"):
    said = await ask("POST", "/v1/predict", {"model": model, "input": text})
    assert said.status == 200, said.body
    return said


async def test_an_alias_switches_under_load_and_no_request_fails(ask):
    await made(ask, "builtin:sentiment")
    assert await trained(ask) == 2
    assert (await ask("PUT", PRODUCTION, alias(1, "The first."))).status == 200
    allowed = {1}  # while a switch is under way, both
    found: list[tuple[str, set[int]]] = []
    left = iter(range(REQUESTS))
    more = asyncio.Event()  # some have been answered since it was cleared

    async def caller() -> None:
        for _ in left:
            before = set(allowed)
            said = await predicted(ask, "mood@production", BUGS[0])
            assert said.headers["x-gatemill-model-version"] == said.json["version"]
            found.append((said.json["version"], before | allowed))
            if len(found) % AT_ONCE == 0:
                more.set()

    async def switcher() -> None:
        for version, reason in ((2, "up"), (1, "down")) * 5:
            allowed.add(version)
            more.clear()
            said = await ask("PUT", PRODUCTION, alias(version, reason, if_current=3 - version))
            assert said.status == 200, said.body
            allowed.intersection_update({version})
            if len(found) < REQUESTS - AT_ONCE:
                await more.wait()

    await asyncio.gather(switcher(), *(caller() for _ in range(AT_ONCE)))
    assert len(found) == REQUESTS
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
        async with asyncio.timeout(30.0):  # about one, unless the machine is busy
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
    async with openai.AsyncOpenAI(base_url=gate.url + "/v1", api_key=gate.key) as client:
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


BAD = [
    ("/v1/models", {"name": "taken", "task": "classify"}, 409, "name"),
    ("/v1/models", {"name": "mood", "task": "classify"}, 409, "name"),
    ("/v1/models", {"name": "a/b", "task": "classify"}, 400, "name"),
    ("/v1/models", {"name": "x", "task": "sing"}, 400, "task"),
    ("/v1/models", {"name": "x"}, 400, "task"),
    ("/v1/models", {"name": "x", "kind": "prompt", "task": "embed"}, 400, "task"),
    ("/v1/models", {"name": "x", "kind": "thing"}, 400, "kind"),
    (
        "/v1/models",
        {"name": "x", "task": "embed", "description": "a" * 2001},
        400,
        "description",
    ),
    ("/v1/models", {"name": "x", "task": "embed", "owner": "me"}, 400, "owner"),
    ("/v1/models/none/versions", {"source": "builtin:sentiment"}, 404, "name"),
    ("/v1/models/mood/versions", {}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "nowhere:x"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "builtin:hash-512"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "builtin:none"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "hf:a/b@main"}, 400, "source"),
    ("/v1/models/mood/versions", {"source": "mlflow:a@b"}, 400, "source"),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "engine": "onnx"},
        400,
        "engine",
    ),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "sha256": "a" * 64},
        400,
        "options",
    ),
    ("/v1/models/mood/versions", {"source": "file:/x", "sha256": "xyz"}, 400, "sha256"),
    (
        "/v1/models/mood/versions",
        {"source": "file:/x", "options": {"command": []}},
        400,
        "options.command",
    ),
    ("/v1/models/mood/versions", {"source": "file:/no/such/folder"}, 424, None),
    ("/v1/models/mood/versions", {"source": "builtin:sentiment", "l2": 1}, 400, "l2"),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "card": "a" * 16385},
        400,
        "card",
    ),
    (
        "/v1/models/mood/versions",
        {"source": "builtin:sentiment", "metrics": {"a": "b" * 16385}},
        400,
        "metrics",
    ),
    ("/v1/models/mood/versions", {"template": "hi"}, 400, "source"),
    ("/v1/models/mood/versions", {"template": "hi", "source": "file:/x"}, 400, "template"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:3]}, 400, "examples"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:8]}, 400, "examples"),
    ("/v1/models/mood/versions", {"examples": EXAMPLES[:9]}, 400, "examples"),
    (
        "/v1/models/mood/versions",
        {"examples": [*EXAMPLES, {"text": "", "label": "x"}]},
        400,
        "examples.16.text",
    ),
    (
        "/v1/models/mood/versions",
        {"examples": EXAMPLES, "embedding_model": "echo/echo"},
        400,
        "embedding_model",
    ),
    (
        "/v1/models/mood/versions",
        {"examples": EXAMPLES, "embedding_model": "none"},
        404,
        "model",
    ),
    ("/v1/models/mood/aliases/production/rollback", {"reason": "why"}, 404, "alias"),
    ("/v1/models/mood/versions/1/render", {}, 404, "prompt_id"),
    ("/v1/models/mood/versions/x/render", {}, 404, "version"),
]


async def test_bad_input_is_refused_by_name(ask):
    await made(ask, "builtin:sentiment")
    for path, body, status, param in BAD:
        said = await ask("POST", path, body)
        assert (said.status, said.json["error"]["param"]) == (status, param), (body, said.body)
    # The others keep serving.
    assert (await predicted(ask, "mood")).json["version"] == "mood:1"


async def test_bad_moves_are_refused_and_nothing_moves(ask):
    await made(ask, "builtin:sentiment")
    for body, status, param in (
        (alias(9), 404, "version"),
        (alias(0), 400, "version"),
        (alias(1, ""), 400, "reason"),
        ({"version": 1}, 400, "reason"),
        (alias(1, if_current=3), 409, "if_current"),
    ):
        said = await ask("PUT", PRODUCTION, body)
        assert (said.status, said.json["error"]["param"]) == (status, param), said.body
    said = await ask("PUT", "/v1/models/mood/aliases/Production", alias(1))
    assert (said.status, said.json["error"]["param"]) == (400, "alias")
    assert (await ask("GET", "/v1/models/mood")).json["aliases"] == {}
    assert (await ask("GET", "/v1/models/mood/events")).json["data"] == []


async def test_a_pickle_and_other_files_than_meant_are_refused(ask, tmp_path):
    await made(ask, "builtin:sentiment")
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04\x95")
    source = f"file:{folder}"
    said = await ask("POST", "/v1/models/mood/versions", {"source": source})
    assert said.status == 424 and "pickle" in said.json["error"]["message"].lower(), said.body
    (folder / "pytorch_model.bin").unlink()
    (folder / "model.onnx").write_bytes(b"no graph")
    said = await ask("POST", "/v1/models/mood/versions", {"source": source, "sha256": "0" * 64})
    assert said.status == 424 and "sha" in said.json["error"]["message"].lower(), said.body
    # Files that nobody could open are found out before the alias moves.
    said = await ask("POST", "/v1/models/mood/versions", {"source": source})
    assert said.status == 201 and len(said.json["sha256"]) == 64
    await ask("PUT", PRODUCTION, alias(1))
    said = await ask("PUT", PRODUCTION, alias(2))
    assert said.status == 424, said.body
    assert (await predicted(ask, "mood")).json["version"] == "mood:1"


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


async def test_a_key_for_a_name_may_use_all_its_versions_and_no_other_name(gate, ask):
    await made(ask, "builtin:sentiment", "builtin:sentiment")
    await made(ask, "builtin:sentiment", name="moody")
    await ask("PUT", PRODUCTION, alias(1))
    ledger = gate.home.ledger
    whole = (await ledger.create_key("whole", ("mood",))).secret
    narrow = (await ledger.create_key("narrow", ("mood@production",))).secret
    allowed = {"mood", "mood:1", "mood:2", "mood@production"}
    for key, names in ((whole, allowed), (narrow, {"mood@production"})):
        for name in (*allowed, "moody", "moody:1"):
            said = await ask("POST", "/v1/predict", {"model": name, "input": "fine"}, key)
            assert said.status == (200 if name in names else 404), (name, said.body)
        listed = (await ask("GET", "/v1/models", key=key)).json["data"]
        # Single versions are too many to be listed; the name and its aliases are.
        assert {each["id"] for each in listed} == names & {"mood", "mood@production"}
    said = (await ask("GET", "/v1/models/mood", key=whole)).json
    assert said["version"] == "mood:1" and said["kind"] == "model" and "versions" not in said
    assert (await ask("GET", "/v1/models/moody", key=whole)).status == 404
    async with openai.AsyncOpenAI(base_url=gate.url + "/v1", api_key=whole) as client:
        assert (await client.models.retrieve("mood@production")).owned_by == "registry"


MANAGING = [
    ("POST", "/v1/models"),
    ("GET", "/v1/registry"),
    ("DELETE", "/v1/models/mood"),
    ("GET", "/v1/models/mood/events"),
    ("POST", "/v1/models/mood/versions"),
    ("GET", "/v1/models/mood/versions"),
    ("GET", "/v1/models/mood/versions/1"),
    ("DELETE", "/v1/models/mood/versions/1"),
    ("POST", "/v1/models/mood/versions/1/render"),
    ("GET", "/v1/models/mood/compare"),
    ("PUT", PRODUCTION),
    ("POST", PRODUCTION + "/rollback"),
    ("DELETE", PRODUCTION),
]


async def test_managing_is_an_admins_business(gate, ask):
    key = (await gate.home.ledger.create_key("plain")).secret
    for method, path in MANAGING:
        said = await ask(method, path, {} if method in ("POST", "PUT") else None, key)
        assert (said.status, said.json["error"]["code"]) == (403, "permission_denied"), path


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
