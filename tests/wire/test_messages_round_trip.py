import base64

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_cases import call_for, target_for
from gatemill.providers import anthropic
from gatemill.wire import messages
from gatemill.wire.messages.plain import plain

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda text: not text.isspace()
)
ids = st.text("abcXYZ019_-", min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
inputs = st.dictionaries(texts, values, max_size=2)
cache = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])
base64_data = st.binary(max_size=6).map(lambda data: base64.b64encode(data).decode())


def block(kind: str, **parts):
    return st.fixed_dictionaries({"type": st.just(kind), **parts})


def cached(strategy):
    return st.builds(lambda made, mark: {**made, **mark}, strategy, cache)


text_blocks = cached(block("text", text=texts))
images = cached(
    block(
        "image",
        source=block("base64", media_type=st.sampled_from(["image/png", "image/webp"]), data=ids)
        | block("url", url=ids.map(lambda name: f"https://example.com/{name}")),
    )
)
documents = cached(
    block(
        "document",
        source=block("base64", media_type=st.just("application/pdf"), data=base64_data)
        | block("text", media_type=st.just("text/plain"), data=texts),
    )
)
results = cached(
    st.builds(
        lambda made, failed: {**made, **failed},
        block(
            "tool_result",
            tool_use_id=ids,
            content=st.lists(text_blocks | images | documents, min_size=1, max_size=2),
        ),
        st.sampled_from([{}, {"is_error": True}]),
    )
)
thoughts = block("thinking", thinking=texts, signature=texts) | block(
    "redacted_thinking", data=texts
)
uses = cached(block("tool_use", id=ids, name=ids, input=inputs))
users = st.builds(
    lambda first, rest: first + rest,
    st.lists(results, max_size=2),
    st.lists(text_blocks | images | documents, min_size=1, max_size=3),
)
spoken = st.lists(
    st.builds(
        lambda first, rest: first + rest,
        st.lists(thoughts, max_size=2),
        st.lists(text_blocks, min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=2,
).map(lambda groups: [block for group in groups for block in group])
assistants = st.builds(lambda said, called: said + called, spoken, st.lists(uses, max_size=2))
tools = st.lists(
    cached(
        st.fixed_dictionaries(
            {
                "name": ids,
                "description": texts,
                "input_schema": st.just({"type": "object", "properties": {"a": {}}}),
            }
        )
    ),
    max_size=2,
)


@settings(deadline=None)  # a busy machine is no failure
@given(
    system=st.lists(text_blocks, min_size=1, max_size=2),
    turns=st.lists(st.tuples(users, assistants), min_size=1, max_size=3),
    tools=tools,
)
def test_a_request_comes_back_unchanged_from_the_hub(system, turns, tools):
    said = [
        {"role": role, "content": content}
        for turn in turns
        for role, content in zip(("user", "assistant"), turn, strict=True)
    ]
    request = {"model": "m", "max_tokens": 9, "system": system, "messages": said}
    if tools:
        request["tools"] = tools
    body = msgspec.json.encode(request)
    call = call_for(messages, body)

    chat = messages.to_chat(body, call)
    sent, hints = anthropic.encode(chat, call, target_for(anthropic))

    assert (hints, call.reported) == ((), ())
    assert msgspec.json.decode(sent) == {**request, "model": "upstream-model"}


@settings(deadline=None)  # a busy machine is no failure
@given(turns=st.lists(st.tuples(users, assistants), min_size=1, max_size=2), tools=tools)
def test_the_plain_request_has_no_extension_left_and_keeps_every_message(turns, tools):
    said = [{"role": "user", "content": turns[0][0]}, {"role": "assistant", "content": turns[0][1]}]
    body = msgspec.json.encode(
        {"model": "m", "max_tokens": 9, "top_k": 3, "messages": said, "tools": tools}
    )
    chat = messages.to_chat(body, call_for(messages, body))

    stripped, names = plain(chat)

    assert "top_k" in names
    assert len(stripped["messages"]) == len(chat["messages"])
    assert plain(stripped) == (stripped, ())
    text = msgspec.json.encode(stripped)
    for name in names:
        assert b'"%b":' % name.encode() not in text
