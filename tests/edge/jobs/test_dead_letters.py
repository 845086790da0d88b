"""/v1/dead_letters over real HTTP: looking changes nothing, replay runs once, purge is for good."""

from __future__ import annotations

import asyncio

import pytest

from jobs_over_http import JOBS, dead, ended, jobs_there, submit

PATH = "/v1/dead_letters"


async def test_a_dead_letter_says_what_it_was_and_why_it_died(ask):
    job = await dead(ask, "broken")
    assert [one["id"] for one in (await ask.good("GET", PATH))["data"]] == [job]
    letter = await ask.good("GET", f"{PATH}/{job}")
    assert letter["args"] == {"fails": "broken"}
    assert letter["error"] == {"code": "broken", "message": "It was told to fail."}
    assert letter["attempts"][-1]["error"]["code"] == "broken"
    assert (await ask.good("GET", PATH))["data"], "it is still there"


async def test_who_may_only_look_does_not_see_what_another_ones_letter_was_given(ask, keys):
    job = await dead(ask, key=keys.ada)
    looks = {"name": "looks", "scopes": ["admin:read"]}
    eye = (await ask.good("POST", "/api/v1/keys", looks))["secret"]
    told = await ask.good("GET", f"{PATH}/{job}", None, eye)
    assert (told["args"], told["error"]["code"]) == (None, "broken")
    for key in (keys.ada, keys.bob, None):
        assert (await ask.good("GET", f"{PATH}/{job}", None, key))["args"] == {"fails": "broken"}


async def test_a_job_that_lives_is_no_dead_letter(ask):
    job = (await submit(ask))["id"]
    await ended(ask, job)
    assert (await ask("GET", f"{PATH}/{job}")).status == 404
    for method, path in (("POST", f"{PATH}/{job}/replay"), ("DELETE", f"{PATH}/{job}")):
        said = await ask(method, path)
        assert (said.status, said.json["error"]["code"]) == (409, "conflict")
        assert "succeeded" in said.json["error"]["message"]


async def test_a_replay_runs_once_however_often_it_is_asked(ask):
    job = await dead(ask)
    said = {"args": {"waits": True}}
    found = await asyncio.gather(*(ask("POST", f"{PATH}/{job}/replay", said) for _ in range(10)))
    assert sorted(said.status for said in found) == [200] + [409] * 9
    await ask.good("DELETE", f"{JOBS}/{job}")
    assert len((await ended(ask, job))["attempts"]) <= 2


async def test_a_replay_may_have_other_arguments_and_another_priority(ask):
    job = await dead(ask)
    said = {"args": {"count": 3}, "priority": "high"}
    assert (await ask.good("POST", f"{PATH}/{job}/replay", said))["priority"] == "high"
    done = await ended(ask, job)
    assert (done["state"], done["result"], done["error"]) == ("succeeded", {"counted": 3}, None)
    assert (await ask.good("GET", PATH))["data"] == []


async def test_only_an_admin_puts_words_into_a_job_on_another_keys_account(ask, keys):
    own = {"name": "cut", "team_id": "core", "scopes": ["jobs"]}
    cut = (await ask.good("POST", "/api/v1/keys", own))["secret"]
    refused = {"model": "up/fake+status=400", "messages": [{"role": "user", "content": "hi"}]}
    said = {"kind": "chat.completion", "args": refused}
    made = await ask("POST", JOBS, said, keys.ada)
    job = made.json["id"]
    assert (await ended(ask, job, cut))["state"] == "dead"
    other = {"args": {**refused, "model": "echo"}}
    for key in (cut, keys.bob):
        told = await ask("POST", f"{PATH}/{job}/replay", other, key)
        assert (told.status, told.json["error"]["param"]) == (400, "args")
    await ask.good("POST", f"{PATH}/{job}/replay", None, cut)  # as it was
    assert (await ended(ask, job, cut))["state"] == "dead"
    await ask.good("POST", f"{PATH}/{job}/replay", other)
    assert (await ended(ask, job))["state"] == "succeeded"


@pytest.mark.parametrize(
    ("said", "status", "param"),
    [
        ({"args": {"count": "x"}}, 422, "args.count"),
        ({"args": {"says": ["x" * 20_001]}}, 413, "args"),
        ({"priority": "urgent"}, 400, "priority"),
        ({"arg": {}}, 400, "arg"),
    ],
)
async def test_a_bad_replay_leaves_the_letter(ask, said, status, param):
    job = await dead(ask)
    refused = await ask("POST", f"{PATH}/{job}/replay", said)
    assert (refused.status, refused.json["error"]["param"]) == (status, param)
    assert (await ask.good("GET", f"{PATH}/{job}"))["state"] == "dead"


async def test_what_the_house_made_is_replayed_as_it_was(ask):
    body = {"model": "up/fake+status=400", "input": "hi", "background": True}
    made = await ask.good("POST", "/v1/responses", body)
    job = made["id"].replace("resp_", "job_")
    assert (await ended(ask, job))["state"] == "dead"
    refused = await ask("POST", f"{PATH}/{job}/replay", {"args": {"body": {}}})
    assert (refused.status, refused.json["error"]["param"]) == (400, "args")
    await ask.good("POST", f"{PATH}/{job}/replay")
    assert len((await ended(ask, job))["attempts"]) == 2


async def test_many_are_replayed_by_filter_after_a_look(ask):
    broken = [await dead(ask, "broken") for _ in range(3)]
    other = await dead(ask, "other")
    filtered = {"filter": {"error": "broken", "kind": "held"}}
    look = await ask.good("POST", f"{PATH}/replay", {**filtered, "dry_run": True})
    assert (look["dry_run"], look["matched"], look["done"]) == (True, 3, 0)
    assert sorted(look["ids"]) == sorted(broken)
    for job in broken:
        assert (await ask.good("GET", f"{PATH}/{job}"))["state"] == "dead"
    done = await ask.good("POST", f"{PATH}/replay", filtered)
    assert (done["matched"], done["done"], done["has_more"]) == (3, 3, False)
    for job in broken:
        assert len((await ended(ask, job))["attempts"]) == 2
    assert len((await ask.good("GET", f"{JOBS}/{other}"))["attempts"]) == 1


async def test_those_with_these_ids_are_replayed_and_others_are_told_apart(ask, keys):
    mine, foreign = await dead(ask, key=keys.ada), await dead(ask, key=keys.eve)
    living = (await submit(ask, {}, keys.ada))["id"]
    await ended(ask, living, keys.ada)
    said = {"ids": [mine, mine, foreign, living, "job_none"]}
    done = await ask.good("POST", f"{PATH}/replay", said, keys.ada)
    assert (done["matched"], done["done"]) == (4, 1)
    assert len((await ended(ask, foreign))["attempts"]) == 1


async def test_an_empty_filter_means_the_callers_own(ask, keys):
    mine, foreign = await dead(ask, key=keys.ada), await dead(ask, key=keys.eve)
    look = await ask.good("POST", f"{PATH}/replay", {"filter": {}, "dry_run": True}, keys.bob)
    assert look["ids"] == [mine]
    everything = await ask.good("POST", f"{PATH}/replay", {"filter": {}, "dry_run": True})
    assert sorted(everything["ids"]) == sorted((mine, foreign))


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({}, "ids"),
        ({"ids": ["job_1"], "filter": {}}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["x"] * 501}, "ids"),
        ({"filter": {"erorr": "x"}}, "filter"),
        ({"filter": {"created_after": "soon"}}, "filter.created_after"),
    ],
)
async def test_what_is_not_clear_replays_nothing(ask, said, param):
    refused = await ask("POST", f"{PATH}/replay", said)
    assert (refused.status, refused.json["error"]["param"]) == (400, param)


async def test_purging_one_is_for_good(ask):
    job = await dead(ask)
    gone = await ask.good("DELETE", f"{PATH}/{job}")
    assert gone == {"object": "job", "id": job, "deleted": True}
    assert (await ask("GET", f"{JOBS}/{job}")).status == 404
    assert (await ask("DELETE", f"{PATH}/{job}")).status == 404


async def test_purging_many_needs_a_word(ask):
    broken, other = await dead(ask, "broken"), await dead(ask, "other")
    look = await ask.good("DELETE", f"{PATH}?error=broken")
    assert (look["dry_run"], look["ids"], look["done"]) == (True, [broken], 0)
    assert await jobs_there(ask) == 2
    gone = await ask.good("DELETE", f"{PATH}?error=broken&confirm=true")
    assert (gone["dry_run"], gone["done"]) == (False, 1)
    assert [one["id"] for one in (await ask.good("GET", PATH))["data"]] == [other]


async def test_letters_are_filtered_and_paged(ask):
    made = [await dead(ask, code) for code in ("a", "b", "a")]
    found = await ask.good("GET", f"{PATH}?error=a")
    assert [one["id"] for one in found["data"]] == [made[2], made[0]]
    page = await ask.good("GET", f"{PATH}?limit=1&error=a")
    assert (page["has_more"], page["data"][0]["id"]) == (True, made[2])
    rest = await ask.good("GET", f"{PATH}?limit=1&error=a&after={made[2]}")
    assert (rest["has_more"], rest["data"][0]["id"]) == (False, made[0])
    assert (await ask.good("GET", f"{PATH}?created_before=1h"))["data"] == []
