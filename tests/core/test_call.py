"""The things that travel: their sums, and the label that goes into headers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.call import Call, Head, Usage, target_label
from usage_rows import usage_row


@given(st.text(), st.text())
def test_a_label_never_holds_what_could_break_a_header_or_a_line(provider, model):
    label = target_label(provider, model)
    assert label.isascii()
    assert label.isprintable()
    assert "/" in label
    assert len(label) == len(provider) + 1 + len(model)


def test_a_plain_name_is_its_own_label():
    assert target_label("openai", "gpt-4o:mini") == "openai/gpt-4o:mini"
    assert target_label("a", "modèle\r\nx") == "a/mod?le??x"


@given(st.lists(st.integers(0, 10**9), min_size=8, max_size=8))
def test_buckets_of_usage_add_up_to_the_totals(counts):
    usage = Usage(*counts)
    assert usage.prompt == sum(counts[:5])
    assert usage.completion == sum(counts[5:])


def test_a_row_has_the_same_totals_as_the_usage_it_was_made_of():
    names = ("input", "cache_read", "cache_write", "input_audio", "output", "reasoning")
    counts = {f"{name}_tokens": 10**power for power, name in enumerate((*names, "output_audio"))}
    row = usage_row("x", **counts)
    assert (row.prompt_tokens, row.completion_tokens) == (1111, 1_110_000)


def test_calls_do_not_share_their_attempts():
    first, second = (
        Call(id=name, operation="chat", body=b"", head=Head("m"), started_s=0, deadline_s=0)
        for name in "ab"
    )
    first.attempts.append(None)
    assert second.attempts == []
