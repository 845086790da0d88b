"""The guide on moving from LiteLLM is run: its commands do what the text says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import warmed
from cli_run import clean_environment

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "migrate-from-litellm.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
(FALLBACK,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
(REPORT,) = re.findall(r"^```text\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
LITELLM = """\
model_list:
  - model_name: quick
    litellm_params:
      model: openai/gpt-4o-mini
      api_key: os.environ/OPENAI_API_KEY
      rpm: 600
  - model_name: quick
    litellm_params:
      model: hosted_vllm/qwen
      api_base: http://10.0.0.5:8000/v1
      api_key: none
  - model_name: "openai/*"
    litellm_params:
      model: "openai/*"
      api_key: os.environ/OPENAI_API_KEY
  - model_name: titan
    litellm_params:
      model: bedrock/amazon.titan-text-express-v1
router_settings:
  num_retries: 2
litellm_settings:
  drop_params: true
  callbacks: [prometheus]
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""


def run(folder: Path, script: str, **extra: str) -> subprocess.CompletedProcess[str]:
    gatemill = warmed.GATEMILL
    here = script.replace("uv run --extra yaml gatemill", gatemill)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", here.replace("uv run gatemill", gatemill)],
        cwd=folder,
        env=clean_environment(**extra),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_make_a_file_that_holds_and_the_keys(tmp_path):
    (tmp_path / "litellm.yaml").write_text(LITELLM)
    done = run(tmp_path, BLOCKS[0], OPENAI_API_KEY="sk")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "✓ config  gatemill.toml (5 providers, 7 model names)\n"
    for line in REPORT.splitlines():
        assert f"{line.partition(' …')[0]}" in done.stderr
    keys = run(tmp_path, BLOCKS[1], OPENAI_API_KEY="sk")
    assert keys.returncode == 0, keys.stderr
    assert len(re.findall(r"gm-[0-9a-z]{10}-", keys.stdout)) == 2


def test_what_stays_with_litellm_becomes_a_provider(tmp_path):
    (tmp_path / "gatemill.toml").write_text(FALLBACK)
    done = run(tmp_path, "uv run gatemill check", LITELLM_KEY="sk")
    assert done.returncode == 0, done.stderr
