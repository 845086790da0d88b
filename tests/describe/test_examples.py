"""Every example of /openapi.json, sent to a real server; its answer is the one that is shown."""

import functools
import re
import shlex

import msgspec
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import openapi_examples as known
from gatemill import describe
from gatemill.describe.document import POLICY
from gatemill.describe.document import page as page_of
from gatemill.describe.routes import INFERENCE
from gatemill.wire import sse
from openapi_examples import fetch, normalised, send, shown, staged, talk
from openapi_schemas import validate
from running import serve

REMEDY = "If the answer is as it should be: `just docs`, and review the difference."
EXAMPLES = known.examples()
OPERATIONS = known.operations()
DOCUMENT = known.document()
_TOLD = [name for name in EXAMPLES if name not in {known.SOCKET, "metrics"}]
CASES = [(name, key) for name in _TOLD for key in EXAMPLES[name]]
POSTS = [name for name in EXAMPLES if "requestBody" in OPERATIONS[name][2]]
ASKS = [name for name in POSTS if name in INFERENCE]
# Of the connection, not of the answer.
_TRANSPORT = {"content-type", "content-length", "transfer-encoding", "date", "connection"}
_STREAMED = {"cache-control", "x-accel-buffering"}


def _unsealed(answer):
    """Without what depends on the request's bytes, which curl sends spread over lines."""
    text = msgspec.json.encode(answer).decode()
    text = re.sub(r'"prompt_most":\d+', "", text)
    return re.sub(r"(chatcmpl-|call_|msg_)[0-9a-f]{20,}", r"\1", text)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("documented"), known.CONFIG) as server:
        yield server


@pytest.fixture(scope="module")
def told(running):
    """The answer to an example, which is asked once: several tests judge it."""
    return functools.cache(lambda name, key: _ask(running, name, key))


def _good(name):
    """The status of a good answer."""
    return next(status for status in OPERATIONS[name][2]["responses"] if status[0] == "2")


def _ask(running, name, key):
    return send(running, name, EXAMPLES[name][key], OPERATIONS[name][0])


@pytest.mark.parametrize(("name", "key"), CASES)
def test_an_example_is_answered_as_it_is_shown(told, name, key):
    answer = told(name, key)
    assert str(answer.status) == _good(name), answer.body
    assert shown(answer) == EXAMPLES[name][key]["answer"], REMEDY


@pytest.mark.parametrize(("name", "key"), CASES)
def test_an_answer_satisfies_the_schema_of_its_media_type(told, name, key):
    answer = told(name, key)
    content = OPERATIONS[name][2]["responses"][_good(name)]["content"]
    said = content[answer.headers.get_content_type()]
    if "x-event" not in said:
        is_text = answer.headers.get_content_type() == "text/csv"
        validate(said["schema"], answer.body.decode() if is_text else shown(answer))
        return
    events = [event for _, event in sse.events(answer.body) if event != b"[DONE]"]
    assert len(events) > 2
    for event in events:
        validate(said["x-event"], msgspec.json.decode(event))


@pytest.mark.parametrize(("name", "key"), [case for case in CASES if case[0] in POSTS])
def test_an_example_request_satisfies_its_schema(name, key):
    ((_, content),) = OPERATIONS[name][2]["requestBody"]["content"].items()
    validate(content["schema"], content["examples"][key]["value"])


@pytest.mark.parametrize(("name", "key"), CASES)
def test_the_headers_of_an_answer_are_those_that_are_documented(told, name, key):
    sent = {header.lower() for header in told(name, key).headers} - _TRANSPORT
    documented = OPERATIONS[name][2]["responses"][_good(name)].get("headers", {})
    always = {h for h in documented if DOCUMENT["components"]["headers"][h]["required"]}
    assert always <= sent
    assert sent - _STREAMED <= documented.keys()


@pytest.mark.parametrize("name", _TOLD)
def test_the_curl_commands_send_the_examples(running, name):
    samples = OPERATIONS[name][2]["x-codeSamples"]
    assert len(samples) == len(EXAMPLES[name])
    for sample, example in zip(samples, EXAMPLES[name].values(), strict=True):
        program, options, url, *words = shlex.split(sample["source"].replace("\\\n", ""))
        assert (program, options) == ("curl", "-sS")
        given = list(zip(words[::2], words[1::2], strict=True))
        told = [w.replace("$GATEMILL_API_KEY", running.key) for o, w in given if o == "-H"]
        (data,) = [w for o, w in given if o == "-d"] or [None]
        fields = [w for o, w in given if o == "-F"]
        (method,) = [w for o, w in given if o == "-X"] or [None]
        headers = dict(line.split(": ", 1) for line in told)
        with staged(running, example) as stage:
            place = stage.real(url.replace("$GATEMILL_URL", running.url))
            if fields:
                name_of_file = example["file"]["name"]
                assert fields.pop() == f"file=@{name_of_file}"
                answer = stage.ask("POST", example.get("path", OPERATIONS[name][0]), example)
                assert dict(line.split("=", 1) for line in fields) == example["form"]
            else:
                answer = fetch(place, headers, data and stage.real(data).encode(), method)
                stage.learn(example, answer)
        assert str(answer.status) == _good(name), answer.body
        assert _unsealed(shown(stage.told(answer))) == _unsealed(example["answer"])


def test_the_metrics_shown_are_there(running):
    _ask(running, "chat", "simple")
    answer = _ask(running, "metrics", "scrape")
    page = answer.body.decode().splitlines()
    sample = EXAMPLES["metrics"]["scrape"]["answer"].splitlines()
    assert answer.headers.get_content_type() == "text/plain"
    assert sample[-1].rpartition(" ")[0] in {line.rpartition(" ")[0] for line in page}
    assert set(sample[:-1]) <= set(page)


def test_a_conversation_over_the_websocket_is_answered_as_it_is_shown(running):
    for example in EXAMPLES[known.SOCKET].values():
        for message in example["sent"]:
            validate(OPERATIONS[known.SOCKET][2]["x-messages"]["sent"], message)
        received = talk(running, example["sent"])
        for message in received:
            validate(OPERATIONS[known.SOCKET][2]["x-messages"]["received"], message)
        alike = msgspec.json.decode(normalised(msgspec.json.encode(received).decode()))
        assert alike == example["received"], REMEDY


def test_the_websocket_tells_browsers_which_subprotocol_it_chose(running):
    url = running.url.replace("http:", "ws:") + describe.SOCKET
    with connect(url, subprotocols=["gatemill", f"gatemill-key.{running.key}"]) as socket:
        assert socket.subprotocol == "gatemill"


# --- Refusals -----------------------------------------------------------------------------------


def _refused(name, answer, status):
    """The answer is the documented error of this status."""
    assert answer.status == status, answer.body
    reference = OPERATIONS[name][2]["responses"][str(status)]["$ref"]
    said = DOCUMENT["components"]["responses"][reference.rpartition("/")[2]]
    body = msgspec.json.decode(answer.body)
    validate(said["content"][answer.headers.get_content_type()]["schema"], body)
    sent = {header.lower() for header in answer.headers} - _TRANSPORT
    assert sent <= said["headers"].keys()
    assert answer.headers["x-request-id"] == body["request_id"]
    return body


@pytest.mark.parametrize("name", [name for name in _TOLD if OPERATIONS[name][2]["security"]])
def test_a_wrong_key_is_refused_as_documented(running, name):
    data = b"{}" if name in POSTS else None
    path, method, _ = OPERATIONS[name]
    path = path.replace("{model}", "echo").replace("{", "").replace("}", "")
    wrong = {"authorization": "Bearer gm-wrong", "content-type": "application/json"}
    answer = fetch(running.url + path, wrong, data, method.upper())
    _refused(name, answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", ASKS)
def test_an_empty_object_is_refused_as_documented(running, name):
    _refused(name, send(running, name, {"request": {}}, OPERATIONS[name][0]), 400)


@pytest.mark.parametrize("name", ASKS)
def test_an_unknown_model_is_refused_as_documented(running, name):
    asked = {**EXAMPLES[name]["simple"]["request"], "model": "nobody/knows"}
    _refused(name, send(running, name, {"request": asked}, OPERATIONS[name][0]), 404)


def test_an_unknown_model_is_not_shown(running):
    answer = send(running, "model", {"path": "/v1/models/nobody"}, "")
    assert _refused("model", answer, 404)["error"]["code"] == "model_not_found"


def test_the_websocket_refuses_a_wrong_key_as_documented(running):
    url = running.url.replace("http:", "ws:") + describe.SOCKET
    with pytest.raises(InvalidStatus) as refusal:
        connect(url, additional_headers={"x-api-key": "gm-wrong"})
    said = refusal.value.response
    assert said.status_code == 401
    validate({"$ref": "#/components/schemas/Error"}, msgspec.json.decode(said.body))


# --- The pages ----------------------------------------------------------------------------------


def test_the_document_is_served_without_a_key(running):
    answer = fetch(running.url + "/openapi.json", {})
    assert answer.headers.get_content_type() == "application/json"
    assert msgspec.json.decode(answer.body) == DOCUMENT


def test_the_page_is_served_with_its_policy(running):
    answer = fetch(running.url + "/docs", {})
    assert answer.headers.get_content_type() == "text/html"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.body.decode() == page_of(DOCUMENT)
