from __future__ import annotations

from pathlib import Path

import msgspec

from cli_run import Command
from settings_files import OWN_MODELS

FILE = """\
[providers.openai]
[providers.gpu]
kind = "vllm"
[models.fast]
targets = [{ provider = "openai", model = "gpt-4o-mini", weight = 9 }, "gpu/own"]
fallbacks = ["slow"]
description = "quick answers"
[models.slow]
targets = ["gpu/nobody-knows"]
[models."gpt-*"]
targets = ["openai/*"]
[prices."gpu/own"]
input = 0.05
output = 0.1
"""


def test_names_targets_and_prices_are_listed(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(FILE)
    result = gatemill("models")
    header, *rows = [" ".join(line.split()) for line in result.out.splitlines()]
    assert header == "NAME TARGETS $/M IN $/M OUT FROM"
    assert rows == [
        "fast openai/gpt-4o-mini x9, gpu/own > slow 0.05 to 0.15 0.1 to 0.6 gatemill.toml:5",
        "slow gpu/nobody-knows ? ? gatemill.toml:9",
        "gpt-* openai/* by model by model gatemill.toml:11",
        "echo echo/echo 0 0 built in",
        *(f"{name} {name} 0 0 built in" for name in OWN_MODELS),
    ]
    assert (
        result.err
        == "Any model of a provider is reached directly: openai/…, gpu/…, echo/…, builtin/…, local/…\n"
    )


def test_json_has_the_figures(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(f"{FILE}[server]\ndirect_models = false\n")
    result = gatemill("models", "--json")
    fast = msgspec.json.decode(result.out)[0]
    assert fast["targets"][1]["input_usd_per_mtok"] == 0.05
    assert fast["description"] == "quick answers"
    assert gatemill("models").err == ""
