"""Jobs for tests of `gatemill jobs`: a kind that runs until a file is there, and models that fail."""

from __future__ import annotations

import json

PATIENCE_S = 60.0
KIND = """
import asyncio
from pathlib import Path
from msgspec import Struct

NAME = "test.held"
QUEUE = "test"

class Args(Struct):
    file: str  # it runs until this file is there
    steps: int = 0

async def run(ctx, args):
    for step in range(args.steps):
        ctx.progress(step + 1, args.steps, "stepping")
    while not await asyncio.to_thread(Path(args.file).exists):
        await asyncio.sleep(0.02)
    return "released"
"""
CONFIG = """
[providers.lab]
kind = "openai"
base_url = "{url}/v1"
api_key = "any"
[models.echo]
targets = ["echo/echo"]
[models.strict]
targets = ["lab/fake+content-policy"]
[models.down]
targets = ["lab/fake+status=500"]
[jobs]
kinds = ["{kind}"]
backoff_s = 0.1
attempts_max = 2
"""


def chat(model: str = "echo", **more: object) -> str:
    said = {"model": model, "messages": [{"role": "user", "content": "hello big world"}], **more}
    return json.dumps(said)
