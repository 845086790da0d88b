"""What administrators, workers and monitors do during the soak. Rule: as in soak_mix.py: "" or what went wrong."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import random

    from bench.soak_wire import Answer, Wires

_LINES = 20  # of a batch
_PAUSE_S = 0.25
_WORK_S_MAX = 120.0
_PAGES = (
    "/v1/models",
    "/v1/jobs?limit=20",
    "/api/v1/keys?limit=20",
    "/api/v1/limits",
    "/api/v1/requests?limit=20",
    "/api/v1/usage?by=model",
    "/api/v1/usage/summary",
    "/readyz",
)
_encode = msgspec.json.encode


def _work(number: int) -> dict[str, object]:
    return {"model": "work", "messages": [{"role": "user", "content": f"part {number}"}]}


async def job(wires: Wires, chance: random.Random) -> str:
    """A job was submitted and has succeeded."""
    data = _encode({"kind": "chat.completion", "args": _work(chance.randrange(1_000_000))})
    answer = await wires.ask(wires.request("POST", "/v1/jobs", data))
    if answer.status != 202:
        return wrong(answer)
    path = f"/v1/jobs/{answer.json['id']}"
    return await ended(wires, path, "state", ("queued", "running", "scheduled"), "succeeded")


async def batch(wires: Wires, chance: random.Random) -> str:
    """A file was sent, a batch made of it, and every line answered."""
    lines = [
        _encode(
            {
                "custom_id": f"line-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": _work(number),
            }
        )
        for number in range(_LINES)
    ]
    answer = await upload(wires, chance, "batch", "soak.jsonl", b"\n".join(lines))
    if answer.status != 200:
        return wrong(answer)
    body = {
        "input_file_id": answer.json["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    answer = await wires.ask(wires.request("POST", "/v1/batches", _encode(body)))
    if answer.status != 200:
        return wrong(answer)
    path = f"/v1/batches/{answer.json['id']}"
    going = ("validating", "in_progress", "finalizing")
    return await ended(wires, path, "status", going, "completed")


async def rotate(wires: Wires, chance: random.Random) -> str:
    """A key was made, used, replaced, used again and revoked; the old one is refused."""
    path = "/api/v1/keys"
    made = await wires.ask(wires.request("POST", path, b'{"name": "soak"}'))
    if made.status != 201:
        return wrong(made)
    turn = _encode(_work(0))
    first = {"authorization": f"Bearer {made.json['secret']}"}
    chat = "/v1/chat/completions"
    used = await wires.ask(wires.request("POST", chat, turn, first))
    again = await wires.ask(
        wires.request("POST", f"{path}/{made.json['id']}/rotate", b'{"grace_s": 0}')
    )
    if used.status != 200 or again.status != 201:
        return f"{wrong(used)}; {wrong(again)}"
    second = {"authorization": f"Bearer {again.json['secret']}"}
    used = await wires.ask(wires.request("POST", chat, turn, second))
    refused = await wires.ask(wires.request("POST", chat, turn, first))
    gone = await wires.ask(wires.request("DELETE", f"{path}/{again.json['id']}"))
    if (used.status, refused.status, gone.status) != (200, 401, 200):
        return f"{wrong(used)}; {wrong(refused)}; {wrong(gone)}"
    return ""


async def admin(wires: Wires, chance: random.Random) -> str:
    """A page of the API was read."""
    path = chance.choice(_PAGES)
    answer = await wires.ask(wires.request("GET", path))
    return "" if answer.status == 200 else f"{path}: {wrong(answer)}"


async def metrics(wires: Wires, chance: random.Random) -> str:
    """The metrics were scraped."""
    answer = await wires.ask(wires.request("GET", "/metrics"))
    return "" if b"gatemill_requests_total" in answer.body else wrong(answer)


async def upload(
    wires: Wires, chance: random.Random, purpose: str, name: str, data: bytes
) -> Answer:
    """What came of sending a file."""
    edge = f"edge{chance.getrandbits(64)}"
    part = '--{}\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    form = (
        f"{part.format(edge, 'purpose', '')}{purpose}\r\n"
        + part.format(edge, "file", f'; filename="{name}"')
    ).encode() + data
    form += f"\r\n--{edge}--\r\n".encode()
    kind = {"content-type": f"multipart/form-data; boundary={edge}"}
    return await wires.ask(wires.request("POST", "/v1/files", form, kind))


async def ended(wires: Wires, path: str, field: str, going: tuple[str, ...], right: str) -> str:
    """What is at `path` has become `right`, after nothing but `going`."""
    until_s = time.monotonic() + _WORK_S_MAX
    while True:
        answer = await wires.ask(wires.request("GET", path))
        if answer.status != 200:
            return f"{path}: {wrong(answer)}"
        state = answer.json[field]
        if state not in going:
            return "" if state == right else f"{path} ended as {state}: {wrong(answer)}"
        if time.monotonic() > until_s:
            return f"{path} is still {state} after {_WORK_S_MAX:.0f} s"
        await asyncio.sleep(_PAUSE_S)


def wrong(answer: Answer) -> str:
    """An answer that was not the right one, in words."""
    return f"{answer.status} {answer.body[:300]!r}"
