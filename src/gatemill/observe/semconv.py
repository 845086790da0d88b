"""Every name of OpenTelemetry that Gatemill writes.

Rule: the only file that knows them. Those of GenAI are in development and have moved to a repository
of their own; `Names` is what changes between its versions.
Source: semantic conventions for GenAI after 1.41, checked 2026-11-21.
"""

from __future__ import annotations

from msgspec import Struct

SERVICE_NAME = "service.name"
SERVICE_VERSION = "service.version"
SERVICE_INSTANCE_ID = "service.instance.id"

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_PATH = "url.path"
URL_SCHEME = "url.scheme"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_CHOICES = "gen_ai.request.choice.count"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds
USAGE_INPUT = "gen_ai.usage.input_tokens"
USAGE_OUTPUT = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
USAGE_REASONING = "gen_ai.usage.reasoning.output_tokens"

# Ours: what no convention has a name for.
REQUEST_ID = "gatemill.request.id"
KEY_ID = "gatemill.key.id"
MODEL_ASKED = "gatemill.model.asked"
PROVIDER = "gatemill.provider"
ATTEMPT = "gatemill.attempt"
ATTEMPTS = "gatemill.attempts"
OVERHEAD = "gatemill.overhead_ms"
COST = "gatemill.cost_microusd"
CACHE = "gatemill.cache"
USAGE_ESTIMATED = "gatemill.usage.estimated"
JOB_ID = "gatemill.job.id"
JOB_KIND = "gatemill.job.kind"
JOB_QUEUE = "gatemill.job.queue"
JOB_ATTEMPT = "gatemill.job.attempt"
JOB_OUTCOME = "gatemill.job.outcome"
FIRST_BYTE = "gatemill.first_token"  # an event

# Our surfaces -> the conventions' operations; what they have no word for keeps ours.
_OPERATIONS = {
    "messages": "chat",
    "responses": "chat",
    "inference": "chat",
    "completions": "text_completion",
    "predict_text": "predict",
}
# Our kinds of provider -> the conventions' providers; the others keep our word.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
}
# Kinds whose models run in this process: their attempts are no calls to somebody else.
IN_PROCESS = frozenset(("builtin", "echo", "local"))


class Names(Struct, frozen=True):
    """What differs between versions of the GenAI conventions."""

    cache_write: str


LATEST = "latest"
VERSIONS = {
    LATEST: Names(cache_write="gen_ai.usage.cache_write.input_tokens"),
    "1.41": Names(cache_write="gen_ai.usage.cache_creation.input_tokens"),
}


def operation_name(operation: str) -> str:
    """What the conventions call one of our operations."""
    return _OPERATIONS.get(operation, operation)


def provider_name(kind: str) -> str:
    """What the conventions call a kind of provider."""
    return _PROVIDERS.get(kind, kind)
