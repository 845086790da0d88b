"""Arms of the configuration file that change requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatemill.settings import ConfigErrors
from settings_files import loaded

CONFIG = """
[models.a]
targets = ["echo/echo"]
[models.split.experiment.arms]
v1 = {{ model = "a", weight = 1 }}
v2 = {{ model = "a", weight = 1, prompt = "greet:3", params = {params} }}
"""


def test_an_arm_has_a_prompt_and_parameters(tmp_path: Path):
    params = "{ temperature = 0.2, response_format = { type = 'json_object' } }"
    settings = loaded(tmp_path, CONFIG.format(params=params)).settings
    experiment = settings.models["split"].experiment
    assert experiment is not None
    assert experiment.arms["v1"].params == {}
    assert experiment.arms["v2"].prompt == "greet:3"
    assert experiment.arms["v2"].params["response_format"] == {"type": "json_object"}


def test_an_arm_cannot_replace_what_is_asked(tmp_path: Path):
    with pytest.raises(ConfigErrors) as found:
        loaded(tmp_path, CONFIG.format(params="{ model = 'b', stream = true }"))
    assert "cannot replace model, stream" in str(found.value.errors)
