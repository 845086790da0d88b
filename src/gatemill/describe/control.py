"""What the document says of the control routes. Rule: a row for each, in the order of the page."""

from __future__ import annotations

from typing import Any, NamedTuple

from gatemill.describe import headers, refusals, searches
from gatemill.describe.routes import curl
from gatemill.describe.words import Json, ref, string, whole, word

_JSON = "application/json"
_CSV = "text/csv"
_STREAM = "text/event-stream"
_BYTES = "application/octet-stream"
_OWN = " A key that is no admin's is told about itself only."
_SEEN = (401, 403, 421, 431, 500, 503)  # every control route may answer these

# Their body may be left out: nothing changes, or the defaults do.
_EMPTY = {
    *("experiments_update", "experiments_start", "experiments_pause", "experiments_conclude"),
    *("versions_render", "vector_stores_create", "vector_stores_update", "dead_letter_replay"),
    *("keys_update", "keys_rotate", "teams_update", "users_update"),
    *("webhooks_secret_rotate", "webhooks_update", "webhooks_rotate", "explain"),
}


class Control(NamedTuple):
    """A control route."""

    summary: str
    about: str
    tag: str
    answer: str  # schema, as is the next
    request: str = ""
    method: str = "GET"
    status: int = 200
    of: Json | None = None  # the parameter of the path; such a thing may not be there
    asked: tuple[Json, ...] = ()  # parameters besides
    errors: tuple[int, ...] = ()  # besides _SEEN
    family: str = "problem"
    event: str = ""  # schema of the events, where it may answer as a stream
    sent_back: tuple[str, ...] = ()  # headers of the answer besides x-request-id
    media_type: str = "application/json"  # of the request
    binary: bool = False  # the answer is a file


def query(name: str, schema: Json) -> Json:
    """A parameter of the query."""
    return headers.parameter(name, schema, "query")


def path_parameter(name: str, about: str, example: str) -> Json:
    """A parameter of the path."""
    found = headers.parameter(name, string(about), "path")
    return {**found, "required": True, "example": example}


_LIMIT = query("limit", whole("Most entries; 100 by default.", least=1, most=10_000))
_KEY = path_parameter("key_id", "The middle part of the key.", "k3y0000001")
_TEAM = path_parameter("team_id", "The team's id.", "research")
_USER = path_parameter("user_id", "The user's id.", "ada")
_FILTERS = (
    query("key", string("Only this key, by its id.")),
    query("user", string("Only this user.")),
    query("team", string("Only this team.")),
    query("model", string("Only this model, as callers name it.")),
    query("provider", string("Only this provider.")),
)
_BY = string(
    "What to tell apart, with commas between: `key`, `user`, `team`, `model`, `provider`, `target`,"
    " `operation`, `version`, `cache`, and one of `minute`, `hour` and `day`."
)
_MOMENT = "`7d` (so long ago), `2026-11-01`, `2026-11-01T12:00:00Z` or seconds of Unix time"
_KEYS, _USAGE = "Keys", "Usage"

ROUTES = {
    "keys_create": Control(
        "Make a key",
        "The answer holds the secret, which is shown this once and stored nowhere.",
        _KEYS,
        "NewKey",
        "KeyNew",
        "POST",
        201,
        errors=(400, 413),
    ),
    "keys": Control(
        "List keys",
        "Keys of every state, the newest first.",
        _KEYS,
        "KeyList",
        asked=(_LIMIT,),
        errors=(400,),
    ),
    "key": Control("Show a key", "One key.", _KEYS, "Key", of=_KEY),
    "keys_update": Control(
        "Change a key",
        "What is left out stays; a limit that is null ends. In effect within a second, everywhere.",
        _KEYS,
        "Key",
        "KeyChange",
        "PATCH",
        of=_KEY,
        errors=(400, 413),
    ),
    "keys_revoke": Control(
        "Revoke a key",
        "It works no longer: here at once, in other processes within a second.",
        _KEYS,
        "Key",
        method="DELETE",
        of=_KEY,
    ),
    "keys_rotate": Control(
        "Replace a key",
        "A new key with the same rights; the old one works for `grace_s` more seconds.",
        _KEYS,
        "NewKey",
        "KeyRotation",
        "POST",
        201,
        of=_KEY,
        errors=(400, 413),
    ),
    "teams_create": Control(
        "Make a team",
        "Users and keys of a team share its limits.",
        _KEYS,
        "Team",
        "TeamNew",
        "POST",
        201,
        errors=(400, 409, 413),
    ),
    "teams": Control(
        "List teams",
        "Teams in the order of their ids.",
        _KEYS,
        "TeamList",
        asked=(_LIMIT,),
        errors=(400,),
    ),
    "team": Control("Show a team", "One team.", _KEYS, "Team", of=_TEAM),
    "teams_update": Control(
        "Change a team",
        "What is left out stays; a limit that is null ends. In effect within a second.",
        _KEYS,
        "Team",
        "TeamChange",
        "PATCH",
        of=_TEAM,
        errors=(400, 413),
    ),
    "teams_delete": Control(
        "Delete a team",
        "Refused while it has users or live keys.",
        _KEYS,
        "Deleted",
        method="DELETE",
        of=_TEAM,
        errors=(409,),
    ),
    "users_create": Control(
        "Make a user",
        "A person or a program that holds keys, and may belong to a team.",
        _KEYS,
        "User",
        "UserNew",
        "POST",
        201,
        errors=(400, 409, 413),
    ),
    "users": Control(
        "List users",
        "Users in the order of their ids.",
        _KEYS,
        "UserList",
        asked=(_LIMIT,),
        errors=(400,),
    ),
    "user": Control("Show a user", "One user.", _KEYS, "User", of=_USER),
    "users_update": Control(
        "Change a user",
        "What is left out stays; a limit that is null ends. In effect within a second.",
        _KEYS,
        "User",
        "UserChange",
        "PATCH",
        of=_USER,
        errors=(400, 413),
    ),
    "users_delete": Control(
        "Delete a user",
        "Refused while they hold live keys.",
        _KEYS,
        "Deleted",
        method="DELETE",
        of=_USER,
        errors=(409,),
    ),
    "audit": Control(
        "Who changed what",
        "Changes of keys, teams and users, who signed in and who could not, the newest first.",
        _KEYS,
        "AuditLog",
        asked=(
            _LIMIT,
            query("before", whole("Only older entries than this id.", least=1)),
            query("actor", string("Only what this key or person did.")),
            query("action", string("Only this action, such as `sign_in_refused`.")),
            query("kind", string("Only this kind of object, such as `key`.")),
            query("object_id", string("Only this object.")),
            query("since", string(f"From {_MOMENT}; by default all.")),
            query("until", string("Up to there, written the same way; by default now.")),
        ),
        errors=(400,),
    ),
    "budgets": Control(
        "List budgets",
        "Every budget of keys that work, users, teams and models: its limit, what was spent, what"
        " requests under way hold, what is left.",
        _USAGE,
        "BudgetList",
        asked=(
            query("scope", word("Only these.", "key", "user", "team", "model")),
            query("id", string("Only this one of them; needs `scope`.")),
            _LIMIT,
        ),
        errors=(400, 404),
    ),
    "limits": Control(
        "Show a key's limits",
        "All that a request with this key has to pass, and what is left of it." + _OWN,
        _USAGE,
        "LimitList",
        asked=(query("key", string("The key's id; by default your own.")),),
        errors=(400, 404),
    ),
    "usage": Control(
        "Report usage",
        "Requests, tokens and money, added up. Minutes and hours reach back as far as single"
        " requests are kept, days for ever." + _OWN,
        _USAGE,
        "UsageReport",
        asked=(
            query("by", _BY),
            query("since", string(f"From {_MOMENT}; by default 7d.")),
            query("until", string("Up to there, written the same way; by default now.")),
            query("format", word("How to tell it.", "json", "csv")),
            _LIMIT,
            *_FILTERS,
        ),
        errors=(400,),
    ),
    "usage_summary": Control(
        "Sum up the last hours",
        "Operations, success rate, latency, tokens, cost and the most common errors. The span begins"
        " with a whole minute." + _OWN,
        _USAGE,
        "UsageSummary",
        asked=(
            query("hours", whole("How far back; 24 by default.", least=1, most=8784)),
            *_FILTERS,
        ),
        errors=(400,),
    ),
    "requests": Control(
        "List requests",
        "Attempts, the newest first, page by page. One page looks at a bounded number of them: where"
        " little is found, `searched_to` says how far it came, and `before` goes on." + _OWN,
        _USAGE,
        "AttemptList",
        asked=(_LIMIT, *searches.REQUESTS, *_FILTERS),
        errors=(400,),
    ),
    "requests_explain": Control(
        "Explain a request",
        "What became of a request, and why. A request of another key is one that is not there,"
        " unless the key is an admin's.",
        _USAGE,
        "PastExplanation",
        of=path_parameter(
            "request_id", "From the header x-request-id.", "req_1a1fc2352f5b0c6e8d9a4700001a"
        ),
    ),
    "logs": Control(
        "Follow requests",
        "The newest access lines of one process, refused requests among them; it keeps the last 2,000."
        " Send `next` back as `after` for those that came since. With several processes each has its own:"
        " `instance` says whose these are, and a kept connection stays with one.",
        _USAGE,
        "AccessLines",
        asked=(
            query("after", string("`next` of the answer before.")),
            query("since", string(f"Requests that came from then on. {_MOMENT}.")),
            query("limit", whole("Most lines; 100 by default.", least=1, most=2_000)),
            query("status", string("Only these, such as `429` or `5xx`.")),
            query("model", string("Only requests for this model, as the caller named it.")),
            query("key", string("Only requests of this key.")),
        ),
        errors=(400,),
    ),
    "explain": Control(
        "What would happen",
        "Takes any inference request, with the same headers, and says what would become of it:"
        " limits, cache, targets, cost. Nothing is sent, and nothing is counted.",
        "Gatemill",
        "Explanation",
        "ExplainedRequest",
        "POST",
        asked=(
            query(
                "operation",
                word(
                    "What the body is for; by default that is told from its fields.",
                    *("chat", "messages", "responses", "embeddings", "completions", "inference"),
                    *("predict", "rerank", "moderations"),
                ),
            ),
            *headers.INFERENCE,
        ),
        errors=(400, 408, 413, 415),
        family="openai",
    ),
}


def as_openai(rows: dict[str, Control]) -> dict[str, Control]:
    """The same routes; they refuse in OpenAI's form."""
    return {name: row._replace(family="openai") for name, row in rows.items()}


def operation(what: Control, name: str, path: str, examples: dict[str, Json]) -> Json:
    """The whole operation `name` at `path`."""
    seen = tuple(s for s in _SEEN if s != 403 or what.family == "problem")
    of, gone = ([], []) if what.of is None else ([what.of], [404])
    out: Json = {
        "operationId": name,
        "summary": what.summary,
        "description": what.about,
        "tags": [what.tag],
        "parameters": [*of, *what.asked],
        "responses": {
            str(what.status): _answer(what, examples),
            **refusals.refs(what.family, sorted((*gone, *what.errors, *seen))),
        },
        "security": headers.ANY_KEY,
        "x-codeSamples": [
            {
                "lang": "Shell",
                "label": e["summary"],
                "source": curl(e.get("path", path), e, key=True, method=what.method),
            }
            for e in examples.values()
        ],
    }
    if what.request:
        body = {"schema": ref(what.request), "examples": _named(examples, "request")}
        out["requestBody"] = {"required": name not in _EMPTY, "content": {what.media_type: body}}
    return out


def _answer(what: Control, examples: dict[str, Json]) -> Json:
    whole_ = {name: e for name, e in examples.items() if not isinstance(e["answer"], str)}
    texts = {name: e for name, e in examples.items() if isinstance(e["answer"], str)}
    content: Json = {}
    if what.answer:
        content[_JSON] = {"schema": ref(what.answer), "examples": _named(whole_, "answer")}
    if what.event:
        about = f"Events; each `data` is one {what.event}."
        text = {"type": "string", "description": about}
        shown = _named(texts, "answer")
        content[_STREAM] = {"schema": text, "examples": shown, "x-event": ref(what.event)}
    elif what.binary:
        content[_BYTES] = {"schema": {"type": "string"}, "examples": _named(texts, "answer")}
    elif texts:
        text = {"type": "string", "description": "A line of names, then the lines."}
        content[_CSV] = {"schema": text, "examples": _named(texts, "answer")}
    return {
        "description": "The answer.",
        "headers": headers.refs(["x-request-id", *what.sent_back]),
        "content": content,
    }


def _named(examples: dict[str, Json], part: str) -> dict[str, Any]:
    return {
        name: {"summary": e["summary"], "value": _part(e, part)} for name, e in examples.items()
    }


def _part(example: Json, part: str) -> Any:
    """What is sent or answered; of a form its fields, and the name of its file."""
    if part == "request" and "file" in example:
        return {**example["form"], "file": example["file"]["name"]}
    return example.get(part, {})
