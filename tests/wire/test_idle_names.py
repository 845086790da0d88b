"""What formats have that looks like something: taken out where it is certain, left where it is not."""

from __future__ import annotations

import json

import pytest

from gatemill.wire.idle_names import COUNTS, NAMES, WORDS, Formats

ALL = Formats(lambda word: True)
NONE = Formats(lambda word: False)
USAGE = {
    "prompt_tokens": 412,
    "completion_tokens": 67,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": None},
    "completion_tokens_details": {},
}


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("more", [{}, {"service_tier": "default"}])
def test_an_object_of_counts_is_left_out_however_it_is_written(indent, more):
    body = json.dumps({"n": 1, "usage": USAGE, **more}, indent=indent).encode()
    thinned = ALL.thinned(body)
    assert b"token" not in thinned
    assert json.loads(body)["n"] == 1
    assert (b"default" in thinned) == bool(more)
    assert b"token" in NONE.thinned(body)


def test_an_answer_that_is_written_without_spaces_loses_its_names():
    body = b'{"choices":[{"message":{"content":"tokens"},"refusal":null}],"usage":{"total_tokens":241}}'
    assert ALL.thinned(body) == b'{"choices":[,{"content":"tokens"},null}],,}'


@pytest.mark.parametrize(
    "body",
    [
        rb'{"x\"usage":{"prompt_tokens":1}}',  # the end of another name
        rb'{"a":"\"usage":{"prompt_tokens":1}}',
        b'{"usage":{"prompt_tokens":4012888888881881}}',  # a number that is long enough for a text
        b'{"usage":{"prompt_tokens":1.5}}',
        b'{"usage":{"prompt_tokens":"a"}}',
        b'{"usage":{"prompt_tokens":1,"note":2}}',
        b'{"usage":{"prompt_tokens":1',
        b'"usage":{"prompt_tokens":1}',
        b"{" + b" " * 40 + b'"usage":{"prompt_tokens":1}}',
    ],
)
def test_what_is_not_certain_stays(body):
    assert ALL.thinned(body) == body


def test_numbers_around_a_name_stay_apart():
    assert ALL.thinned(b'[1,"message":2]') == b"[1,2]"
    assert ALL.thinned(b'{"a":1,"usage":{"prompt_tokens":5},"b":2}') == b'{"a":1,,,"b":2}'


def test_a_role_is_left_out_only_where_its_words_are_idle():
    body = b'{"messages":[{"role":"user","content":""}]}'
    assert ALL.thinned(body) == b',[,,"content":""}]}'
    assert b'"role"' in Formats(lambda word: word != b"user").thinned(body)
    assert {*NAMES, *COUNTS} <= {*WORDS} == ALL.idle
