from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.house.local import spec_of
from gatemill.settings import ConfigErrors, load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def loaded(tmp_path: Path, text: str):
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    return load(file, {}, {}, lister=None)


def wrong(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as failure:
        loaded(tmp_path, text)
    return [str(one).partition(": ")[2] for one in failure.value.errors]


def test_a_local_model_gets_a_name_unless_that_has_another_meaning(tmp_path) -> None:
    text = '[local.a]\ntask = "embed"\nsource = "file:x"\n[local.b]\ntask = "embed"\n'
    text += 'source = "file:x"\n[models.b]\ntargets = ["echo/echo"]\n'
    found = loaded(tmp_path, text)
    assert [f"{t.provider}/{t.model}" for t in found.settings.models["a"].targets] == ["local/a"]
    assert found.settings.models["b"].targets[0].provider == "echo"
    assert found.origins["models.a.targets.0.provider"] == "with local.a"


def test_options_that_are_said_reach_the_model_and_no_others(tmp_path) -> None:
    text = (
        f'[local.a]\ntask = "embed"\nsource = "hf:owner/name@{COMMIT}"\nidle_ttl_s = 60\n'
        "matryoshka = true\npreload = true\ncommand = []\n"
    )
    spec = spec_of("a", loaded(tmp_path, text).settings.local["a"])
    assert (spec.name, spec.task, spec.engine) == ("a", "embed", "onnx")
    assert spec.source == f"hf:owner/name@{COMMIT}"
    assert spec.options == {"command": (), "idle_ttl_s": 60.0, "matryoshka": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('task = "embed"', "local.m.source: missing: where its files are"),
        ('task = "embed"\nsource = "minilm"', 'local.m.source: write "file:" and a folder'),
        ('task = "embed"\nsource = "hf:a/b"', "local.m.source: a model of the hub is pinned"),
        ('task = "embed"\nsource = "hf:a/b@main"', "local.m.source: a model of the hub is pinned"),
        ('task = "generate"\nsource = "file:x"', '"onnx" does not generate; use torch or command'),
        ('task = "embed"\nengine = "torch"\nsource = "file:x"', "use onnx or command"),
        ('task = "generate"\nengine = "command"', "local.m.command: missing: the program"),
        ('source = "file:x"', "local.m.task"),
        ('task = "embed"\nsource = "file:x"\nsha256 = "abc"', "local.m.sha256"),
        ('task = "embed"\nsource = "file:x"\nbatch_wait_s = 2.0', "local.m.batch_wait_s"),
        ('task = "embed"\nsource = "file:x"\npoolign = "cls"', "pooling"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path, text: str, said: str) -> None:
    (error,) = wrong(tmp_path, f"[local.m]\n{text}\n")
    assert said in error


def test_a_name_that_could_not_stand_in_a_path_is_refused(tmp_path) -> None:
    (error,) = wrong(tmp_path, '[local."a/b"]\ntask = "embed"\nsource = "file:x"\n')
    assert "letters, digits" in error


def test_values_of_wrong_types_hide_no_other_mistake(tmp_path) -> None:
    found = wrong(
        tmp_path, '[local.m]\ntask = 7\nsource = 8\nengine = "onnx"\n[local.n]\ntask="embed"\n'
    )
    assert any("local.m.task" in one for one in found)
    assert any("local.n.source" in one for one in found)
