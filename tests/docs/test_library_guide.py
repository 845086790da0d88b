"""The programs of the guide on the library run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cli_run import clean_environment

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "library.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
EXPECTED = ("hello echo/echo 0\n", "hello again", "mill 0", "MILL\n")


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_a_program_of_the_guide_runs(tmp_path, index):
    block = BLOCKS[index]
    if "asyncio.run" not in block:
        inside = textwrap.indent(block, "    ")
        block = f"import asyncio\nimport gatemill\nasync def main():\n{inside}\nasyncio.run(main())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert EXPECTED[index] in done.stdout


def test_the_guide_has_programs():
    assert len(BLOCKS) == len(EXPECTED)
