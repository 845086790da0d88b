"""The examples of /openapi.json, sent to a running server.

Rule: requests are written by hand in data/openapi/examples.json; answers there are recorded by
scripts/make_reference.py, with ids and times that look alike every time. An example may need what is
there `before` it and is taken away `after` it; the ids there are made up, and stand for the real ones.
"""

from __future__ import annotations

import functools
import itertools
import re
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from websockets.sync.client import connect

from gatemill import describe
from gatemill.describe.document import complete
from gatemill.edge import access
from gatemill.edge import app as application
from gatemill.edge.shown import Shown
from running import Running

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(describe.__file__).parents[1] / "data" / "openapi" / "examples.json"
SOCKET = "chat_stream"
# Of the server that they are sent to. The model that runs here is a provider with a script.
CONFIG = f"""
[recordings]
share = 1.0
[local.demo]
task = "generate"
engine = "command"
command = ["{sys.executable}", "-m", "gatemill", "fake-provider", "--port", "{{port}}"]
health = "/livez"
served_name = "fake"
[alerts]
every_s = 0.25
for_s = 0
disk_share = 0
"""
# What is shown of ids with much chance in them, by their beginnings.
MADE_UP = {
    "job_": "1a1fd6a3c2600000114fd48419e4911f4464e",
    "resp_": "1a1fd6a3c2600000114fd48419e4911f4464e",  # the job's
    "batch_": "2b1fd6a3c2600000114fd48419e4911f4464e",
    "file-": "3c1fd6a3c2600000114fd48419e4911f4464e",
    "we_": "4d1fd6a3c2600000114fd48419e4911f4464e",
    "vsfb_": "7a1fd6a3c2600000114fd48419e4911f4464e",
    "vs_": "6f1fd6a3c2600000114fd48419e4911f4464e",
    "wh_": "5e1fd6a3c2600000114fd48419e4911f4464e",
    "exp_": "6f1fd6a3c2600000114fd48419e4911f4464e",
    "inc_": "8b1fd6a3c2600000114fd48419e4911f4464e",
}
_MADE_UP = re.compile(rf"\b({'|'.join(MADE_UP)})[0-9a-f]{{16,}}")
# What differs from one request to the next, and what stands there instead.
_VOLATILE = (
    (re.compile(r"req_[0-9a-f]{29}"), "req_1a1fc2352f5b0c6e8d9a4700001a"),
    (re.compile(r'("created(?:_at)?":)[1-9][\d.]*'), r"\g<1>1795219200"),
    (re.compile(r'("version":")[0-9a-f]{12}"'), r'\g<1>291aaabf8955"'),
    (re.compile(r'("applied_at":)\d+'), r"\g<1>1795219200"),
    (re.compile(r'("processing_time_ms":)[\d.]+'), r"\g<1>0.41"),
    (re.compile(r'("config":")[0-9a-f]{12}"'), r'\g<1>291aaabf8955"'),
    (re.compile(r"(gm-[0-9a-z]{10}-)[0-9A-Za-z]{43}"), r"\g<1>" + "0" * 43),
    (re.compile(r'("(?:last_used|revoked|starts|ends|updated)_at":)[1-9]\d*'), r"\g<1>1795219200"),
    (re.compile(r'("at":)[\d.]+'), r"\g<1>1795219200.5"),
    (re.compile(r'("(?:since|until)":")[^"]+'), r"\g<1>2026-11-21T00:00:00Z"),
    (re.compile(r"(?<=,)\d{4}-\d\d-\d\d(?=,)"), "2026-11-21"),
    (
        re.compile(r'("(?:(?:mean_)?latency|first_token|offset|mean|p\d\d)_ms":)[\d.e-]+'),
        r"\g<1>0.41",
    ),
    (re.compile(r'("(?:next|instance)":")[0-9a-f]{29}'), r"\g<1>1a1fc2352f5b0c6e8d9a4700001a"),
    (re.compile(r'("next":"1a1fc2352f5b0c6e8d9a4700001a:)\d+'), r"\g<1>17"),
    (re.compile(r'("expected_wait_s":)[\d.e-]+'), r"\g<1>0.0"),
    (re.compile(r'("id":)\d+'), r"\g<1>7"),
    (re.compile(r"\bwhsec_[0-9A-Za-z+/=]{20,}"), "whsec_" + "0" * 32),
    (
        re.compile(
            r'("(?:run|started|finished|ended|in_progress|finalizing|completed)_at":)[\d.]+'
        ),
        r"\g<1>1795219200",
    ),
    (re.compile(r'("(?:cancelling|cancelled)_at":)[\d.]+'), r"\g<1>1795219200"),
    (re.compile(r'("expires_at":)[\d.]+'), r"\g<1>1797811200"),
    (re.compile(r'("older_(?:secret_)?until":)[\d.]+'), r"\g<1>1795305600"),
    (re.compile(r'("(?:next_try|delivered)_at":)[\d.]+'), r"\g<1>1795219200"),
    (re.compile(r'("(?:retrieve|rerank|generate)":)[\d.e-]+'), r"\g<1>0.41"),
    (re.compile(r'("chunk_)\d+"'), r'\g<1>17"'),
    (re.compile(r'("took_ms":)\d+'), r"\g<1>12"),
    (re.compile(r'("last_active_at":)\d+'), r"\g<1>1795219200"),
    # A batch of files goes on while it is told of.
    (
        re.compile(r'("vector_store_id":"[^"]+","status":")\w+","file_counts":\{[^}]*\}'),
        (
            r'\g<1>in_progress","file_counts":{"in_progress":1,"completed":0,"failed":0,'
            r'"cancelled":0,"total":1}'
        ),
    ),
    (re.compile(r'("(?:since|until)":)[\d.]+'), r"\g<1>1795219200"),
    (re.compile(r'("latency_p95_ms":)[\d.e-]+'), r"\g<1>0.41"),
    (re.compile(r'("oldest_s":)[\d.e-]+'), r"\g<1>0.4"),
    (re.compile(r'("(?:loaded|used)_at":)[\d.]+'), r"\g<1>1795219200"),
    (re.compile(r'("(?:opened|seen)_at":)[\d.]+'), r"\g<1>1795219200.5"),
    (re.compile(r'("severity":"critical","value":)[\d.e-]+'), r"\g<1>0.91"),
    (re.compile(r'("pid":)\d+'), r"\g<1>4711"),
    (re.compile(r'("memory_bytes":)[1-9]\d*'), r"\g<1>52428800"),
    (re.compile(r"(,\d+,\d+,)[\d.]+(?=\r\n)"), r"\g<1>0.41"),
)
_ANSWER_S_MAX = 60.0
_BOUNDARY = "gatemill-example"
_stages = itertools.count()


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Message
    body: bytes


def document() -> dict[str, Any]:
    """The document, as the app serves it."""
    shown = Shown(healthy=lambda: True, open_metrics=True)
    return complete(application.build(shown, with_docs=True).told, access.scopes_of)


def examples() -> dict[str, dict[str, Any]]:
    """All examples: operation, name."""
    found: dict[str, dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
    return found


@functools.cache
def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """operationId: path, method, operation."""
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def form(step: dict[str, Any]) -> bytes:
    """The body of an example that sends a file."""
    parts = [
        f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}' for n, v in step["form"].items()
    ]
    file = f'Content-Disposition: form-data; name="file"; filename="{step["file"]["name"]}"'
    parts.append(f"{file}\r\nContent-Type: application/jsonl\r\n\r\n{step['file']['text']}")
    whole = "".join(f"--{_BOUNDARY}\r\n{part}\r\n" for part in parts)
    return f"{whole}--{_BOUNDARY}--\r\n".encode()


class Stage:
    """What an example finds: the real ids behind those that it shows."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._names = {"adm1n00001": running.key.split("-")[1]}
        # Numbers of versions are never given out twice, so each stage has a name of its own.
        self._names["mood-demo"] = f"mood-{next(_stages)}-demo"
        self._secrets = {"": running.key}

    def real(self, text: str) -> str:
        """Shown text with the real ids."""
        for shown_id, real in self._names.items():
            text = text.replace(shown_id, real)
        return text

    def told(self, answer: Answer) -> Answer:
        """An answer with the ids that are shown."""
        body = answer.body
        for shown_id, real in self._names.items():
            body = body.replace(real.encode(), shown_id.encode())
        return answer._replace(body=body)

    def ask(self, method: str, path: str, step: dict[str, Any]) -> Answer:
        """The answer to a step or an example; what it is called `as` is known from now on."""
        secret = self._secrets[step.get("key", "")]
        headers = {"authorization": f"Bearer {secret}", **step.get("headers", {})}
        data = None
        if "file" in step:
            data = form(step)
            headers["content-type"] = f"multipart/form-data; boundary={_BOUNDARY}"
        elif "request" in step:
            data = self.real(msgspec.json.encode(step["request"]).decode()).encode()
            headers["content-type"] = "application/json"
        answer = fetch(self._running.url + self.real(path), headers, data, method)
        self.learn(step, answer)
        return answer

    def learn(self, step: dict[str, Any], answer: Answer) -> None:
        """The id of what a step has made."""
        if "as" not in step:
            return
        said = msgspec.json.decode(answer.body)
        name = step["as"]
        if name.startswith("req_"):
            self._names[name] = answer.headers["x-request-id"]
            return
        if said.get("object") == "list":
            said = said["data"][0]
        real = said.get("id") or said["task_id"]
        if start := next((start for start in MADE_UP if name.startswith(start)), ""):
            # A response and its job have the rest of their names in common.
            name, real = name.removeprefix(start), re.split("[_-]", real, maxsplit=1)[1]
        self._names[name] = real
        if said.get("object") == "key":
            self._secrets[name] = said["secret"]


@contextmanager
def staged(running: Running, example: dict[str, Any]) -> Iterator[Stage]:
    """What the example needs is there; afterwards it is gone, and so is what the example has made."""
    stage = Stage(running)
    for step in example.get("before", ()):
        made = stage.ask(step["method"], step["path"], step)
        assert made.status in (200, 201, 202), made.body
        deadline_s = time.monotonic() + _ANSWER_S_MAX
        while step.get("until", "").encode() not in made.body:  # it comes by itself
            assert time.monotonic() < deadline_s, made.body
            time.sleep(0.02)
            made = stage.ask(step["method"], step["path"], step)
    try:
        yield stage
    finally:
        for step in example.get("after", ()):
            gone = stage.ask(step["method"], step["path"], step)
            assert gone.status == 200, gone.body


def send(running: Running, name: str, example: dict[str, Any], path: str) -> Answer:
    """The answer to one example, with the key of the first start."""
    method = operations()[name][1].upper()
    with staged(running, example) as stage:
        return stage.told(stage.ask(method, example.get("path", path), example))


def fetch(
    url: str, headers: dict[str, str], data: bytes | None = None, method: str | None = None
) -> Answer:
    """The answer to a request, whatever its status; without a method a GET, or a POST of `data`."""
    asked = urllib.request.Request(url, data, headers, method=method)
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
    return _MADE_UP.sub(lambda found: found[1] + MADE_UP[found[1]], text)


def shown(answer: Answer) -> Any:
    """An answer as the file keeps it: JSON, or the text of a stream."""
    text = normalised(answer.body.decode())
    if answer.headers.get_content_type() != "application/json":
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
