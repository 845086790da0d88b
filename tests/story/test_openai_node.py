"""The openai Node SDK against the gateway, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import needs

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The story with its SDK installed."""
    npm = needs.program("npm")
    needs.program("node")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "story.mjs"):
        shutil.copy(HERE / name, folder / name)
    command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        needs.missing(f"npm could not install the SDK: {done.stderr[-300:]}")
    return folder


async def test_the_node_sdk_chats_streams_calls_tools_and_cancels(town, project):
    process = await asyncio.create_subprocess_exec(
        needs.program("node"),
        "story.mjs",
        cwd=project,
        env={**os.environ, "BASE_URL": town.v1, "KEY": town.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    seen = json.loads(out)
    assert seen["chat"] == seen["stream"] == "hello big world"
    assert seen["embeddings"][0] == seen["embeddings"][1] > 1
    assert seen["response"] == "completed"
    assert "echo" in seen["models"]
    left = await town.fake.journal.wait_for(lambda row: row.outcome == "client_left", 60.0)
    assert left is not None
