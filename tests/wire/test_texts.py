"""Where texts are in bodies of every format, and where they are not."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.wire import texts
from gatemill.wire.texts import drop_repeats, places, rewrite

FILE = base64.b64encode(bytes(range(256))).decode()
IMAGE = f"data:image/png;base64,{FILE}"

# (what it is, body, paths of its texts)
BODIES = [
    (
        "chat: messages, parts, tool calls; files, names and ids are none",
        {
            "model": "gpt",
            "user": "ann@x.org",
            "stop": ["END"],
            "messages": [
                {"role": "system", "content": "be kind"},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "hi"},
                        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                        {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
                        {"type": "input_audio", "input_audio": {"data": FILE, "format": "wav"}},
                        {"type": "file", "file": {"file_data": FILE, "filename": "ann.pdf"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "refusal": "no",
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "find", "arguments": '{"q": 1}'},
                        },
                        {"id": "call_2", "type": "custom", "custom": {"name": "x", "input": "raw"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "found"},
            ],
        },
        [
            "user",
            "stop.0",
            "messages.0.content",
            "messages.1.name",
            "messages.1.content.0.text",
            "messages.1.content.2.image_url.url",
            "messages.1.content.4.file.filename",
            "messages.2.refusal",
            "messages.2.reasoning_content",
            "messages.2.tool_calls.0.function.arguments",
            "messages.2.tool_calls.1.custom.input",
            "messages.3.content",
        ],
    ),
    (
        "tools: descriptions, not what the schema is made of",
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "find",
                        "description": "finds",
                        "parameters": {
                            "type": "object",
                            "properties": {
                                "description": {"type": "string", "description": "of it"},
                                "color": {"enum": ["red"], "default": "red", "pattern": "r.*"},
                            },
                            "required": ["color"],
                        },
                    },
                }
            ],
            "tool_choice": {"type": "function", "function": {"name": "find"}},
        },
        [
            "tools.0.function.description",
            "tools.0.function.parameters.properties.description.description",
            "tools.0.function.parameters.properties.color.enum.0",
            "tools.0.function.parameters.properties.color.default",
        ],
    ),
    (
        "an answer of chat",
        {
            "id": "chatcmpl-4111111111111111",
            "object": "chat.completion",
            "system_fingerprint": "fp",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {
                        "role": "assistant",
                        "content": "hi",
                        "annotations": [
                            {
                                "type": "url_citation",
                                "url_citation": {"url": "https://x.org", "title": "t"},
                            }
                        ],
                        "audio": {"id": "a", "data": FILE, "transcript": "hi"},
                    },
                    "logprobs": {"content": [{"token": "hi", "logprob": -0.1}]},
                }
            ],
        },
        [
            "choices.0.message.content",
            "choices.0.message.annotations.0.url_citation.url",
            "choices.0.message.annotations.0.url_citation.title",
            "choices.0.message.audio.transcript",
        ],
    ),
    (
        "messages: system, blocks, a tool's input with its names, thinking without its signature",
        {
            "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
            "metadata": {"user_id": "u1"},
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                        {"type": "redacted_thinking", "data": FILE},
                        {
                            "type": "tool_use",
                            "id": "toolu_1",
                            "name": "find",
                            "input": {"type": "mail", "to": ["a@x.org"], "b@x.org": {"id": "7"}},
                        },
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"},
                        {
                            "type": "document",
                            "title": "t",
                            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                        },
                    ],
                },
            ],
        },
        [
            "system.0.text",
            "metadata.user_id",
            "metadata.user_id",  # the name
            "messages.0.content.0.thinking",
            "messages.0.content.2.input.type",
            "messages.0.content.2.input.to.0",
            "messages.0.content.2.input.b@x.org.id",
            "messages.0.content.2.input.b@x.org.id",
            "messages.0.content.2.input.type",
            "messages.0.content.2.input.to",
            "messages.0.content.2.input.b@x.org",
            "messages.1.content.0.content",
            "messages.1.content.1.title",
            "messages.1.content.1.source.data",
        ],
    ),
    (
        "responses: instructions, items, summaries, arguments; sealed reasoning is none",
        {
            "instructions": "be kind",
            "input": [
                {"type": "message", "role": "user", "content": "hi"},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "x", "text": "hm"}]},
                {"type": "reasoning", "encrypted_content": "gAAA"},
                {"type": "function_call", "call_id": "c", "name": "find", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "found"},
                {"type": "input_image", "image_url": IMAGE},
            ],
            "prompt": {"id": "pmpt_1", "variables": {"town": "Ulm"}},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        },
        [
            "instructions",
            "input.0.content",
            "input.1.summary.0.text",
            "input.3.arguments",
            "input.4.output",
            "prompt.variables.town",
            "prompt.variables.town",
        ],
    ),
    ("embeddings", {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}, ["input.0", "input.1"]),
    ("embedded", {"data": [{"object": "embedding", "embedding": "AACAPw=="}]}, []),
    ("token prompts", {"prompt": [[1, 2], [3]]}, []),
    ("predict", {"model": "m", "input": "great", "truncate": True}, ["input"]),
    ("predict_text", {"text": "great"}, ["text"]),
    ("rerank", {"query": "q", "documents": ["a", {"text": "b"}]}, ["query", "documents.0", "documents.1.text"]),
    (
        "what no format knows is a text",
        {"model": "m", "invented": {"deeply": ["nested"]}},
        ["invented.deeply.0"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "paths"), [row[1:] for row in BODIES], ids=[r[0] for r in BODIES])
def test_the_texts_of_a_body_are_found_in_its_order(body, paths):
    assert [place.path for place in places(body)] == paths


def test_arguments_in_a_string_are_told_to_be_json():
    call = {"function": {"name": "find", "arguments": '{"q": "x"}'}}
    [place] = places(call)
    assert (place.text, place.is_json) == ('{"q": "x"}', True)
    # A field of that name which a caller has made up is no JSON.
    assert [place.is_json for place in places({"metadata": {"arguments": "x"}})] == [False, False]


def test_a_text_can_be_put_in_its_place():
    body = {"messages": [{"role": "user", "content": "hi"}], "input": ["a", "b"]}
    for place in places(body):
        place.put(place.text.upper())
    assert body == {"messages": [{"role": "user", "content": "HI"}], "input": ["A", "B"]}


def test_names_that_callers_chose_are_texts_and_keep_their_order():
    body = {"type": "tool_use", "input": {"n": 1, "a@x.org": {"b@x.org": "c@x.org"}, "z": 2}}
    assert rewrite(body, lambda place: "[EMAIL]" if "@" in place.text else place.text)
    assert body["input"] == {"n": 1, "[EMAIL]": {"[EMAIL]": "[EMAIL]"}, "z": 2}
    assert list(body["input"]) == ["n", "[EMAIL]", "z"]


def test_two_names_with_one_label_lose_no_value():
    body = {"input": {"a@x.org": 1, "b@x.org": 2, "c@x.org": 3}}
    assert rewrite(body, lambda place: "[EMAIL]")
    assert body["input"] == {"[EMAIL]": 1, "[EMAIL]_": 2, "[EMAIL]__": 3}


def test_a_body_in_which_nothing_changes_says_so():
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert not rewrite(body, lambda place: place.text)


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("url", "data:image/png;base64,AAAA", False),
        ("url", "data:text/plain;charset=utf-8;base64,AAAA==", False),
        ("url", "data:text/plain,call 4111 1111", True),
        ("url", "data:;base64,call 4111 1111", True),
        ("text", "data: a word", True),
        ("data", FILE, False),
        ("data", FILE + "\n", False),
        ("text", FILE, True),  # nothing says that it is a file
        ("text", IMAGE, False),
        ("text", IMAGE + " and a word", True),
        ("text", "data:a;base64,4111111111111111", True),  # nothing says that this is one, either
        ("data", FILE[:100], True),  # short enough to be looked at
        ("data", "word " * 100, True),
        ("data", "ä" * 300, True),
    ],
)
def test_files_are_told_from_texts(name, text, is_one):
    assert bool(places({name: text})) is is_one


def test_a_document_in_plain_text_is_a_text_whatever_it_looks_like():
    lines = "4111111111111111\n" * 20
    source = {"type": "text", "media_type": "text/plain", "data": lines}
    assert [place.text for place in places({"content": [{"source": source}]})] == [lines]
    assert not places({"source": {**source, "type": "base64"}})
    assert not places({"source": {**source, "data": ""}})


def test_what_repeats_a_text_is_dropped():
    body = {
        "choices": [
            {
                "logprobs": {"content": [{"token": "SECRET"}]},
                "message": {"content": "x"},
                "token_ids": [7, 8],
            }
        ],
        "output": [{"content": [{"type": "output_text", "logprobs": [{"token": "SECRET"}]}]}],
        "top_logprobs": 2,
        "logprobs": True,
    }
    assert drop_repeats(body)
    assert body == {
        "choices": [{"logprobs": None, "message": {"content": "x"}, "token_ids": []}],
        "output": [{"content": [{"type": "output_text", "logprobs": []}]}],
        "top_logprobs": 2,
        "logprobs": True,
    }
    assert not drop_repeats(body)


def test_an_answer_deeper_than_python_can_call_is_walked():
    deep: object = "text"
    for _ in range(5000):
        deep = [deep]
    assert [place.text for place in places({"a": deep})] == ["text"]


_json = st.recursive(
    # Longer numbers count as texts.
    st.none() | st.booleans() | st.integers(1 - texts._LONG, texts._LONG - 1) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "input", "text", "id", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_putting_texts_back_changes_nothing(body):
    before = msgspec.json.encode(body)
    for place in places(body):
        place.put(place.text)
    assert msgspec.json.encode(body) == before


@pytest.mark.parametrize("number", [texts._LONG, -texts._LONG, 4111111111111111])
def test_a_long_number_is_a_text(number):
    body = {"input": {"content": number, "other": 7}}
    (place,) = [one for one in places(body) if one.name == "content" and not one.is_key]
    place.put(place.text)
    assert body == {"input": {"content": str(number), "other": 7}}


@given(_json)
def test_nothing_but_strings_and_names_changes(body):
    def shape(value):
        if isinstance(value, dict):
            return [shape(held) for held in value.values()]
        if isinstance(value, list):
            return [shape(held) for held in value]
        return "text" if isinstance(value, str) else value

    before = shape(body)
    rewrite(body, lambda place: "[X]")
    assert shape(body) == before


def test_enumerations_of_openai_hold_nothing_that_a_guard_could_find():
    """No enumerated value has a digit run, an @ or a space: what guards look for has one of them."""
    packed = Path(__file__).parent.parent / "openai_schema" / "openapi-trimmed.json.gz"
    document = json.loads(gzip.decompress(packed.read_bytes()))
    odd = set()

    def walk(value):
        if isinstance(value, dict):
            for name, held in (value.get("properties") or {}).items():
                if isinstance(held, dict):
                    for word in held.get("enum") or ():
                        looked_at = isinstance(word, str) and places({name: word})
                        if looked_at and (" " in word or "@" in word or len(word) > 40):
                            odd.add((name, word))
            for held in value.values():
                walk(held)
        elif isinstance(value, list):
            for held in value:
                walk(held)

    walk(document)
    assert odd == set()
