"""The settings as people are shown them."""

from __future__ import annotations

from gatemill.house import effective
from gatemill.settings import load

TOML = """
[server]
port = 9000
[providers.up]
kind = "openai"
base_url = "https://ada:geheim-geheim@up.example.com/v1"
api_key = "sk-0123456789abcdef"
"""


def test_every_option_has_its_value_its_origin_and_a_sentence(tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text(TOML)
    found = effective(load(file, {"GATEMILL_SERVER__HOST": "127.0.0.2"}, {}, lister=None))
    by = {one["path"]: one for one in found}
    assert by["server.port"]["value"] == 9000
    assert by["server.port"]["origin"] == f"{file}:3"
    assert by["server.host"]["origin"] == "env GATEMILL_SERVER__HOST"
    assert by["server.discover"]["is_default"] is True
    assert [one["path"] for one in found if not one["about"]] == []
    assert by["providers.up.api_key"]["value"] == "…cdef"
    shown = str(found)
    assert "0123456789" not in shown
    assert "geheim" not in shown


def test_values_are_json(tmp_path):
    kinds = (bool, int, float, str, list, type(None))
    found = effective(load(None, {}, {}, lister=None))
    assert [one for one in found if not isinstance(one["value"], kinds)] == []


def test_what_an_entry_of_a_list_does_not_say_is_no_change(tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text(
        '[models.smart]\ntargets = ["echo/echo", {provider = "echo", model = "x", weight = 2}]\n'
    )
    by = {each["path"]: each for each in effective(load(file, {}, {}, lister=None))}
    at = "models.smart.targets"
    assert by[f"{at}.0.weight"]["is_default"] is True
    assert by[f"{at}.0.context_tokens"]["is_default"] is True
    assert by[f"{at}.0.model"]["is_default"] is False
    assert by[f"{at}.1.weight"]["is_default"] is False
