from __future__ import annotations

from pathlib import Path

import pytest

from cli_run import Command, entered


@pytest.fixture
def gatemill(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """The command line in this process and in an empty folder."""
    return entered(capsys, monkeypatch, tmp_path)
