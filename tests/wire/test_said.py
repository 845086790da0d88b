import msgspec
import pytest

from gatemill.wire.said import Said, is_json, plain, said, whole

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"b":1,"a":2}'}}
CHAT = {
    "choices": [
        {"message": {"content": "Hi", "tool_calls": [CALL]}, "finish_reason": "stop"},
        {"message": {"content": "another"}},
    ]
}
ANSWERS = {
    "chat": (CHAT, Said("Hi", "stop", (("f", '{"a":2,"b":1}'),))),
    "completions": ({"choices": [{"text": "Hi", "finish_reason": "length"}]}, Said("Hi", "length")),
    "messages": (
        {
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "H"},
                {"type": "text", "text": "i"},
                {"type": "tool_use", "name": "f", "input": {"a": 2}},
            ],
            "stop_reason": "tool_use",
        },
        Said("Hi", "tool_use", (("f", '{"a":2}'),)),
    ),
    "responses": (
        {
            "status": "completed",
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]},
                {"type": "function_call", "name": "f", "arguments": "no json"},
            ],
        },
        Said("Hi", "completed", (("f", "no json"),)),
    ),
    "inference": ({"result": "Hi"}, Said("Hi")),
    "predict": ({"predictions": [{"label": "good"}, {"label": "bad"}]}, Said("good\nbad")),
    "rerank": ({"results": [{"index": 2}, {"index": 0}]}, Said("2\n0")),
    "embeddings": ({"data": []}, Said()),
}


@pytest.mark.parametrize("operation", ANSWERS)
def test_what_an_answer_says(operation):
    answer, expected = ANSWERS[operation]
    assert said(operation, answer) == expected


@pytest.mark.parametrize("operation", ANSWERS)
@pytest.mark.parametrize("odd", [{}, {"choices": []}, {"content": 1}, {"output": [1]}])
def test_what_is_no_answer_says_nothing(operation, odd):
    assert said(operation, odd) == Said()


def test_a_refusal_is_what_the_model_said():
    answer = {"choices": [{"message": {"content": None, "refusal": "No."}}]}
    assert said("chat", answer).text == "No."


def _event(**fields):
    return b"data: %b\n\n" % msgspec.json.encode(fields)


def test_a_stream_is_put_together():
    events = (
        _event(choices=[{"index": 0, "delta": {"content": "H"}, "finish_reason": None}])
        + _event(choices=[{"index": 0, "delta": {"content": "i"}, "finish_reason": "stop"}])
        + b"data: [DONE]\n\n"
    )
    assert said("chat", whole("chat", events, streamed=True)) == Said("Hi", "stop")


@pytest.mark.parametrize(
    ("operation", "answer", "streamed"),
    [
        ("chat", b"", False),
        ("chat", b"[1]", False),
        ("chat", b"\xff", False),
        ("chat", b"data: {broken\n\n", True),
        ("chat", _event(choices=[{"index": 0, "delta": {"content": "H"}}]), True),
        ("messages", _event(type="content_block_delta"), True),
        ("embeddings", _event(), True),
    ],
)
def test_what_is_broken_is_none(operation, answer, streamed):
    assert whole(operation, answer, streamed=streamed) is None


@pytest.mark.parametrize(
    ("text", "same"),
    [(" Hi\n there ", "hi there"), ("```json\n{}\n```", "{}"), ("", ""), ("STRASSE", "straße")],
)
def test_differences_that_nobody_sees(text, same):
    assert plain(text) == plain(same)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"a":1}', True),
        ("```json\n[1]\n```", True),
        (" [] ", True),
        ("42", False),
        ('"text"', False),
        ("{broken", False),
        ("", False),
        ("[" * 5000, False),
    ],
)
def test_whether_a_text_is_json(text, valid):
    assert is_json(text) is valid
