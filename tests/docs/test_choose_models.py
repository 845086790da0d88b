"""The guide's configurations load as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from settings_files import loaded

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "choose-models.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
# What the reader has, and the two models of the first example where a later one builds on them.
PROVIDERS = """\
[providers.openai]
[providers.anthropic]
[providers.vllm]
[providers.azure]
base_url = "https://example.openai.azure.com/openai/v1"
"""


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_configuration_of_the_guide_loads(tmp_path: Path, block: str):
    models = "".join(
        f'[models.{name}]\ntargets = ["openai/gpt-4o"]\n'
        for name in ("fast", "big")
        if f"[models.{name}]" not in block
    )
    assert loaded(tmp_path, PROVIDERS + models + block).settings.models


def test_the_guide_has_configurations():
    assert len(BLOCKS) == 5
