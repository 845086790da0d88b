"""Proofs that need what no ordinary machine of ours has installed: torch, Ray, MLflow, Feast.

`pytestmark = heavy.needs("torch")` skips a file with the reason. `just test-heavy` runs them all.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

WANTED = "GATEMILL_TEST_HEAVY"


def needs(*modules: str) -> pytest.MarkDecorator:
    """Runs only where every module is installed and GATEMILL_TEST_HEAVY=1."""
    missing = [name for name in modules if find_spec(name) is None]
    reason = f"heavy: {', '.join(missing)} not installed" if missing else f"heavy: set {WANTED}=1"
    return pytest.mark.skipif(bool(missing) or os.environ.get(WANTED) != "1", reason=reason)
