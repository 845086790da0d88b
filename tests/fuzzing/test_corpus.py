"""What fuzzing began with and what it has found, once more: a finding stays a test for ever."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
TARGETS = ("http_head", "json_body", "sse", "url")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_the_corpus_is_a_finding_any_more(target):
    one = import_module(f"fuzz.{target}").one
    kept = sorted((CORPUS / target).iterdir())
    assert kept
    for path in kept:
        try:
            one(path.read_bytes())
        except Exception as error:
            raise AssertionError(path.name) from error


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    modules = {path.stem for path in CORPUS.parent.glob("*.py")} - {"__init__", "__main__"}
    assert modules == set(TARGETS)
