"""What a request schema allows is what the surface accepts."""

from importlib import import_module

import msgspec
import pytest

from gatemill.core.errors import InvalidRequest
from gatemill.describe.routes import INFERENCE
from gatemill.describe.schemas import SCHEMAS
from openapi_schemas import allows

_TURN = [{"role": "user", "content": "hi"}]
# operation: a body that is accepted, and the Struct whose fields the gateway checks.
SURFACES = {
    "chat": ({"model": "m", "messages": _TURN}, "_ChatHead", "chat"),
    "completions": ({"model": "m", "prompt": "hi"}, "_CompletionsHead", "completions"),
    "embeddings": ({"model": "m", "input": "hi"}, "_EmbeddingsHead", "embeddings"),
    "responses": ({"model": "m", "input": "hi"}, "_ResponsesHead", "responses"),
    "messages": (
        {"model": "m", "max_tokens": 9, "messages": _TURN},
        "_MessagesHead",
        "messages.shape",
    ),
    "count_tokens": ({"model": "m", "messages": _TURN}, "_CountHead", "messages.shape"),
    "inference": ({"model": "m", "text": "hi"}, "_InferenceHead", "inference"),
}
# No 1.0: for JSON Schema it is a whole number, here it is not, and nobody sends it.
VALUES = [
    *(None, True, -1, 0, 1, 2, 3, 20, 21, 128, 129, -0.5, 0.5, 1.5, 2.5),
    *("", "x", "float", "base64", [], {}, [""], ["x"], [1], [[1]], [[]], [[1], [2]], [{}]),
    *(["x", 1], [1, [2]], [None], [{"type": "x"}], [{"type": 1}], [{"role": "x"}], [{"role": 1}]),
    *({"type": "x"}, {"type": 1}, {"user_id": 1}, {"user_id": "x"}),
    *({"include_usage": True}, {"include_usage": 1}, {"include_usage": None}),
    *([{"type": "text", "text": "x"}], [{"type": "text"}], [{"type": "image", "text": "x"}]),
    _TURN,
    *(["x"] * 2048, ["x"] * 2049, [1] * 2049),
]
_CONTENTS = ["x", "", None, 1, [], [{"type": "text", "text": "x"}], [{"type": "text"}], [{}]]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function", "", "bot", 1, None)
TURNS = [
    *({"role": role, "content": content} for role in _ROLES for content in _CONTENTS),
    *({"role": role} for role in _ROLES),
    *({"role": "tool", "content": c, "tool_call_id": i} for c in _CONTENTS for i in ("x", 1, None)),
    *({"role": "function", "content": c, "name": n} for c in _CONTENTS for n in ("x", 1, None)),
    {"content": "x"},
    {},
    "x",
    None,
]


# Only whether they are there is read.
_OPAQUE = {("responses", "prompt"), ("responses", "conversation")}


def _accepts(operation, body):
    try:
        import_module(f"gatemill.wire.{operation}").head(msgspec.json.encode(body))
    except InvalidRequest:
        return False
    return True


def _checked(operation):
    _, name, module = SURFACES[operation]
    return set(getattr(import_module(f"gatemill.wire.{module}"), name).__struct_fields__)


def _cases():
    for operation in SURFACES:
        for field in SCHEMAS[INFERENCE[operation].request]["properties"]:
            yield operation, field


@pytest.mark.parametrize(("operation", "field"), list(_cases()))
def test_a_field_is_accepted_just_when_its_schema_allows_it(operation, field):
    base, _, _ = SURFACES[operation]
    schema = INFERENCE[operation].request
    bodies = [{**base, field: value} for value in VALUES]
    bodies.append({name: value for name, value in base.items() if name != field})
    verdicts = set()
    for body in bodies:
        allowed = allows(schema, body)
        verdicts.add(allowed)
        if field in _checked(operation) and (operation, field) not in _OPAQUE:
            assert _accepts(operation, body) == allowed, str(body)[:200]
        else:  # forwarded: whoever reads it decides
            assert _accepts(operation, body)
    assert verdicts == {True, False}


@pytest.mark.parametrize("operation", ["chat", "messages", "count_tokens"])
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turn_is_accepted_just_when_its_schema_allows_it(operation, turn):
    base, _, _ = SURFACES[operation]
    body = {**base, "messages": [turn]}
    assert _accepts(operation, body) == allows(INFERENCE[operation].request, body)


@pytest.mark.parametrize("operation", SURFACES)
def test_every_field_that_the_gateway_checks_is_documented(operation):
    documented = SCHEMAS[INFERENCE[operation].request]["properties"]
    assert _checked(operation) <= documented.keys()


@pytest.mark.parametrize("operation", SURFACES)
def test_an_unknown_field_is_allowed_just_where_it_is_forwarded(operation):
    base, _, _ = SURFACES[operation]
    body = {**base, "unheard_of": 1}
    allowed = allows(INFERENCE[operation].request, body)
    assert allowed == _accepts(operation, body) == (operation != "inference")


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": "resp_1"},
        {"previous_response_id": ""},
        {"previous_response_id": None},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
        {"prompt": None},
        {"input": None, "prompt": {"id": "pmpt_1"}},
        {},
    ],
    ids=str,
)
def test_a_response_needs_an_input_or_something_stored(body):
    whole = {"model": "m", **body}
    assert _accepts("responses", whole) == allows("ResponseRequest", whole)
