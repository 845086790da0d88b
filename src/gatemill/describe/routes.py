"""What the document says of each route. Rule: a route of the app without an entry here is a bug."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

import msgspec

from gatemill.describe import headers, refusals
from gatemill.describe.words import Json, either, ref
from gatemill.gateway.idempotency import SPENDING

Examples = dict[str, dict[str, Json]]  # operation, name of the example

TAGS = {
    "OpenAI": "The formats of OpenAI's SDKs: set `base_url` to this server's `/v1`.",
    "Anthropic": "The formats of Anthropic's SDKs: set `base_url` to this server.",
    "Gatemill": "Formats of our own.",
    "Jobs": "Work that outlives a request: hand it in, watch it, cancel it, and see what it died of.",
    "Files and batches": "OpenAI's files and batches, for every model.",
    "Experiments": "Two models, one question: who is better, and when one may say so.",
    "Knowledge": "Vector stores, searching them, and answers from them.",
    "Webhooks": "Who is told when jobs end, and what became of it.",
    "Models of one's own": "Models that run here, their versions and prompts.",
    "Features": "What is known of users and other entities, and what requests were given.",
    "Recordings": "Requests and answers kept for replay, where the configuration asks for it.",
    "Data": "What is kept of somebody, deleted; this needs an admin key.",
    "Keys": "Keys, teams and users, and who changed them; these need an admin key.",
    "Usage": "What is left, and what was used: by whom, of what, and why so.",
    "Configuration": "For whoever runs Gatemill; these need an admin key.",
    "Health": "For load balancers and monitoring.",
}
_JSON = "application/json"
_STREAM = "text/event-stream"


class Inference(NamedTuple):
    """A route that asks a model."""

    summary: str
    about: str
    tag: str
    family: str
    request: str  # schemas, as are the two below
    answer: str
    event: str = ""  # "" = it has no streams


INFERENCE = {
    "chat": Inference(
        "Chat",
        "Answers a conversation. Works with every model, whatever its provider speaks.",
        "OpenAI",
        "openai",
        "ChatRequest",
        "ChatCompletion",
        "ChatChunk",
    ),
    "completions": Inference(
        "Complete a text",
        "The API before chat. What chat models cannot do (echo, suffix, best_of, token ids) is"
        " refused by name.",
        "OpenAI",
        "openai",
        "CompletionRequest",
        "Completion",
        "Completion",
    ),
    "embeddings": Inference(
        "Embed texts",
        "Turns texts into vectors, with models that can. `echo` makes vectors without meaning.",
        "OpenAI",
        "openai",
        "EmbeddingRequest",
        "EmbeddingList",
    ),
    "responses": Inference(
        "Respond",
        "OpenAI's newer API. Models of other providers are asked by chat; then nothing is stored.",
        "OpenAI",
        "openai",
        "ResponseRequest",
        "Response",
        "ResponseEvent",
    ),
    "messages": Inference(
        "Send messages",
        "Answers a conversation in Anthropic's format. Works with every model.",
        "Anthropic",
        "anthropic",
        "MessagesRequest",
        "Message",
        "MessageEvent",
    ),
    "count_tokens": Inference(
        "Count tokens",
        "How many tokens a message request has, without asking the model.",
        "Anthropic",
        "anthropic",
        "CountRequest",
        "TokenCount",
    ),
    "predict": Inference(
        "Classify texts",
        "Labels for up to 256 texts, each with its confidence. `builtin/sentiment` needs nothing;"
        " classifiers of your own have names like it. A text of more than 20,000 characters is refused,"
        " or cut with `truncate: true`, and then the answer says so.",
        "Gatemill",
        "openai",
        "PredictionRequest",
        "PredictionList",
    ),
    "predict_text": Inference(
        "Classify a text",
        "The shortest way: one text in, one label out. Without `model`, `server.predict_model` answers.",
        "Gatemill",
        "openai",
        "PredictTextRequest",
        "PredictedText",
    ),
    "rerank": Inference(
        "Rerank documents",
        "The documents that answer a query best, in Cohere's and Jina's format. `builtin/lexical` needs"
        " nothing and compares words.",
        "Gatemill",
        "openai",
        "RerankRequest",
        "Ranking",
    ),
    "moderations": Inference(
        "Moderate texts",
        "Which harm texts hold, in OpenAI's categories. Models that classify moderate, too, by their"
        " labels. Without `model`, `guards.moderation.model` answers: `builtin/moderation`, which needs"
        " nothing and knows phrases only.",
        "OpenAI",
        "openai",
        "ModerationRequest",
        "Moderation",
    ),
    "inference": Inference(
        "Ask",
        "The shortest way: one text in, one text out.",
        "Gatemill",
        "problem",
        "InferenceRequest",
        "InferenceAnswer",
    ),
}
_STREAMED = (
    "The answer. With `stream: true` it comes as events; a comment with the cost follows the last"
    " one, and a failure after the first is an event of its own."
)


_LATER: Json = {
    "description": "With `Prefer: respond-async`: a job, which gives the answer later.",
    "headers": headers.refs(
        ["x-request-id", "location", "preference-applied", "idempotent-replayed"]
    ),
    "content": {_JSON: {"schema": ref("JobSummary")}},
}


def operation(name: str, path: str, examples: Examples) -> Json:
    """The whole operation `name` at `path`."""
    if name in INFERENCE:
        return _inference(name, path, INFERENCE[name], examples.get(name, {}))
    return _PLAIN[name](path, examples.get(name, {}))


def _inference(name: str, path: str, what: Inference, examples: dict[str, Json]) -> Json:
    sent = {key: _example(e, e["request"]) for key, e in examples.items()}
    anthropic = [headers.VERSION, headers.BETA] if what.family == "anthropic" else []
    body = {"schema": ref(what.request), "examples": sent}
    can_wait = name in SPENDING
    later = {"202": _LATER} if can_wait else {}
    return {
        **_told(name, what.summary, what.about, what.tag),
        "parameters": [*headers.INFERENCE, *(headers.LATER if can_wait else ()), *anthropic],
        "requestBody": {"required": True, "content": {_JSON: body}},
        "responses": {"200": _answer(what, examples), **later, **refusals.refs(what.family)},
        "security": headers.ANY_KEY,
        "x-codeSamples": _samples(path, examples, key=True),
    }


def _answer(what: Inference, examples: dict[str, Json]) -> Json:
    names = [*headers.ANSWERED, "x-gatemill-cost-usd"]
    names[1:1] = ["request-id"] if what.family == "anthropic" else []
    whole = {key: e for key, e in examples.items() if not isinstance(e["answer"], str)}
    flows = {key: e for key, e in examples.items() if isinstance(e["answer"], str)}
    content = {_JSON: {"schema": ref(what.answer), "examples": _answers(whole)}}
    if what.event:
        content[_STREAM] = {
            "schema": {
                "type": "string",
                "description": f"Events; each `data` is one {what.event}.",
            },
            "examples": _answers(flows),
            "x-event": ref(what.event),
        }
    sent_back = headers.refs(names)
    if what.answer == "Response":  # with `background: true` nobody has been asked yet
        sent_back |= headers.rarely(name for name in names if name != "x-request-id")
    return {
        "description": _STREAMED if what.event else "The answer.",
        "headers": sent_back,
        "content": content,
    }


def _told(name: str, summary: str, about: str, tag: str) -> Json:
    return {"operationId": name, "summary": summary, "description": about, "tags": [tag]}


def _example(example: Json, value: Any) -> Json:
    return {"summary": example["summary"], "value": value}


def _answers(examples: dict[str, Json]) -> dict[str, Json]:
    return {key: _example(example, example["answer"]) for key, example in examples.items()}


def _samples(path: str, examples: dict[str, Json], *, key: bool) -> list[Json]:
    return [
        {"lang": "Shell", "label": e["summary"], "source": curl(e.get("path", path), e, key=key)}
        for e in examples.values()
    ]


def curl(path: str, example: Json, *, key: bool, method: str = "") -> str:
    """The shell command that sends an example; it reads GATEMILL_URL and GATEMILL_API_KEY."""
    lines = [f'curl -sS "$GATEMILL_URL{path}"']
    if method in ("PATCH", "PUT", "DELETE") or (
        method == "POST" and not {"request", "file"} & {*example}
    ):
        lines.append(f"-X {method}")
    if key:
        lines.append('-H "Authorization: Bearer $GATEMILL_API_KEY"')
    lines += [f"-H {shlex.quote(f'{n}: {v}')}" for n, v in example.get("headers", {}).items()]
    if "file" in example:
        lines += [f"-F {shlex.quote(f'{n}={v}')}" for n, v in example["form"].items()]
        lines.append(f"-F file=@{example['file']['name']}")
    if "request" in example:
        lines.append("-H 'Content-Type: application/json'")
        body = msgspec.json.format(msgspec.json.encode(example["request"]), indent=2).decode()
        lines.append("-d " + shlex.quote(body))
    return " \\\n  ".join(lines)


# --- Routes that ask no model -------------------------------------------------------------------


def _get(told: Json, path: str, examples: dict[str, Json], content: Json, *, key: bool) -> Json:
    """A GET whose good answer has `content`; the caller adds parameters and errors."""
    kept = ["x-request-id"] if key else []
    return {
        **told,
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": headers.refs(kept),
                "content": content,
            }
        },
        "security": headers.ANY_KEY if key else headers.NO_KEY,
        "x-codeSamples": _samples(path, examples, key=key),
    }


def _models(path: str, examples: dict[str, Json]) -> Json:
    told = _told("models", "List models", "The models that your key may call.", "OpenAI")
    schema = either("The list.", [ref("ModelList"), ref("AnthropicModelList")])
    content = {_JSON: {"schema": schema, "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=True)
    out["responses"] |= refusals.refs("openai", (401, 421, 431, 500))
    return {**out, "parameters": [headers.MODELS_VERSION]}


def _model(path: str, examples: dict[str, Json]) -> Json:
    told = _told("model", "Show a model", "One model, if your key may call it.", "OpenAI")
    schema = either("The model.", [ref("Model"), ref("AnthropicModel")])
    content = {_JSON: {"schema": schema, "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=True)
    out["responses"] |= refusals.refs("openai", (401, 404, 421, 431, 500))
    return {**out, "parameters": [headers.MODEL, headers.MODELS_VERSION]}


def _livez(path: str, examples: dict[str, Json]) -> Json:
    told = _told(
        "livez", "Is it alive?", "Needs no key. 200 as long as the process runs.", "Health"
    )
    content = {_JSON: {"schema": ref("Health"), "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=False)
    out["responses"] |= refusals.refs("openai", (421, 431))
    return out


def _readyz(path: str, examples: dict[str, Json]) -> Json:
    about = (
        "Needs no key. 503 when the ledger fails, while models load that are preloaded at the start, and"
        " when the process is shutting down."
    )
    told = _told("readyz", "Does it take requests?", about, "Health")
    content = {_JSON: {"schema": ref("Health"), "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=False)
    unwell = {
        "status": "unavailable",
        "checks": {"ledger": "ok", "accepting": "draining", "models": "ok"},
    }
    out["responses"]["503"] = {
        "description": "Send requests elsewhere.",
        "content": {_JSON: {"schema": ref("Health"), "example": unwell}},
    }
    out["responses"] |= refusals.refs("openai", (421, 431))
    return {**out, "parameters": [headers.VERBOSE]}


def _metrics(path: str, examples: dict[str, Json]) -> Json:
    about = (
        "In Prometheus' text format; docs/metrics.md lists them. Needs no key on loopback, and an"
        " admin key on a public address."
    )
    told = _told("metrics", "Metrics", about, "Health")
    content = {"text/plain": {"schema": {"type": "string"}, "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=True)
    out["responses"]["200"].pop("headers")
    out["responses"] |= refusals.refs("openai", (401, 403, 421, 431, 500))
    return {**out, "security": [{}, *headers.ANY_KEY]}


def _config_reload(path: str, examples: dict[str, Json]) -> Json:
    about = (
        "Reads the configuration file again. What holds takes effect at once for new requests; a"
        " file with mistakes is refused with all of them, and the old configuration stays. With"
        " several worker processes the others follow within moments."
    )
    told = _told("config_reload", "Reload the configuration", about, "Configuration")
    content = {_JSON: {"schema": ref("Reload"), "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=True)
    out["responses"] |= refusals.refs("problem", (400, 401, 403, 421, 431, 500, 503))
    return {**out, "parameters": [headers.DRY_RUN]}


def _config_versions(path: str, examples: dict[str, Json]) -> Json:
    about = "The last configurations that took effect, the newest first."
    told = _told("config_versions", "List configurations", about, "Configuration")
    content = {_JSON: {"schema": ref("ConfigVersions"), "examples": _answers(examples)}}
    out = _get(told, path, examples, content, key=True)
    out["responses"] |= refusals.refs("problem", (401, 403, 421, 431, 500))
    return out


def _socket(path: str, examples: dict[str, Json]) -> Json:
    about = (
        "A WebSocket: send one chat request per message, get its chunks and then `done`. One request"
        " at a time; `cancel` ends it, closing does too. Browsers offer the key as a subprotocol."
    )
    return {
        **_told("chat_stream", "Chat over a WebSocket", about, "Gatemill"),
        "parameters": [headers.PROTOCOLS, headers.RECORD],
        "responses": {
            "101": {"description": "The connection is a WebSocket now."},
            **refusals.refs("openai", (401, 421, 431)),
        },
        "security": headers.ANY_KEY,
        "x-messages": {
            "sent": ref("SocketRequest"),
            "received": ref("SocketMessage"),
            "examples": examples,
        },
    }


_PLAIN = {
    "models": _models,
    "model": _model,
    "livez": _livez,
    "readyz": _readyz,
    "metrics": _metrics,
    "config_reload": _config_reload,
    "config_versions": _config_versions,
    "chat_stream": _socket,
}
