from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gatemill.runner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_its_options_are_explained():
    done = run("--help")
    assert done.returncode == 0
    for option in ("--model", "--socket", "--cache-bytes", "--no-batching", "--with-parent"):
        assert option in done.stdout


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed here")
def test_without_torch_it_says_what_to_install():
    done = run("--model", "nowhere", "--port", "0")
    assert done.returncode == 3
    assert "is missing: pip install 'gatemill[torch]'" in done.stderr
    assert "Traceback" not in done.stderr
