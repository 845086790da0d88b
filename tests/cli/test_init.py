from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from cli_run import Command
from gatemill.settings import vendors
from settings_files import loaded

KEYS = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "AZURE_OPENAI_API_KEY": "c"}


def test_init_writes_a_configuration_that_is_good_as_it_is(
    gatemill: Command, tmp_path: Path
) -> None:
    result = gatemill("init")
    assert result.code == 0
    assert result.out.startswith("wrote  gatemill.toml\nwrote  .env.example\nnext:\n  1. ")
    assert gatemill("check").code == 0


def test_nothing_is_overwritten(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text("# mine\n")
    result = gatemill("init")
    assert result.code == 0
    assert "kept   gatemill.toml, which exists\nwrote  .env.example\n" in result.out
    assert (tmp_path / "gatemill.toml").read_text() == "# mine\n"


def test_a_folder_can_be_named(gatemill: Command, tmp_path: Path) -> None:
    assert "1. cd deep/er; cp .env" in gatemill("init", "deep/er").out
    assert (tmp_path / "deep/er/gatemill.toml").is_file()


def test_a_place_that_cannot_be_written_is_named(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = gatemill("init", "file/below")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("gatemill: cannot write file/below/gatemill.toml: ")


def test_every_commented_option_holds_when_it_is_uncommented(
    gatemill: Command, tmp_path: Path
) -> None:
    gatemill("init")
    text = (tmp_path / "gatemill.toml").read_text()
    enabled = re.sub(r"(?m)^#(?! |$)", "", text)
    assert set(tomllib.loads(enabled)) == {
        "server",
        "providers",
        "models",
        "prices",
        "limits",
        "stores",
        "local",
        "knowledge",
    }
    settings = loaded(tmp_path, enabled, KEYS).settings
    assert settings.server.host == "0.0.0.0"
    assert settings.models["fast"].fallbacks == ("smart",)


@pytest.mark.parametrize(
    "kind", [kind for kind, vendor in vendors().items() if vendor.source != "built in"]
)
def test_the_starter_names_every_kind(gatemill: Command, tmp_path: Path, kind: str) -> None:
    gatemill("init")
    assert re.search(rf"\b{kind}\b", (tmp_path / "gatemill.toml").read_text())
