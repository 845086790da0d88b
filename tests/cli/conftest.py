from __future__ import annotations

from pathlib import Path

import pytest

from cli_run import Command, entered
from running import Running


@pytest.fixture
def gatemill(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """The command line in this process and in an empty folder."""
    return entered(capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def known(running: Running) -> dict[str, str]:
    """What leads the command line to the server that a test file runs."""
    return {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
