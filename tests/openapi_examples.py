"""The examples of /openapi.json, sent to a running server.

Rule: requests are written by hand in data/openapi/examples.json; answers there are recorded by
scripts/make_reference.py, with ids and times that look alike every time.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from websockets.sync.client import connect

from gatemill.edge import app as application
from gatemill.edge import describe
from running import Running

FILE = Path(describe.__file__).parents[2] / "data" / "openapi" / "examples.json"
SOCKET = "chat_stream"
# What differs from one request to the next, and what stands there instead.
_VOLATILE = (
    (re.compile(r"req_[0-9a-f]{29}"), "req_1a1fc2352f5b0c6e8d9a4700001a"),
    (re.compile(r'("created(?:_at)?":)[1-9][\d.]*'), r"\g<1>1795219200"),
    (re.compile(r'("version":")[0-9a-f]{12}"'), r'\g<1>291aaabf8955"'),
    (re.compile(r'("applied_at":)\d+'), r"\g<1>1795219200"),
    (re.compile(r'("processing_time_ms":)[\d.]+'), r"\g<1>0.41"),
)
_ANSWER_S_MAX = 30.0


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Message
    body: bytes


def document() -> dict[str, Any]:
    """The document, as the app serves it."""
    shown = application.Shown(healthy=lambda: True, open_metrics=True)
    return describe.complete(application.build(shown, with_docs=True).openapi())


def examples() -> dict[str, dict[str, Any]]:
    """All examples: operation, name."""
    found: dict[str, dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
    return found


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """operationId: path, method, operation."""
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def send(running: Running, name: str, example: dict[str, Any], path: str) -> Answer:
    """The answer to one example, with the key of the first start."""
    headers = {"authorization": f"Bearer {running.key}", **example.get("headers", {})}
    data = None
    if "request" in example:
        data = msgspec.json.encode(example["request"])
        headers["content-type"] = "application/json"
    return fetch(running.url + example.get("path", path), headers, data)


def fetch(url: str, headers: dict[str, str], data: bytes | None = None) -> Answer:
    """The answer to a GET, or to a POST of `data`; whatever its status."""
    asked = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=_ANSWER_S_MAX) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.headers, refusal.read())


def talk(running: Running, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a WebSocket answers: each message is sent when the one before is done."""
    received: list[dict[str, Any]] = []
    url = running.url.replace("http://", "ws://") + describe.SOCKET
    keyed = {"authorization": f"Bearer {running.key}"}
    with connect(url, additional_headers=keyed, open_timeout=_ANSWER_S_MAX) as socket:
        for message in sent:
            socket.send(msgspec.json.encode(message).decode())
            while not received or received[-1].get("type") not in ("done", "pong", "error"):
                received.append(msgspec.json.decode(socket.recv(_ANSWER_S_MAX)))
            if message is not sent[-1]:
                received.append({})  # parts one message's answers from the next one's
    return [message for message in received if message]


def normalised(text: str) -> str:
    """The same for every request alike."""
    for volatile, steady in _VOLATILE:
        text = volatile.sub(steady, text)
    return text


def shown(answer: Answer) -> Any:
    """An answer as the file keeps it: JSON, or the text of a stream."""
    text = normalised(answer.body.decode())
    if answer.headers.get_content_type() == "text/event-stream":
        return text
    return msgspec.json.decode(text)


def recorded(running: Running) -> dict[str, dict[str, Any]]:
    """The examples with what `running` answers to them."""
    known = operations()
    out = examples()
    for name, group in out.items():
        path = known[name][0]
        for example in group.values():
            if name == SOCKET:
                heard = msgspec.json.encode(talk(running, example["sent"])).decode()
                example["received"] = msgspec.json.decode(normalised(heard))
            elif name != "metrics":  # its example is a piece; a test looks for it in the whole
                example["answer"] = shown(send(running, name, example, path))
    return out
