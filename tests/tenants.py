"""Two tenants at one server who do everything at once, and somebody who sees what each of them is told.

Rule: each tenant's texts hold its canary, and each id has one owner: whoever was told of it first. An answer with the other's
canary, id, key or team is a leak; what is asked of the other's things is answered as if there were no such thing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct, field

if TYPE_CHECKING:
    from peer import Answer

KEPT_MAX = 20  # of each kind, so that the other has something to guess
_ID = re.compile(
    rb"\b(?:chatcmpl|cmpl|msg|req|resp|job|batch|file|prompt|vsfb|vs|we|wh)[-_](?=[a-z_-]*\d)[0-9A-Za-z_-]{12,}"
)
_encode = msgspec.json.encode


class Sent(NamedTuple):
    """A request; `keeps` is the kind of the thing that it makes, `ends` the id of the one that it takes away."""

    method: str
    path: str
    body: bytes = b""
    keeps: str = ""
    ends: tuple[str, str] = ("", "")
    headers: tuple[tuple[str, str], ...] = ()

    def bytes(self, secret: str) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: 127.0.0.1"]
        lines += [f"authorization: Bearer {secret}", f"content-length: {len(self.body)}"]
        named = dict(self.headers)
        lines += [f"{name}: {value}" for name, value in named.items()]
        if self.body and "content-type" not in named:
            lines.append("content-type: application/json")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class Tenant(Struct):
    """One of the two."""

    name: str
    secret: str
    key_id: str
    team_id: str
    hook: str  # where it wants to be told of jobs
    own: dict[str, list[str]] = field(default_factory=dict)  # kind: ids
    told: Counter[int] = field(default_factory=Counter)  # statuses

    @property
    def canary(self) -> str:
        """A word that only this tenant says."""
        return f"canary{self.name}"

    def keep(self, kind: str, name: str) -> None:
        """The thing is there."""
        kept = self.own.setdefault(kind, [])
        kept.append(name)
        del kept[:-KEPT_MAX]

    def marks(self) -> tuple[bytes, ...]:
        """What the other must never see."""
        return tuple(word.encode() for word in (self.canary, self.key_id, self.team_id))


class Watch(Struct):
    """What went out, and what of it should not have."""

    owners: dict[bytes, str] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)  # route shapes
    foreign: int = 0
    hung_up: int = 0

    def take(self, mine: Tenant, other: Tenant, sent: Sent, answer: Answer) -> None:
        """One answer. Whose id it is, is whose it was."""
        mine.told[answer.status] += 1
        shape = f"{sent.method} {re.sub(_ID.pattern.decode(), '*', sent.path.partition('?')[0])}"
        self.done[f"{shape} {answer.status}"] += 1
        said = answer.body + repr(answer.headers).encode()
        self.leaks += [f"{sent.path}: {mark!r}" for mark in other.marks() if mark in said]
        asked = set(_ID.findall(sent.path.encode() + sent.body))
        for found in set(_ID.findall(said)) - asked:
            if self.owners.setdefault(found, mine.name) != mine.name:
                self.leaks.append(f"{sent.path}: {found!r}")
        if answer.status >= 500:
            self.leaks.append(f"{sent.path}: {answer.status} {answer.body!r}")
        if sent.keeps and answer.status < 300:
            mine.keep(sent.keeps, answer.json["id"])
        kind, name = sent.ends
        if kind and name in mine.own.get(kind, ()):
            mine.own[kind].remove(name)


Make = "Callable[[random.Random, Tenant], Sent | None]"


def _json(method: str, path: str, body: object, keeps: str = "", **headers: str) -> Sent:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Sent(method, path, _encode(body), keeps, headers=named)


def _turns(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _text(chance: random.Random, mine: Tenant) -> str:
    return f"{mine.canary} asks {chance.randrange(300)}"


def _shared(chance: random.Random, mine: Tenant) -> Sent:
    """A question that both ask word for word, of a model with a cache; each answer has an id of its own."""
    number = chance.randrange(200)
    headers = {}
    if chance.random() < 0.3:
        headers["idempotency_key"] = f"order-{number}"
    body = {"model": "m", "messages": _turns(f"question {number}"), "stream": number % 2 == 0}
    return _json("POST", "/v1/chat/completions", body, **headers)


def _chat(chance: random.Random, mine: Tenant) -> Sent:
    body = {
        "model": "echo",
        "messages": _turns(_text(chance, mine)),
        "stream": chance.random() < 0.5,
    }
    return _json("POST", "/v1/chat/completions", body)


def _prompted(chance: random.Random, mine: Tenant) -> Sent:
    """A prompt that is its team's alone; what it says holds the tenant's canary."""
    body = {"model": "echo", "messages": [], "prompt_id": chance.choice(mine.own["prompt"])}
    return _json("POST", "/v1/chat/completions", body)


def _message(chance: random.Random, mine: Tenant) -> Sent:
    body = {"model": "echo", "max_tokens": 99, "messages": _turns(_text(chance, mine))}
    return _json("POST", "/v1/messages", body)


def _response(chance: random.Random, mine: Tenant) -> Sent:
    return _json("POST", "/v1/responses", {"model": "echo", "input": _text(chance, mine)})


def _background(chance: random.Random, mine: Tenant) -> Sent:
    body = {"model": "echo", "input": _text(chance, mine), "background": True}
    return _json("POST", "/v1/responses", body, "response")


def _job(chance: random.Random, mine: Tenant) -> Sent:
    args = {"model": "echo", "messages": _turns(_text(chance, mine))}
    body = {"kind": "chat.completion", "args": args, "metadata": {"whose": mine.canary}}
    if chance.random() < 0.2:
        body["callback_url"] = mine.hook
    headers = {}
    if chance.random() < 0.3:
        headers["idempotency_key"] = f"job-{chance.randrange(50)}"
    return _json("POST", "/v1/jobs", body, "job", **headers)


def _file(chance: random.Random, mine: Tenant) -> Sent:
    lines = b"".join(
        _encode(
            {
                "custom_id": f"{mine.canary}-{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "echo", "messages": _turns(_text(chance, mine))},
            }
        )
        + b"\n"
        for number in range(2)
    )
    edge = b"a-tenants-edge"
    part = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    name = b'; filename="%b.jsonl"' % mine.canary.encode()
    body = part % (edge, b"purpose", b"", b"batch") + part % (edge, b"file", name, lines)
    kind = (("content-type", f"multipart/form-data; boundary={edge.decode()}"),)
    return Sent("POST", "/v1/files", body + b"--" + edge + b"--\r\n", "file", headers=kind)


def _batch(chance: random.Random, mine: Tenant) -> Sent | None:
    if not mine.own.get("file"):
        return None
    body = {
        "input_file_id": chance.choice(mine.own["file"]),
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"whose": mine.canary},
    }
    return _json("POST", "/v1/batches", body, "batch")


def _store(chance: random.Random, mine: Tenant) -> Sent:
    # Both use the same few names: a name is the tenant's own.
    body = {"name": f"notes-{chance.randrange(5)}", "metadata": {"whose": mine.canary}}
    return _json("POST", "/v1/vector_stores", body, "store")


def _document(chance: random.Random, mine: Tenant) -> Sent | None:
    if not mine.own.get("store"):
        return None
    text = f"Everybody knows the holidays of {mine.canary}, and {_text(chance, mine)}."
    body = {"documents": [{"id": "holidays", "text": text}]}
    return _json("POST", f"/v1/vector_stores/{chance.choice(mine.own['store'])}/documents", body)


def _search(chance: random.Random, mine: Tenant) -> Sent | None:
    if not mine.own.get("store"):
        return None
    body = {"query": "which holidays does everybody know"}
    return _json("POST", f"/v1/vector_stores/{chance.choice(mine.own['store'])}/search", body)


def _ask_documents(chance: random.Random, mine: Tenant) -> Sent:
    body = {"query": "which holidays does everybody know", "store": f"notes-{chance.randrange(5)}"}
    return _json("POST", "/v1/rag/query", {**body, "model": "echo"})


def _webhook(chance: random.Random, mine: Tenant) -> Sent:
    body = {"url": mine.hook, "events": ["job.*"], "description": mine.canary}
    return _json("POST", "/v1/webhooks", body, "webhook")


def _explain(chance: random.Random, mine: Tenant) -> Sent:
    return _json("POST", "/v1/explain", {"model": "echo", "messages": _turns(_text(chance, mine))})


LISTS = (
    "/v1/jobs?limit=50",
    "/v1/files",
    "/v1/batches",
    "/v1/vector_stores",
    "/v1/webhooks",
    "/v1/webhooks/deliveries?limit=50",
    "/v1/dead_letters",
    "/v1/models",
    "/api/v1/requests?limit=50",
    "/api/v1/usage?by=key",
    "/api/v1/usage/summary",
    "/api/v1/limits",
    "/api/v1/budgets",
)


def _list(chance: random.Random, mine: Tenant) -> Sent:
    return Sent("GET", chance.choice(LISTS))


# What may be asked of a thing, by its kind; the last one takes it away.
_SAFE: dict[str, tuple[tuple[str, str, object], ...]] = {
    "job": (
        ("GET", "/v1/jobs/{}", None),
        ("GET", "/tasks/{}", None),
        ("GET", "/batch_result/{}", None),
        ("DELETE", "/v1/jobs/{}", None),
    ),
    "response": (("GET", "/v1/responses/{}", None), ("POST", "/v1/responses/{}/cancel", None)),
    "file": (
        ("GET", "/v1/files/{}", None),
        ("GET", "/v1/files/{}/content", None),
        ("DELETE", "/v1/files/{}", None),
    ),
    "batch": (("GET", "/v1/batches/{}", None), ("POST", "/v1/batches/{}/cancel", None)),
    "store": (
        ("GET", "/v1/vector_stores/{}", None),
        ("GET", "/v1/vector_stores/{}/files", None),
        ("POST", "/v1/vector_stores/{}", {"metadata": {"seen": "yes"}}),
        ("DELETE", "/v1/vector_stores/{}", None),
    ),
    "webhook": (
        ("GET", "/v1/webhooks/{}", None),
        ("PATCH", "/v1/webhooks/{}", {"description": "mine"}),
        ("DELETE", "/v1/webhooks/{}", None),
    ),
    "prompt": (
        (
            "POST",
            "/v1/chat/completions",
            {"model": "echo", "messages": [], "prompt_id": "{}"},
        ),
        (
            "POST",
            "/v1/chat/completions",
            {"model": "m", "messages": [], "prompt_id": "{}", "stream": True},
        ),
    ),
    "request": (("GET", "/api/v1/requests/{}/explain", None),),
}
# Besides those: asked of the other's things only, because they would end or move the world under a test.
_MORE: dict[str, tuple[tuple[str, str, object], ...]] = {
    "job": (
        ("GET", "/v1/jobs/{}/events", None),
        ("DELETE", "/tasks/{}", None),
        ("GET", "/v1/dead_letters/{}", None),
        ("DELETE", "/v1/dead_letters/{}", None),
        ("POST", "/v1/dead_letters/{}/replay", {}),
    ),
    "response": (("DELETE", "/v1/responses/{}", None),),
    "store": (
        ("POST", "/v1/vector_stores/{}/search", {"query": "holidays"}),
        ("POST", "/v1/vector_stores/{}/documents", {"documents": [{"id": "a", "text": "b"}]}),
        ("GET", "/v1/vector_stores/{}/files/{}", None),
        ("POST", "/v1/rag/query", {"query": "holidays", "store": "{}", "model": "echo"}),
    ),
    "file": (
        (
            "POST",
            "/v1/batches",
            {
                "input_file_id": "{}",
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            },
        ),
    ),
    "webhook": (
        ("POST", "/v1/webhooks/{}/rotate", {}),
        ("POST", "/v1/webhooks/{}/test", None),
    ),
}


def _asked(step: tuple[str, str, object], name: str) -> Sent:
    method, path, body = step
    data = b"" if body is None else _encode(body).replace(b'"{}"', _encode(name))
    return Sent(method, path.replace("{}", name), data)


def _own(chance: random.Random, mine: Tenant) -> Sent | None:
    """Something is done with a thing of one's own."""
    kinds = [kind for kind in _SAFE if mine.own.get(kind)]
    if not kinds:
        return None
    kind = chance.choice(kinds)
    name = chance.choice(mine.own[kind])
    sent = _asked(chance.choice(_SAFE[kind]), name)
    return sent._replace(ends=(kind, name)) if sent.method == "DELETE" else sent


_OPERATIONS: tuple[tuple[int, Make], ...] = (
    (26, _shared),
    (14, _chat),
    (4, _prompted),
    (4, _message),
    (4, _response),
    (2, _background),
    (4, _job),
    (3, _file),
    (1, _batch),
    (2, _store),
    (4, _document),
    (4, _search),
    (2, _ask_documents),
    (1, _webhook),
    (2, _explain),
    (12, _list),
    (15, _own),
)
_WEIGHTS, _MAKERS = zip(*_OPERATIONS, strict=True)


def operation(chance: random.Random, mine: Tenant) -> Sent:
    """Something that a tenant does with its own."""
    while True:
        made = chance.choices(_MAKERS, _WEIGHTS)[0](chance, mine)
        if made is not None:
            return made


def trespass(chance: random.Random, other: Tenant) -> tuple[Sent, Sent] | None:
    """The same asked of a thing of the other, and of one that is nowhere."""
    kinds = [kind for kind in _SAFE if other.own.get(kind)]
    if not kinds:
        return None
    kind = chance.choice(kinds)
    name = chance.choice(other.own[kind])
    turned = name[:-6] + "".join(chance.choice("0123456789abcdef") for _ in range(6))
    step = chance.choice((*_SAFE[kind], *_MORE.get(kind, ())))
    return _asked(step, name), _asked(step, turned)


def bare(answer: Answer, sent: Sent) -> tuple[int, bytes, tuple[str, ...]]:
    """An answer without what differs each time: the ids, and what the request itself named."""
    body = answer.body
    for named in _ID.findall(sent.path.encode() + sent.body):
        body = body.replace(named, b"ID")
    return answer.status, _ID.sub(b"ID", body), tuple(sorted(answer.headers))
