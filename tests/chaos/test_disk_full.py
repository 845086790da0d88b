"""A disk without room: requests are answered, what was answered is written down later, /readyz tells."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crowd import crowd
from peer import ask, body, plain, post
from running import serve

if TYPE_CHECKING:
    from collections.abc import Callable

CHATS = int(os.environ.get("GATEMILL_TEST_REQUESTS", "200"))
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
JOB = json.dumps(
    {
        "kind": "chat.completion",
        "args": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
    }
).encode()


async def _ready(running, wanted):
    async with asyncio.timeout(30):
        while True:
            if (await ask(running, plain(running, "/readyz?verbose"))).status == wanted:
                return
            await asyncio.sleep(0.02)  # asked without a pause, it cost 17 s of CPU


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
async def test_requests_go_on_while_the_disk_is_full_and_nothing_answered_is_lost(
    tmp_path: Path, say: Callable[[str], None]
):
    starting = serve(tmp_path, '[models.echo]\ntargets = ["echo/echo"]\n')
    running = await asyncio.to_thread(starting.__enter__)
    try:
        chat = post(running, body("echo"))
        assert {each.status for each in await crowd([running], [chat] * 20, 4)} == {200}
        await _ready(running, 200)
        # From now on no file grows, as on a full disk.
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        answers = await crowd([running], [chat] * CHATS, 4)
        assert {each.status for each in answers} == {200}
        await _ready(running, 503)
        told = (await ask(running, plain(running, "/readyz?verbose"))).json
        assert told["checks"]["ledger"] == "failing"
        assert (await ask(running, plain(running, "/livez"))).status == 200
        # What must be durable before it is promised is refused, with a word about when to come again.
        for path, data in (("/v1/jobs", JOB), ("/api/v1/keys", b'{"name": "new"}')):
            refused = await ask(running, post(running, data, path=path))
            assert refused.status == 503
            assert refused.headers["retry-after"]
            assert b"ledger_unavailable" in refused.body
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, NO_LIMIT)
        await _ready(running, 200)
        made = await ask(running, post(running, b'{"name": "new"}', path="/api/v1/keys"))
        assert made.status in (200, 201)
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
    asked = {each.answer.headers["x-request-id"] for each in answers}
    with closing(sqlite3.connect(tmp_path / "data" / "gatemill.db")) as database:
        written = {row[0] for row in database.execute("SELECT request_id FROM usage")}
        assert database.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
    assert asked <= written
    say(
        f"no room on the disk: {CHATS} of {CHATS} answered, and all of them in the ledger afterwards"
    )
