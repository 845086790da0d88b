"""Queues are told even when nothing waits, and can be held."""

from __future__ import annotations

import pytest
from msgspec import Raw

from gatemill.core.call import Key
from gatemill.core.errors import NotFound
from gatemill.jobs import queues
from gatemill.jobs.submission import Sender, Submission
from house_for_tests import opened

KEY = Key(id="ada", name="ada")


@pytest.fixture
async def desk(tmp_path):
    async with opened(tmp_path) as gate:
        yield gate.home.jobs.desk


async def test_queues_are_told_even_when_nothing_waits(desk):
    names = [queue["name"] for queue in await queues.listed(desk.services)]
    assert names == sorted(names)
    assert {"inference", "batch", "webhooks"} <= {*names}
    args = Raw(b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}')
    await desk.accept(Sender(KEY), [Submission(kind="chat.completion", args=args)])
    queue = await queues.pause(desk.services, "inference", paused=True)
    assert (queue["paused"], queue["queued"], queue["waiting"]["default"]["jobs"]) == (True, 1, 1)
    assert not (await queues.pause(desk.services, "inference", paused=False))["paused"]
    with pytest.raises(NotFound):
        await queues.pause(desk.services, "nobody", paused=True)
