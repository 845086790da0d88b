"""The commands of the guide on the door answer as the text says; every option and file it names exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from gatemill.settings import Settings
from running import serve

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "the-door.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
TOML = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'


def test_each_command_prints_what_stands_below_it(tmp_path):
    assert len(BLOCKS) == 3
    with serve(tmp_path, ECHO + TOML[0]) as running:
        for script, said in BLOCKS:
            done = subprocess.run(
                ["bash", "-c", script],
                env={"PATH": "/usr/bin:/bin", "PORT": str(running.port), "KEY": running.key},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout.replace("\r", "") == said, script


def test_the_options_of_the_examples_and_of_the_table_exist():
    for block in TOML:
        Settings.model_validate(tomllib.loads(block))
    schema = Settings.model_json_schema()["$defs"]
    sections = {"server": "Server", "limits": "Limits", "files": "Files"}
    named = re.findall(r"`(server|limits|files)\.(\w+)`", GUIDE)
    assert len(named) > 10
    for section, option in named:
        assert option in schema[sections[section]]["properties"], option


def test_the_tests_and_targets_it_names_exist():
    for path in re.findall(r"tests/[\w/]+\.py", GUIDE):
        assert (ROOT / path).exists(), path
    for target in ("http_head", "json_body", "sse", "url"):
        assert f"`{target}`" in GUIDE or f"fuzz {target}" in GUIDE
        assert (ROOT / "fuzz" / f"{target}.py").exists()
