"""/v1/experiments over real HTTP, with real requests between."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from experiment_play import ARMS, NEW, PATH, THUMBS, arm_of, running
from gatemill.core.call import Key
from gatemill.core.tasks import _running
from gatemill.jobs.context import Quit
from gatemill.jobs.judging import Row
from gatemill.jobs.kinds import judge


async def test_a_life_of_an_experiment(ask):
    made = await ask("POST", PATH, {**NEW, "description": "Which?", "reason": "because"})
    assert made.status == 201
    assert made.json["state"] == "draft"
    assert (await ask.chat(model="ab")).status == 404  # nobody meets a draft

    started = await ask.good("POST", f"{PATH}/ab/start", {"reason": "go"})
    assert started["state"] == "running"
    arms = Counter([(await arm_of(ask, f"u{n}"))[0] for n in range(40)])
    assert min(arms["one"], arms["two"]) > 8
    told = await ask.good("GET", f"{PATH}/ab/assignment?unit=u7")
    assert told["arm"] == (await arm_of(ask, "u7"))[0]

    assert (await ask.good("POST", f"{PATH}/ab/pause"))["state"] == "paused"
    assert {(await arm_of(ask, f"u{n}"))[0] for n in range(20)} == {"one"}
    assert (await ask.good("GET", f"{PATH}/ab/assignment?unit=u7"))["arm"] == "one"
    await ask.good("POST", f"{PATH}/ab/start")

    ended = await ask.good("POST", f"{PATH}/ab/conclude", {"winner": "two", "reason": "it won"})
    assert (ended["state"], ended["winner"]) == ("concluded", "two")
    assert ended["ended_at"] >= ended["started_at"] == started["started_at"]
    assert {(await arm_of(ask, f"u{n}"))[0] for n in range(20)} == {"two"}
    again = await ask("POST", f"{PATH}/ab/start")
    assert (again.status, again.json["error"]["code"]) == (409, "conflict")
    assert (await ask("PATCH", f"{PATH}/ab", {"weights": {"one": 2}})).status == 409

    events = (await ask.good("GET", f"{PATH}/ab/events"))["data"]
    assert [each["action"] for each in events] == [
        *("conclude", "start", "pause", "start", "create")
    ]
    assert events[0]["reason"] == "it won"
    assert events[0]["actor"] == ask.admin.split("-")[1]
    assert events[0]["detail"]["state"] == ["running", "concluded"]
    audit = (await ask.good("GET", "/api/v1/audit"))["data"]
    assert ("experiment", "conclude") in {(each["kind"], each["action"]) for each in audit}

    assert (await ask.good("DELETE", f"{PATH}/{made.json['id']}"))["deleted"] is True
    assert (await ask.chat(model="ab")).status == 404
    assert (await ask("GET", f"{PATH}/ab")).status == 404


async def test_the_calls_of_a_model_are_split_and_it_is_itself_again_afterwards(ask):
    arms = [{"name": "old"}, {"name": "new", "params": {"max_completion_tokens": 1}}]
    await running(ask, name="shorter", model="a", arms=arms)
    found = {}
    for n in range(20):
        arm, _ = await arm_of(ask, f"u{n}", model="a", text="three words here")
        said = await ask.chat("three words here", model="a", user=f"u{n}")
        found.setdefault(arm, set()).add(said.json["choices"][0]["message"]["content"])
    assert found == {"old": {"three words here"}, "new": {"three "}}
    assert (await ask("DELETE", f"{PATH}/shorter")).status == 409  # it decides
    await ask.good("POST", f"{PATH}/shorter/conclude")
    assert (await arm_of(ask, "u1", model="a"))[0] == "old"
    await ask.good("DELETE", f"{PATH}/shorter")
    assert (await arm_of(ask, "u1", model="a"))[0] is None


async def test_a_model_that_only_a_pattern_knows_can_be_split(ask):
    await running(ask, model="echo/echo", arms=[{"name": "one"}, {"name": "two", "model": "a"}])
    arms = {(await arm_of(ask, f"u{n}", model="echo/echo"))[0] for n in range(20)}
    assert arms == {"one", "two"}


async def test_one_name_is_split_by_one_experiment_at_a_time(ask):
    await running(ask, model="a")
    await ask.good("POST", PATH, {**NEW, "name": "other", "model": "a"})
    refused = await ask("POST", f"{PATH}/other/start")
    assert (refused.status, refused.json["error"]["param"]) == (409, "model")
    await ask.good("POST", f"{PATH}/ab/conclude", {"winner": "one"})
    await ask.good("POST", f"{PATH}/other/start")  # and goes before the one that has ended
    assert (await ask.good("GET", f"{PATH}?state=running"))["data"][0]["name"] == "other"
    assert {(await arm_of(ask, f"u{n}", model="a"))[0] for n in range(20)} == {"one", "two"}
    assert (await ask("POST", PATH, {**NEW, "name": "ab"})).status == 409


async def test_weights_move_only_the_share(ask):
    three = [*ARMS, {"name": "three", "model": "a"}]
    await running(ask, arms=three)
    users = [f"u{n}" for n in range(120)]

    async def assignments():
        paths = (f"{PATH}/ab/assignment?unit={user}" for user in users)
        return [(await ask.good("GET", path))["arm"] for path in paths]

    before = await assignments()
    await ask.good("PATCH", f"{PATH}/ab", {"weights": {"three": 2}, "reason": "more"})
    after = await assignments()
    moved = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert 5 < len(moved) < 40  # 1/3 becomes 1/2: a sixth of 120 is 20
    assert {b for _, b in moved} == {"three"}
    refused = await ask("PATCH", f"{PATH}/ab", {"weights": {"one": 0, "two": 0, "three": 0}})
    assert (refused.status, refused.json["error"]["param"]) == (400, "weights")
    refused = await ask("PATCH", f"{PATH}/ab", {"weights": {"four": 1}})
    assert refused.json["error"]["param"] == "weights.four"


async def test_results_come_from_the_ledger_by_themselves(ask):
    await running(ask, metric={"name": "latency_ms"}, metrics=[THUMBS])
    for n in range(12):
        await arm_of(ask, f"u{n}")
    found = await ask.good("GET", f"{PATH}/ab/results")
    assert sum(arm["requests"] for arm in found["arms"]) == 12
    assert [arm["n"] for arm in found["arms"]] == [arm["requests"] for arm in found["arms"]]
    for arm in found["arms"]:
        assert arm["error_rate"] == arm["cost_usd"] == 0.0
        assert 0 < arm["mean"] == arm["latency_ms"]
        assert arm["latency_p95_ms"] > 0
    names = [each["name"] for each in found["metrics"]]
    assert names == ["latency_ms", "thumbs", "error_rate", "cost_usd", "tokens"]
    (only,) = found["comparisons"]
    assert (only["a"], only["b"], only["verdict"], only["diff"]) == ("one", "two", "continue", None)
    _, request_id = await arm_of(ask, "u1")
    said = {"request_id": request_id, "metric": "latency_ms", "value": 1}
    refused = await ask("POST", "/v1/feedback", said)
    assert "is counted by itself" in refused.json["error"]["message"]
    past = await ask.good("GET", f"/api/v1/requests/{request_id}/explain")
    assert past["experiment"] == found["id"]
    body = {"model": "ab", "user": "u1", "messages": [{"role": "user", "content": "hi"}]}
    assert (await ask.good("POST", "/v1/explain", body))["experiment"] == found["id"]


async def test_a_shadow_is_counted_and_never_seen(ask):
    shadow = {"name": "dark", "model": "b", "shadow": True, "params": {"max_completion_tokens": 1}}
    arms = [{"name": "one", "params": {"max_completion_tokens": 2}}, shadow]
    await running(ask, model="a", arms=arms)
    for n in range(10):
        said = await ask.chat("three words here", model="a", user=f"u{n}")
        assert said.headers["x-gatemill-arm"] == "one"
        assert said.json["choices"][0]["message"]["content"] == "three words "
    await asyncio.gather(*(task for task in _running if task.get_name() == "shadow"))
    one, dark = (await ask.good("GET", f"{PATH}/ab/results"))["arms"]
    assert (one["requests"], dark["requests"]) == (10, 10)
    # It answers what was asked, not what another arm has made of it.
    assert one["tokens"] - dark["tokens"] == 1.0
    assert dark["shadow"] is True
    rows = (await ask.good("GET", "/api/v1/requests?key=shadow"))["data"]
    assert {row["version"] for row in rows} == {"dark"}


async def test_a_guardrail_stops_an_arm_and_never_the_last(ask, gate):
    rail = {"metric": "latency_p95_ms", "max": 0, "min_requests": 3}
    await running(ask, guardrails=[rail])
    desk = gate.home.rooms.experiments
    for n in range(16):
        await arm_of(ask, f"u{n}")
    await gate.home.ledger.flushed()
    assert await desk.guard() == 1
    found = await ask.good("GET", f"{PATH}/ab")
    assert [arm["weight"] for arm in found["arms"]] == [0.0, 1.0]
    assert "latency_p95_ms is" in found["arms"][0]["stopped"]
    assert {(await arm_of(ask, f"u{n}"))[0] for n in range(16)} == {"two"}
    event = (await ask.good("GET", f"{PATH}/ab/events?limit=1"))["data"][0]
    assert (event["actor"], event["action"]) == ("guardrail", "stop_arm")
    page = (await ask("GET", "/metrics")).body
    assert b"gatemill_experiments_arms_stopped_total 1.0" in page
    assert await desk.guard() == 0  # nobody looks again so soon, and the last arm stays
    resumed = await ask.good("PATCH", f"{PATH}/ab", {"weights": {"one": 1}})
    assert resumed["arms"][0]["stopped"] is None


BAD = [
    ({"name": "a/b"}, "name"),
    ({"name": "a"}, "name"),  # a model
    ({"arms": ARMS[:1]}, "arms"),
    ({"arms": [ARMS[0], ARMS[0]]}, "arms"),
    ({"arms": [{"name": "one", "model": "none"}, ARMS[1]]}, "arms.0.model"),
    ({"arms": [ARMS[0], {"name": "two"}]}, "arms.1.model"),
    ({"arms": [ARMS[0], {**ARMS[1], "weight": -1}]}, "arms.1.weight"),
    ({"arms": [{**arm, "weight": 0} for arm in ARMS]}, "arms"),
    ({"arms": [ARMS[0], {**ARMS[1], "shadow": True, "weight": 1}]}, "arms.1.weight"),
    ({"arms": [ARMS[0], {**ARMS[1], "share": 0.5}]}, "arms.1.share"),
    ({"arms": [ARMS[0], {**ARMS[1], "params": {"model": "b"}}]}, "arms.1.params.model"),
    ({"arms": [ARMS[0], {**ARMS[1], "params": [1]}]}, "arms.1.params"),
    ({"arms": [ARMS[0], {**ARMS[1], "prompt": "nobody"}]}, "arms.1.prompt"),
    ({"arms": [ARMS[0], {**ARMS[1], "wieght": 1}]}, "arms.1"),
    ({"model": "none"}, "model"),
    ({"metric": {"name": "x", "kind": "odd"}}, "metric.kind"),
    ({"metric": {"name": "cost_usd", "direction": "higher"}}, "metric.direction"),
    ({"metrics": [THUMBS]}, "metrics"),
    ({"unit": "team"}, "unit"),
    ({"guardrails": [{"metric": "mood", "max": 1}]}, "guardrails.0.metric"),
    (
        {"guardrails": [{"metric": "error_rate", "max": 0.1, "window_s": 1}]},
        "guardrails.0.window_s",
    ),
    ({"colour": 1}, "colour"),
]


async def test_what_cannot_be_an_experiment_is_refused_by_its_field(ask):
    for wrong, field in BAD:
        answer = await ask("POST", PATH, {**NEW, **wrong})
        assert answer.status == 400, (wrong, answer.body)
        assert answer.json["error"]["param"] == field, (wrong, answer.json)
    assert (await ask.good("GET", PATH))["data"] == []
    many = [ARMS[0], *({**ARMS[1], "name": f"s{n}", "shadow": True} for n in range(2))]
    assert (await ask("POST", PATH, {**NEW, "arms": many})).json["error"]["param"] == "arms"
    large = {**ARMS[1], "params": {"stop": "x" * 20_000}}
    answer = await ask("POST", PATH, {**NEW, "arms": [ARMS[0], large]})
    assert answer.json["error"]["param"] == "arms.1.params"


async def test_acts_out_of_turn_are_refused(ask, plain):
    await ask.good("POST", PATH, NEW)
    assert (await ask("POST", f"{PATH}/ab/pause")).status == 409
    assert (await ask("POST", f"{PATH}/ab/conclude")).status == 409
    await ask.good("POST", f"{PATH}/ab/start")
    refused = await ask("POST", f"{PATH}/ab/conclude", {"winner": "three"})
    assert (refused.status, refused.json["error"]["param"]) == (400, "winner")
    assert (await ask("GET", f"{PATH}/ab/assignment")).json["error"]["param"] == "unit"
    for method, path in (("GET", PATH), ("POST", PATH), ("GET", f"{PATH}/ab/results")):
        assert (await ask(method, path, None, plain)).status == 403
    same = await ask.good("PATCH", f"{PATH}/ab", {"reason": "nothing"})
    assert same["version"] == 2  # nothing has changed, and nothing is written down


async def test_arms_of_the_configuration_file_change_requests_too(ask):
    answers = set()
    for n in range(20):
        said = await ask.chat("three words here", model="split", user=f"u{n}")
        text = said.json["choices"][0]["message"]["content"]
        answers.add((said.headers["x-gatemill-arm"], text))
    assert answers == {("v1", "three words here"), ("v2", "three ")}


async def test_an_arm_of_a_split_name_may_lead_to_an_experiment_of_the_file(ask):
    await running(ask, arms=[ARMS[0], {"name": "two", "model": "split"}])
    for n in range(20):
        await arm_of(ask, f"u{n}")
    found = await ask.good("GET", f"{PATH}/ab/results")
    assert sum(arm["requests"] for arm in found["arms"]) == 20
    assert found["arms"][1]["latency_p95_ms"] > 0
    rows = (await ask.good("GET", "/api/v1/requests?model=ab"))["data"]
    assert {row["version"] for row in rows} == {"one", "two/v1", "two/v2"}
    assert msgspec.json.encode(found)


async def test_a_judge_feeds_an_experiment_with_what_is_independent(ask, gate):
    await running(ask, metrics=[{"name": "wins"}])
    desk = gate.home.rooms.experiments
    one = await desk.get("ab")
    job = SimpleNamespace(id="job_1", key_id="k")
    key = Key(id="k", name="k", admin=True)
    ctx = SimpleNamespace(job=job, key=key, services=gate.home.jobs.services, now_s=lambda: 1.0)
    feeds = judge.Feeds("ab", "wins", "one", "two")
    assert await judge._fed(ctx, feeds) == one
    winners = ["a", "a", "", "b", "tie", "b"]
    rows = [Row(f"p{at}", winner) for at, winner in enumerate(winners)]
    for _ in range(2):  # a job that is interrupted does it again
        assert await judge._feed(ctx, one, feeds, rows) == 5
    metric = (await ask.good("GET", f"{PATH}/ab/results"))["metrics"][1]
    # Of each pair one arm hears: a, tie of the even ones; a, b, b of the odd ones are 0, 1, 1 for two.
    assert [(arm["n"], arm["mean"]) for arm in metric["arms"]] == [
        *((2, 0.75), (3, pytest.approx(2 / 3)))
    ]
    for wrong in ({"a": "none"}, {"metric": "thumbs"}, {"metric": "none"}):
        with pytest.raises(Quit):
            await judge._fed(ctx, replace(feeds, **wrong))
    ctx.key = replace(key, admin=False)
    with pytest.raises(Quit):
        await judge._fed(ctx, feeds)


async def test_an_arm_fills_in_a_prompt_and_the_others_do_not_see_its_variables(ask):
    await ask.good("POST", "/v1/models", {"name": "tone", "kind": "prompt"})
    template = [{"role": "system", "content": "Be {{ mood }}."}]
    await ask.good("POST", "/v1/models/tone/versions", {"template": template})
    arms = [{"name": "plain", "model": "a"}, {"name": "two", "model": "a", "prompt": "tone:1"}]
    await running(ask, arms=arms)
    tokens = {}
    for n in range(16):
        arm, request_id = await arm_of(ask, f"u{n}", prompt_variables={"mood": "kind"})
        past = await ask.good("GET", f"/api/v1/requests/{request_id}/explain")
        prompts = (past.get("prompt_version"), past["attempts"][0]["prompt_tokens"])
        tokens.setdefault(arm, set()).add(prompts)
    ((nothing, few),), ((version, more),) = tokens["plain"], tokens["two"]
    assert (nothing, version) == (None, "tone:1")
    assert few < more


async def test_variables_reach_no_provider(ask, fake):
    arms = [{"name": "one"}, {"name": "two", "params": {"temperature": 0.5}}]
    await running(ask, model="up/gpt-fake", arms=arms)
    for n in range(8):
        await arm_of(ask, f"u{n}", model="up/gpt-fake", prompt_variables={"mood": "kind"})
    bodies = [row.body for row in fake.journal]
    assert {body.get("temperature") for body in bodies} == {None, 0.5}
    assert not any("prompt_variables" in body for body in bodies)
