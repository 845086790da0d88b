"""wire/harms.py: what labels of other models mean."""

from __future__ import annotations

import pytest

from gatemill.wire import harms


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("hate", "hate"),
        ("Harassment/Threatening", "harassment/threatening"),
        ("self_harm", "self-harm"),
        ("self-harm-intent", "self-harm/intent"),
        ("TOXIC", "harassment"),
        ("severe_toxicity", "harassment"),
        ("Prompt Injection", "jailbreak"),
        ("jailbreak", "jailbreak"),
        ("nsfw", "sexual"),
        ("violence_and_threats", "violence"),
        ("safe", None),
        ("positive", None),
        ("LABEL_1", None),
        ("", None),
    ],
)
def test_a_label_means_a_category_or_none(label, category):
    assert harms.category_of(label) == category


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("self-harm/intent", None),
        ("jailbreak", None),
        ("financial", None),
        ("violenc", "violence"),
        ("toxic", "harassment"),
        ("self_harm", "self-harm"),
    ],
)
def test_a_kind_that_would_never_be_found_is_told_from_a_models_own(kind, category):
    assert harms.meant(kind) == category


def test_of_labels_that_mean_the_same_the_highest_counts():
    assert harms.scores({"toxic": 0.2, "insult": 0.9, "safe": 0.1}) == {"harassment": 0.9}
    assert harms.scores({"positive": 0.9}) is None


def test_a_vendors_other_categories_keep_their_names():
    flags = {"selfharm": True, "self-harm": False, "pii": True, "health": False}
    assert harms.renamed(flags) == {"self-harm": True, "pii": True, "health": False}
