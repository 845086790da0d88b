"""Programs and services that a test needs. Where one is missing the test says so and is skipped;
with GATEMILL_REQUIRE_SERVICES=1, as in CI, that is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of a program, or the end of the test."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def missing(reason: str) -> None:
    """Skips the test with its reason, or fails it where nothing may be missing."""
    if os.environ.get("GATEMILL_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{reason}, and GATEMILL_REQUIRE_SERVICES=1")
    pytest.skip(reason)
