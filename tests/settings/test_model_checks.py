"""Where models lead: every mistake is told with its place, and what holds is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings_files import loaded, refused

# Six lines in front of what each test writes.
PARTS = """\
[providers.e]
kind = "echo"
[models.v1]
targets = ["e/1"]
[models.v2]
targets = ["e/2"]
"""
ARMS = 'arms = { v1 = { model = "v1", weight = 80 }, v2 = { model = "v2", weight = 20 } }\n'


def wrong(folder: Path, text: str) -> list[str]:
    """The errors without the file's name and the six lines in front."""
    errors = []
    for error in refused(folder, PARTS + text):
        line, _, rest = error.removeprefix("gatemill.toml:").partition(": ")
        errors.append(f"{int(line) - 6}: {rest}")
    return errors


@pytest.mark.parametrize(
    "text",
    [
        f"[models.m.experiment]\n{ARMS}",
        '[models.m.complexity]\nsimple = "v1"\nhard = "v2"\n',
        '[models.m.by_feature]\nfeature = "user.tier"\nmodels = { gold = "v1" }\ndefault = "v2"\n',
        '[models."p-*"]\ntargets = ["e/*"]\n[models."p-*".shadow]\nmodel = "v1"\n',
        '[models.m]\ntargets = ["e/x"]\nfallbacks = ["v1", "cache"]\ncache = { ttl_s = 1, stale_s = 9 }\n',
        '[cache]\nttl_s = 1\nstale_s = 9\n[models.m]\ntargets = ["e/x"]\nfallbacks = ["cache"]\n',
        '[cache]\nttl_s = 1\nsimilar_model = "v1"\n',
        # An arm may lead on, and two ways may end at the same model.
        (
            '[models.m.complexity]\nsimple = "x"\nhard = "v2"\n'
            f"[models.x.experiment]\n{ARMS}"
            '[models.m]\nfallbacks = ["v2"]\n'
        ),
    ],
)
def test_what_holds_is_taken(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, PARTS + text)


def test_a_model_leads_somewhere(tmp_path: Path) -> None:
    text = '[models.m]\ndescription = "nothing"\n[models.n]\ntargets = []\n'
    assert wrong(tmp_path, text) == [
        '1: models.m: leads nowhere; add targets = ["provider/model"], an experiment, a complexity or by_feature',
        "4: models.n.targets: must not be empty",
    ]


def test_a_model_leads_one_way_only(tmp_path: Path) -> None:
    text = f'[models.m]\ntargets = ["e/x"]\n[models.m.experiment]\n{ARMS}'
    keep = "keep one of them, and give the rest a name of its own"
    assert wrong(tmp_path, text) == [
        f"3: models.m.experiment: has targets beside it: {keep}",
    ]
    text += '[models.m.complexity]\nsimple = "v1"\nhard = "v2"\n'
    assert wrong(tmp_path, text) == [
        f"5: models.m.complexity: has targets and experiment beside it: {keep}",
    ]


def test_a_feature_leads_to_models_that_exist_and_in_no_circle(tmp_path: Path) -> None:
    text = '[models.m.by_feature]\nfeature = "user.tier"\nmodels = { gold = "m", b = "v3" }\n'
    found = wrong(tmp_path, text + 'default = "p-*"\n')
    assert [error.split(":")[0] for error in found] == ["3", "3", "4"]
    assert "models lead in a circle: m -> m" in found[0] + found[1]
    assert 'no model is named "v3"' in found[0] + found[1]
    assert 'is one model, and "p-*" is a pattern' in found[2]


def test_a_feature_is_named_with_its_entity(tmp_path: Path) -> None:
    text = '[models.m.by_feature]\nfeature = "tier"\nmodels = { gold = "v1" }\ndefault = "v2"\n'
    (found,) = wrong(tmp_path, text)
    assert found.startswith("2: models.m.by_feature.feature")


def test_what_a_model_leads_to_exists_and_is_no_pattern(tmp_path: Path) -> None:
    text = """\
[models.a.experiment.arms]
x = { model = "v3", weight = 1 }
y = { model = "v*", weight = 1 }
[models.b.complexity]
simple = "e/x"
hard = "zzz"
[models.c]
targets = ["e/x"]
shadow = { model = "v11" }
"""
    assert wrong(tmp_path, text) == [
        '2: models.a.experiment.arms.x.model: no model is named "v3"',
        '3: models.a.experiment.arms.y.model: a name to lead to is one model, and "v*" is a pattern',
        '5: models.b.complexity.simple: no model is named "e/x"; add [models."e/x"]',
        '6: models.b.complexity.hard: no model is named "zzz"',
        '9: models.c.shadow.model: no model is named "v11" (did you mean "v1"?)',
    ]


def test_an_arm_must_fit_into_a_header(tmp_path: Path) -> None:
    text = '[models.m.experiment.arms]\n"v 1" = { model = "v1", weight = 1 }\n'
    assert wrong(tmp_path, text) == [
        (
            '2: models.m.experiment.arms."v 1":'
            " an arm's name has letters, digits, - _ . only: it stands in a header"
        )
    ]


@pytest.mark.parametrize(
    ("text", "where", "way"),
    [
        (
            '[models.a.complexity]\nsimple = "a"\nhard = "v1"\n',
            "2: models.a.complexity.simple",
            "a -> a",
        ),
        (
            (
                '[models.a]\ntargets = ["e/x"]\nshadow = { model = "b" }\n'
                '[models.b.experiment]\narms = { x = { model = "a", weight = 1 } }\n'
            ),
            "5: models.b.experiment.arms.x.model",
            "a -> b -> a",
        ),
    ],
)
def test_models_do_not_lead_in_a_circle(tmp_path: Path, text: str, where: str, way: str) -> None:
    assert wrong(tmp_path, text) == [f"{where}: models lead in a circle: {way}"]


def test_a_fallback_that_leads_back_is_a_circle(tmp_path: Path) -> None:
    text = (
        '[models.a.experiment]\narms = { x = { model = "b", weight = 1 } }\n'
        '[models.b]\ntargets = ["e/x"]\nfallbacks = ["a"]\n'
    )
    assert wrong(tmp_path, text) == [
        "5: models.b.fallbacks.0: fallbacks go in a circle: a -> b -> a"
    ]


def test_the_cache_stands_last(tmp_path: Path) -> None:
    text = (
        "[models.m]\ntargets = ['e/x']\nfallbacks = ['cache', 'v1']\n"
        "cache = { ttl_s = 1, stale_s = 1 }\n"
    )
    assert wrong(tmp_path, text) == [
        "3: models.m.fallbacks.0: the cache is the last fallback; move it to the end"
    ]


@pytest.mark.parametrize(
    ("text", "option", "place"),
    [
        ("", "ttl_s", "[cache]"),
        ("cache = { ttl_s = 5 }\n", "stale_s", "this model's cache"),
        ("cache = { stale_s = 5 }\n", "ttl_s", "this model's cache"),
    ],
)
def test_the_cache_as_a_fallback_keeps_something(
    tmp_path: Path, text: str, option: str, place: str
) -> None:
    text = f'[models.m]\ntargets = ["e/x"]\nfallbacks = ["cache"]\n{text}'
    assert wrong(tmp_path, text) == [
        f"3: models.m.fallbacks.0: nothing stale is kept; set {option} of {place}"
    ]


def test_no_model_is_named_like_the_cache(tmp_path: Path) -> None:
    assert wrong(tmp_path, '[models.cache]\ntargets = ["e/x"]\n') == [
        "1: models.cache: this name is taken: among fallbacks it stands for the cache"
    ]


def test_the_model_that_finds_similar_prompts_exists(tmp_path: Path) -> None:
    text = (
        '[cache]\nsimilar_model = "v3"\n[models.m]\ntargets = ["e/x"]\n'
        'cache = { similar_model = "p-*" }\n'
    )
    assert wrong(tmp_path, text) == [
        '2: cache.similar_model: no model is named "v3"',
        '5: models.m.cache.similar_model: an embedding model is one model, and "p-*" is a pattern',
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[models.m]\ntargets = ["e/x"]\nfallbacks = [1]\n', "models.m.fallbacks.0"),
        ("[models.m]\nexperiment = 1\n", "models.m.experiment"),
        ("[models.m]\nexperiment = { arms = [1] }\n", "models.m.experiment.arms"),
        ("[models.m]\nexperiment = { arms = { a = 1 } }\n", "models.m.experiment.arms.a"),
        (
            '[models.m]\ncomplexity = { simple = 1, hard = "v1" }\n',
            "models.m.complexity.simple",
        ),
        ('[models.m]\ntargets = ["e/x"]\nshadow = "v1"\n', "models.m.shadow"),
        (
            '[models.m]\ntargets = ["e/x"]\nfallbacks = ["cache"]\ncache = { ttl_s = "x", stale_s = 1 }\n',
            "models.m.cache.ttl_s",
        ),
    ],
)
def test_wrong_shapes_are_told_once_and_hide_nothing(tmp_path: Path, text: str, where: str) -> None:
    [error] = wrong(tmp_path, text)
    assert error.split(": ")[1] == where
