"""/v1/feedback over real HTTP: what counts, for which arm, and what is refused."""

from __future__ import annotations

from experiment_play import PATH, arm_of, running


async def test_feedback_counts_once_and_for_the_arm_that_answered(ask, plain):
    await running(ask)
    arm, request_id = await arm_of(ask, "u1", key=plain)
    said = {"request_id": request_id, "metric": "thumbs", "value": True}
    told = await ask("POST", "/v1/feedback", said, plain)  # at once, before the row is written
    assert told.status == 202
    assert (told.json["arm"], told.json["counted"]) == (arm, True)
    await ask("POST", "/v1/feedback", {**said, "value": False}, plain)  # they thought again
    named = {"experiment": "ab", "unit": "u9", "metric": "thumbs", "value": 1}
    for _ in range(3):
        once = await ask("POST", "/v1/feedback", {**named, "idempotency_key": "k"}, plain)
        assert once.status == 202
    reused = await ask("POST", "/v1/feedback", {**named, "value": 0, "idempotency_key": "k"}, plain)
    assert (reused.status, reused.json["error"]["code"]) == (422, "idempotency_key_reused")
    await ask("POST", "/v1/feedback", named, plain)  # without a name it is another one of the unit
    metric = (await ask.good("GET", f"{PATH}/ab/results"))["metrics"][0]
    assert sum(each["n"] for each in metric["arms"]) == 2
    assert sum(each["values"] for each in metric["arms"]) == 3
    by_name = {each["name"]: each for each in metric["arms"]}
    assert by_name[arm]["mean"] in (0.0, 0.5)  # u9 may have the same arm
    assert (await ask.good("GET", f"{PATH}/ab"))["feedback"] == 3


async def test_feedback_on_requests_of_others_is_on_none(ask, plain):
    await running(ask)
    _, request_id = await arm_of(ask, "u1")
    said = {"request_id": request_id, "metric": "thumbs", "value": 1}
    assert (await ask("POST", "/v1/feedback", said, plain)).status == 404
    assert (await ask("POST", "/v1/feedback", {**said, "request_id": "req_none"})).status == 404
    assert (await ask("POST", "/v1/feedback", said)).status == 202
    narrow = await ask.good("POST", "/api/v1/keys", {"name": "narrow", "models": ["a"]})
    named = {"experiment": "ab", "unit": "u1", "metric": "thumbs", "value": 1}
    assert (await ask("POST", "/v1/feedback", named, narrow["secret"])).status == 404
    path = f"{PATH}/ab/assignment?unit=u1"
    assert (await ask("GET", path, None, narrow["secret"])).status == 404
    assert (await ask("GET", path, None, plain)).status == 200


async def test_where_nothing_runs_feedback_does_not_count_and_is_no_error(ask):
    _, request_id = await arm_of(ask, "u1", model="a")
    said = {"request_id": request_id, "metric": "thumbs", "value": 1}
    told = await ask("POST", "/v1/feedback", said)
    assert (told.status, told.json["counted"]) == (202, False)
    await running(ask)
    _, request_id = await arm_of(ask, "u1")
    await ask.good("POST", f"{PATH}/ab/conclude")
    told = await ask("POST", "/v1/feedback", {**said, "request_id": request_id})
    assert told.json["reason"] == "the experiment is not running"
    named = {"experiment": "ab", "unit": "u1", "metric": "thumbs", "value": 1}
    assert (await ask("POST", "/v1/feedback", named)).json["counted"] is False
    await ask.good("DELETE", f"{PATH}/ab")
    told = await ask("POST", "/v1/feedback", {**said, "request_id": request_id})
    assert (told.status, told.json["experiment"]) == (202, None)


BAD_FEEDBACK = [
    ({}, "metric"),
    ({"metric": "thumbs", "value": 1}, "request_id"),
    ({"metric": "thumbs", "value": 1, "experiment": "ab"}, "unit"),
    ({"metric": "thumbs", "value": 1, "experiment": "ab", "request_id": "r"}, "experiment"),
    ({"metric": "thumbs", "value": 2, "experiment": "ab", "unit": "u"}, "value"),
    ({"metric": "stars", "value": 1e300, "experiment": "ab", "unit": "u"}, "value"),
    ({"metric": "moods", "value": 1, "experiment": "ab", "unit": "u"}, "metric"),
    ({"metric": "thumbs", "value": "1", "experiment": "ab", "unit": "u"}, "value"),
]


async def test_feedback_that_makes_no_sense_is_refused_by_its_field(ask):
    await running(ask, metrics=[{"name": "stars"}])
    for wrong, field in BAD_FEEDBACK:
        answer = await ask("POST", "/v1/feedback", wrong)
        assert answer.status == 400, (wrong, answer.body)
        assert answer.json["error"]["param"] == field, (wrong, answer.json)
    odd = b'{"experiment":"ab","unit":"u","metric":"stars","value":NaN}'
    assert (await ask("POST", "/v1/feedback", odd)).status == 400
