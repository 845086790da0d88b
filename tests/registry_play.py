"""A registry over HTTP for tests: a model, its versions, and what moves an alias."""

from __future__ import annotations

from jobs_over_http import ended

BILLING = [f"please refund invoice number {n}, it was charged twice" for n in range(8)]
BUGS = [f"the window crashes with error {n} when it opens" for n in range(8)]
EXAMPLES = [{"text": text, "label": "billing"} for text in BILLING]
EXAMPLES += [{"text": text, "label": "bug"} for text in BUGS]
CONFIG = '[models.taken]\ntargets = ["echo/echo"]\n'
MOOD = {"name": "mood", "task": "classify", "description": "Praise or blame?"}


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
