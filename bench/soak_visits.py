"""What people at the dashboard, on WebSockets and with documents do during the soak. Rule: as in soak_mix.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from bench.soak_chores import ended, upload, wrong

if TYPE_CHECKING:
    import random

    from bench.soak_wire import Wires

_PAGES_READ = 3  # between signing in and out
_PAGES = (
    *("/ui", "/ui/requests", "/ui/models", "/ui/providers", "/ui/keys", "/ui/teams", "/ui/users"),
    *("/ui/budgets", "/ui/jobs", "/ui/dead-letters", "/ui/webhooks", "/ui/knowledge"),
    *("/ui/experiments", "/ui/alerts", "/ui/audit", "/ui/settings"),
)
_COOKIE = re.compile(rb"\r\nset-cookie: ([^;\r]+)", re.IGNORECASE)
_TOKEN = re.compile(rb'name="token" value="([^"]+)"')
_OWN = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
_WORDS = 40  # of the model `stream`
_SOCKET_S_MAX = 30.0
_encode = msgspec.json.encode


async def look(wires: Wires, chance: random.Random) -> str:
    """Somebody signed in, read pages and what their twins say, and signed out."""
    form = f"key={quote(wires.key)}".encode()
    into = await wires.ask(wires.request("POST", "/ui/login", form, _OWN))
    cookie = _COOKIE.search(into.head)
    if into.status != 303 or cookie is None:
        return f"signing in: {wrong(into)}"
    signed = {"cookie": cookie[1].decode()}
    token = b""
    for path in chance.sample(_PAGES, _PAGES_READ):
        page = await wires.ask(wires.request("GET", path, headers=signed))
        if page.status != 200 or (found := _TOKEN.search(page.body)) is None:
            return f"{path}: {wrong(page)}"
        token = found[1]
        twin = "/ui/overview.json" if path == "/ui" else f"{path}.json"
        said = await wires.ask(wires.request("GET", twin))
        if said.status != 200 or not isinstance(said.json, dict):
            return f"{twin}: {wrong(said)}"
    out = await wires.ask(
        wires.request("POST", "/ui/logout", b"token=" + token, {**_OWN, **signed})
    )
    return "" if out.status == 303 else f"signing out: {wrong(out)}"


async def talk(wires: Wires, chance: random.Random) -> str:
    """Two answers over one WebSocket, the second of which may be left in the middle."""
    url = f"ws://127.0.0.1:{wires.port}/v1/chat/stream"
    headers = {"authorization": f"Bearer {wires.key}"}
    stays = chance.random() < 0.5
    try:
        async with connect(
            url, additional_headers=headers, proxy=None, open_timeout=_SOCKET_S_MAX
        ) as socket:
            for is_last in (False, True):
                model = "slow" if is_last and not stays else "stream"
                turn = {"role": "user", "content": f"number {chance.randrange(1_000_000)}"}
                await socket.send(_encode({"model": model, "messages": [turn]}))
                if model == "slow":
                    await socket.recv()
                    return ""
                text, kind = "", ""
                while kind not in {"done", "error"}:
                    event = msgspec.json.decode(await socket.recv())
                    kind = event.get("type", "")
                    parts = (each["delta"].get("content") for each in event.get("choices", ()))
                    text += "".join(part or "" for part in parts)
                if kind == "error" or text != " ".join(f"word{n}" for n in range(_WORDS)):
                    return f"{event!r} after {text[-100:]!r}"
    except (OSError, WebSocketException) as error:
        return repr(error)
    return ""


async def consult(wires: Wires, chance: random.Random) -> str:
    """A store was made, filled with a document, searched, and taken away with it."""
    number = chance.randrange(1_000_000)
    document = f"The number of the house is {number}. Its door is green.\n" * 20
    sent = await upload(wires, chance, "assistants", "house.txt", document.encode())
    made = await wires.ask(wires.request("POST", "/v1/vector_stores", b'{"name": "soak"}'))
    if sent.status != 200 or made.status != 200:
        return f"{wrong(sent)}; {wrong(made)}"
    store = f"/v1/vector_stores/{made.json['id']}"
    file = sent.json["id"]
    added = await wires.ask(wires.request("POST", f"{store}/files", _encode({"file_id": file})))
    if added.status != 200:
        return wrong(added)
    said = await ended(wires, f"{store}/files/{file}", "status", ("in_progress",), "completed")
    if said:
        return said
    asked = _encode({"query": f"house {number}"})
    found = await wires.ask(wires.request("POST", f"{store}/search", asked))
    if found.status != 200 or str(number) not in found.json["data"][0]["content"][0]["text"]:
        return wrong(found)
    for path in (store, f"/v1/files/{file}"):
        gone = await wires.ask(wires.request("DELETE", path))
        if gone.status != 200:
            return f"{path}: {wrong(gone)}"
    return ""
