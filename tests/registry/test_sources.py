"""Sources of versions: what is taken, and how the rest is refused."""

from __future__ import annotations

import pytest

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.registry import sources
from gatemill.registry.sources import Source, engine_of, read

COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("text", "scheme", "here"),
    [
        ("builtin:sentiment", "builtin", False),
        ("file:/srv/models/mood", "file", True),
        (f"hf:owner/name@{COMMIT}", "hf", True),
        ("mlflow:mood@champion", "mlflow", True),
        ("mlflow:mood/3", "mlflow", True),
        ("openai:gpt-4o-mini", "openai", False),
        ("ollama:llama3:8b", "ollama", False),
    ],
)
def test_a_source_is_taken_apart(text, scheme, here):
    found = read(text)
    assert (found.scheme, found.runs_here) == (scheme, here)
    assert sources.taken_apart(text) == found


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "builtin:NAME"),
        ("sentiment", "builtin:NAME"),
        ("file:models/mood", "absolute"),
        ("file:", "absolute"),
        ("file:/a\0b", "absolute"),
        ("hf:owner/name", "40 hex digits"),
        ("hf:owner/name@main", "40 hex digits"),
        (f"hf:../name/x@{COMMIT}", "40 hex digits"),
        ("mlflow:mood", "mlflow:NAME@ALIAS"),
        ("mlflow:a/b/3", "mlflow:NAME@ALIAS"),
        ("head:builtin/hash-512", "builtin:NAME"),
        ("local:mood:1", "builtin:NAME"),
        ("openai:gpt 4", "builtin:NAME"),
        ("openai:" + "x" * 201, "builtin:NAME"),
    ],
)
def test_a_source_that_is_none_is_refused_with_the_remedy(text, remedy):
    with pytest.raises(InvalidValue, match=remedy) as refused:
        read(text)
    assert refused.value.param == "source"


def test_files_have_an_engine_by_their_task_and_providers_have_none():
    file = Source("file", "/a")
    assert engine_of(file, "classify", "") == engine_of(file, "embed", "") == "onnx"
    assert engine_of(file, "generate", "") == "torch"
    assert engine_of(file, "classify", "torch") == "torch"
    assert engine_of(Source("openai", "gpt"), "generate", "") == ""
    with pytest.raises(InvalidValue, match="openai runs this model"):
        engine_of(Source("openai", "gpt"), "generate", "torch")
    with pytest.raises(InvalidValue, match="onnx or torch"):
        engine_of(file, "generate", "command")


@pytest.mark.parametrize("name", ["command", "argv", "health", "environment", "base_path"])
def test_a_version_cannot_choose_what_starts_a_program(name):
    with pytest.raises(UnsupportedParameter, match="configuration file") as refused:
        sources.check_options({"device": "cpu", name: ["sh"]})
    assert refused.value.param == f"options.{name}"


def test_a_digest_is_64_hex_digits():
    sources.check_digest("")
    sources.check_digest("0a" * 32)
    for wrong in ("0A" * 32, "0a" * 31, "sha256:" + "0a" * 32):
        with pytest.raises(InvalidValue):
            sources.check_digest(wrong)
