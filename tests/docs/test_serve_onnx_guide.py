"""The guide on ONNX models: its commands do what it says with a graph made here, its TOML loads, its figures are the code's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import onnx_models
import warmed
from cli_run import clean_environment
from gatemill.local.batcher import Batching
from gatemill.local.manifest import digest
from gatemill.local.slot import AGAIN_MAX_S, AGAIN_S
from gatemill.settings import load
from running import serve

GUIDE = (Path(__file__).parents[2] / "docs/guides/serve-onnx.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_commands_do_what_the_guide_says(tmp_path: Path) -> None:
    onnx_models.folder(tmp_path / "models" / "minilm")
    absolute = blocks("toml")[0].replace("file:models", f"file:{tmp_path}/models")
    with serve(tmp_path, absolute) as running:
        said = [
            subprocess.run(
                [
                    "bash",
                    "-euo",
                    "pipefail",
                    "-c",
                    f'gatemill() {{ {warmed.GATEMILL} "$@"; }}\n{text}',
                ],
                cwd=tmp_path,
                env=clean_environment(GATEMILL_URL=running.url, GATEMILL_API_KEY=running.key),
                capture_output=True,
                text=True,
                check=False,
            )
            for text in blocks("sh")
        ]
    assert [one.returncode for one in said] == [0, 0], [one.stderr for one in said]
    assert said[0].stdout.startswith("minilm ready")
    assert '"object":"embedding","index":1' in said[0].stdout
    assert re.search(r"minilm +embed +onnx +ready", said[0].stdout)
    assert f'sha256 = "{digest(tmp_path / "models" / "minilm")}"' in said[1].stdout


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_configuration_loads(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    assert load(file, {}, {}, lister=None).settings.local


def test_the_limits_are_those_of_the_code() -> None:
    said = Batching(workers=1)
    assert f"`batch_max` ({said.batch_max}), `batch_tokens` ({said.batch_tokens})" in GUIDE
    assert f"`waiting_max` ({said.waiting_max})" in GUIDE
    assert f"after {AGAIN_S:.0f} s, then 2, 4 ... {AGAIN_MAX_S:.0f}" in GUIDE
