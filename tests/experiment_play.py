"""Experiments for tests of the door: two arms over the echo, and who meets which."""

from __future__ import annotations

PATH = "/v1/experiments"
ARMS = [{"name": "one", "model": "a"}, {"name": "two", "model": "b"}]
THUMBS = {"name": "thumbs", "kind": "binary"}
NEW = {"name": "ab", "arms": ARMS, "metric": THUMBS, "salt": "s"}


async def running(ask, **more):
    made = await ask.good("POST", PATH, {**NEW, **more})
    return await ask.good("POST", f"{PATH}/{made['id']}/start", {"reason": "go"})


async def arm_of(ask, user, model="ab", **more):
    said = await ask.chat(model=model, user=user, **more)
    assert said.status == 200, said.body
    return said.headers.get("x-gatemill-arm"), said.headers["x-request-id"]
