import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import ModelNotFound
from gatemill.core.job import Problem
from gatemill.edge import hot
from gatemill.wire import batch as wire
from gatemill.wire.batch import Checked, Line

CHAT = "/v1/chat/completions"


def line(data, number=1):
    return Line(number, 0, data if isinstance(data, bytes) else json.dumps(data).encode())


def asked(**changes):
    said = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m"}} | changes
    return {name: value for name, value in said.items() if value is not ...}


def cut(data, *, sizes, number=1, start=0):
    splitter = wire.Splitter(number, start)
    found, at = [], 0
    for size in sizes:
        found += splitter.feed(data[at : at + size])
        at += size
    found += splitter.feed(data[at:])
    return found + list(splitter.close())


def test_every_endpoint_is_a_surface_of_the_hot_path():
    assert {
        path.decode(): operation
        for path, operation in hot.PATHS.items()
        if path.startswith((b"/v1/", b"/api/"))
    } == wire.ENDPOINTS


# --- Lines ------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([b"", b"  ", b"{}", b'{"a": 1}', b"x" * 50]), max_size=8),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=10),
)
def test_lines_are_the_same_however_the_bytes_are_cut(rows, ended, sizes):
    data = b"\n".join(rows) + (b"\n" if ended else b"")
    found = cut(data, sizes=sizes)
    assert [(one.number, one.data) for one in found] == [
        (number, row) for number, row in enumerate(data.split(b"\n"), 1) if row.strip()
    ]
    for one in found:
        assert data[one.start : one.start + len(one.data)] == one.data


def test_a_byte_order_mark_belongs_to_no_line():
    assert cut(b'\xef\xbb\xbf{"a":1}\n', sizes=[]) == [Line(1, 0, b'{"a":1}')]


def test_a_splitter_can_begin_in_the_middle():
    assert cut(b"{}\n{}", sizes=[1], number=7, start=100) == [
        Line(7, 100, b"{}"),
        Line(8, 103, b"{}"),
    ]


def test_a_line_that_is_too_long_is_told_and_not_kept():
    most = wire.LINE_BYTES_MAX
    data = b"x" * (most + 1) + b"\n{}\n" + b"y" * most
    found = cut(data, sizes=[1 << 20] * 40)
    assert [(one.number, one.start) for one in found] == [(1, 0), (2, most + 2), (3, most + 5)]
    assert [one.data and len(one.data) for one in found] == [None, 2, most]
    assert wire.check(found[0], CHAT).problem.code == "invalid_value"
    assert wire.custom_id(found[0]) is None


# --- What is wrong with a line ------------------------------------------------------------------------


def test_a_good_line_is_its_id_and_its_body_as_it_was_written():
    found = wire.check(line(b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions",'
                            b'"body": {"model" :"m"} , "more": 1}'), CHAT)  # fmt: skip
    assert found == Checked("a", b'{"model" :"m"}', None)


@pytest.mark.parametrize(
    ("said", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b'"text"', "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        (b'{"custom_id": NaN}', "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (asked(custom_id=...), "missing_required_parameter", "custom_id"),
        (asked(custom_id=None), "missing_required_parameter", "custom_id"),
        (asked(custom_id=1), "invalid_type", "custom_id"),
        (asked(custom_id=""), "invalid_value", "custom_id"),
        (asked(custom_id="x" * 513), "invalid_value", "custom_id"),
        (asked(method=...), "missing_required_parameter", "method"),
        (asked(method="GET"), "invalid_value", "method"),
        (asked(url=...), "missing_required_parameter", "url"),
        (asked(url="/v1/embeddings"), "invalid_value", "url"),
        (asked(url=["/v1/embeddings"]), "invalid_type", "url"),
        (asked(body=...), "missing_required_parameter", "body"),
        (asked(body=[]), "invalid_type", "body"),
        (asked(body=None), "invalid_type", "body"),
        (asked(body={"stream": True}), "invalid_value", "body.stream"),
        (asked(body={"background": True}), "invalid_value", "body.background"),
    ],
)
def test_a_bad_line_says_what_is_wrong(said, code, param):
    found = wire.check(line(said), CHAT)
    assert found.problem is not None
    assert found.problem.code == code
    assert (found.problem.param or None) == param
    known = isinstance(said, dict) and param != "custom_id"
    assert found.custom_id == ("a" if known else None)
    assert wire.custom_id(line(said)) == found.custom_id


def test_a_stream_asked_for_under_an_escaped_name_is_refused_too():
    body = b'{"custom_id":"a","method":"POST","url":"%b","body":{"\\u0073tream":true}}'
    assert wire.check(line(body % CHAT.encode()), CHAT).problem.param == "body.stream"


def test_words_about_streams_are_no_streams():
    fine = {"model": "m", "stream": False, "stream_options": None, "text": "stream"}
    assert wire.check(line(asked(body=fine)), CHAT).problem is None


# --- What comes out -------------------------------------------------------------------------------------


def test_an_answer_is_one_line_however_the_provider_wrote_it():
    said = wire.answered("id", Checked("a", b"", None), "req", b'{\r\n "x": "a\\nb"\n}', 1_500_000)
    assert said.endswith(b"}\n")
    assert said.count(b"\n") == 1
    assert json.loads(said) == {
        "id": "id",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "req", "body": {"x": "a\nb"}},
        "error": None,
        "cost_usd": "1.500000",
    }
    unknown = wire.answered("id", Checked("a", b"", None), "req", b"{}", None)
    assert json.loads(unknown)["cost_usd"] is None


def test_a_refused_request_has_its_status_and_openais_error_object():
    error = ModelNotFound("There is no model x.", param="model")
    said = json.loads(wire.refused("id", Checked("a", b"", None), "req", error))
    assert said["response"]["status_code"] == 404
    assert said["response"]["body"]["error"] == {
        "message": "There is no model x.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert said["error"] is None


def test_a_request_that_was_never_made_says_why_and_where():
    said = json.loads(wire.unanswered("id", None, 3, Problem("batch_expired", "Too late.")))
    assert said["response"] is None
    assert said["error"] == {
        "code": "batch_expired",
        "message": "Too late.",
        "param": None,
        "line": 3,
    }


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (0, 0, 0, 0)),
        ({"prompt_tokens": 5, "total_tokens": 5}, (5, 0, 0, 0)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 2, 7, 3),
        ),
        (
            {
                "input_tokens": 5,
                "output_tokens": 7,
                "input_tokens_details": {"cached_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": None},
            },
            (5, 2, 7, 0),
        ),
        (
            {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3},
            (8, 3, 7, 0),
        ),
        ({"prompt_tokens": "many"}, (0, 0, 0, 0)),
    ],
)
def test_tokens_are_read_from_every_format(usage, tokens):
    assert wire.tokens(json.dumps({"usage": usage}).encode()) == tokens
