"""Headers that callers may send and get, and the two ways to send a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.describe.words import Json, number, string, whole, word

if TYPE_CHECKING:
    from collections.abc import Iterable

SECURITY_SCHEMES: dict[str, Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "gm-...",
        "description": "`Authorization: Bearer gm-...`, as OpenAI's SDKs send it.",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "`x-api-key: gm-...`, as Anthropic's SDKs send it.",
    },
}
ANY_KEY: list[Json] = [{name: []} for name in SECURITY_SCHEMES]
NO_KEY: list[Json] = []

_RATES: dict[str, tuple[Json, bool]] = {
    **{
        f"x-ratelimit-limit-{unit}": (whole(f"Most {unit} in the window.", least=1), False)
        for unit in ("requests", "tokens")
    },
    **{
        f"x-ratelimit-remaining-{unit}": (whole(f"What is left of the {unit}.", least=0), False)
        for unit in ("requests", "tokens")
    },
    **{
        f"x-ratelimit-reset-{unit}": (string(f"Until all {unit} are back, such as 6m0s."), False)
        for unit in ("requests", "tokens")
    },
    "ratelimit-policy": (string("The same limits, as the IETF writes them."), False),
    "ratelimit": (string("What is left of them, as the IETF writes it."), False),
}

# name: schema with its description, and whether every good answer has it.
_SENT_BACK: dict[str, tuple[Json, bool]] = {
    "x-request-id": (string("Our id of the request, also in the log and the ledger."), True),
    "request-id": (string("The same, where Anthropic's SDKs look for it."), True),
    "x-client-request-id": (string("The x-request-id that you sent."), False),
    "x-gatemill-model": (string("provider/model that answered."), True),
    "x-gatemill-attempts": (
        whole("Providers that were asked; 0 where nobody had to be.", least=0),
        True,
    ),
    "x-gatemill-overhead-ms": (number("Time spent here and not at a provider.", least=0), True),
    "x-gatemill-config": (string("Version of the configuration."), True),
    "x-gatemill-cost-usd": (
        string("Cost in dollars; absent when a price is unknown and on streams."),
        False,
    ),
    "x-gatemill-unsupported": (
        string("Parameters that the provider has no place for, parted by commas."),
        False,
    ),
    "x-gatemill-usage": (word("Token counts are ours, not the provider's.", "estimated"), False),
    "x-gatemill-trace-id": (string("The trace that the request belongs to."), False),
    "x-gatemill-guards": (
        string("What guards found: `side;guard;kind;mode;places;characters`, parted by commas."),
        False,
    ),
    "x-gatemill-cache": (
        word("How the cache answered.", "hit", "miss", "stale", "coalesced"),
        False,
    ),
    "age": (whole("Seconds since the kept answer was made.", least=0), False),
    "x-gatemill-arm": (string("The experiment's arm."), False),
    "x-gatemill-model-version": (
        string("The registry's version that answered, or else the experiment's arm."),
        False,
    ),
    "x-gatemill-route": (string("Why this target."), False),
    "idempotent-replayed": (
        word("The answer to an earlier request with this Idempotency-Key.", "true"),
        False,
    ),
    **_RATES,
    "openai-processing-ms": (whole("Time until the answer began.", least=0), True),
    "retry-after": (whole("Seconds to wait before the next try.", least=0), False),
    "retry-after-ms": (whole("The same in milliseconds.", least=0), False),
    "x-should-retry": (word("Whether SDKs should try again.", "true", "false"), False),
    "x-content-type-options": (word("Browsers do not guess what it is.", "nosniff"), True),
    "content-disposition": (string("The file's name."), True),
    "location": (string("Path of the job."), False),
    "x-gatemill-degraded": (
        string("Models that failed and were done without: `embedder: upstream_timeout`."),
        False,
    ),
    "preference-applied": (word("The answer comes later.", "respond-async"), False),
    "www-authenticate": (string('Bearer realm="gatemill"'), True),
}
ANSWERED = (
    "x-request-id",
    "x-client-request-id",
    "x-gatemill-model",
    "x-gatemill-attempts",
    "x-gatemill-overhead-ms",
    "x-gatemill-config",
    "x-gatemill-unsupported",
    "x-gatemill-usage",
    "x-gatemill-trace-id",
    "x-gatemill-guards",
    "x-gatemill-cache",
    "age",
    "x-gatemill-arm",
    "x-gatemill-model-version",
    "x-gatemill-route",
    "idempotent-replayed",
    *_RATES,
    "openai-processing-ms",
)


def components() -> dict[str, Json]:
    """All response headers, for the document's components."""
    return {
        name: {
            "description": schema["description"],
            "required": always,
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, (schema, always) in _SENT_BACK.items()
    }


def rarely(names: Iterable[str]) -> dict[str, Json]:
    """The headers of a response that may lack them, unlike those of others."""
    known = components()
    return {name: {**known[name], "required": False} for name in names}


def refs(names: Iterable[str]) -> dict[str, Json]:
    """The headers of one response."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def parameter(name: str, schema: Json, place: str = "header") -> Json:
    """A header, or a parameter at another place."""
    bare = {key: value for key, value in schema.items() if key != "description"}
    about = schema["description"]
    return {"name": name, "in": place, "description": about, "schema": bare}


def _hint(about: str, *examples: str) -> Json:
    """A header that is read where it can be: what it should not be is no reason to refuse a request."""
    about = f"{about} Anything else is taken as not sent."
    return {"type": "string", "examples": [*examples], "description": about}


RECORD = parameter(
    "x-gatemill-record",
    _hint("`no` keeps this request out of recordings, where there are any.", "no"),
)
INFERENCE: list[Json] = [
    parameter(
        "x-request-id",
        _hint("Your own id: up to 64 letters, digits, - and _. Sent back and logged.", "order-7"),
    ),
    parameter(
        "content-encoding",
        word("How the body is compressed.", "gzip", "x-gzip", "deflate", "identity", ""),
    ),
    parameter(
        "x-stainless-read-timeout",
        _hint("Seconds that you will wait; work stops after them. SDKs send it.", "600"),
    ),
    parameter(
        "cache-control",
        string("For models with a cache: `no-store`, `no-cache`, `max-age=60`, `only-if-cached`."),
    ),
    parameter(
        "idempotency-key",
        string("Sent again with the same body, the request is answered again and not run again."),
    ),
    parameter("x-user-id", string("The end user: decides the arm of an experiment, nothing else.")),
    parameter("x-conversation-id", string("The conversation: the same.")),
    RECORD,
    parameter(
        "x-stainless-retry-count", _hint("Earlier tries, for the log. SDKs send it.", "0", "1")
    ),
]
LATER: list[Json] = [
    parameter("prefer", string("`respond-async`: the answer is a job, and comes later.")),
    parameter("x-priority", string("Of that job: `high`, `default` or `low`.")),
    parameter("x-callback-url", string("A public URL that is told when that job has ended.")),
]
BETA = parameter("anthropic-beta", string("Forwarded to Anthropic."))
VERSION = parameter("anthropic-version", string("Accepted; we speak 2023-06-01."))
MODELS_VERSION = parameter(
    "anthropic-version", string("If sent, the answer is in Anthropic's format.")
)
MODEL = {
    **parameter("model", string("The model's name; slashes are part of it."), "path"),
    "required": True,
    "example": "echo",
}
VERBOSE = {
    **parameter("verbose", string("Say what was looked at; needs no value."), "query"),
    "allowEmptyValue": True,
}
DRY_RUN = {
    **parameter("dry_run", string("Say what would change, and change nothing."), "query"),
    "allowEmptyValue": True,
}
PROTOCOLS = parameter(
    "sec-websocket-protocol",
    string("For browsers, which cannot send a key otherwise: `gatemill, gatemill-key.gm-...`"),
)
