"""Proofs that need what no ordinary machine of ours has installed: torch, Ray, MLflow, Feast.

`pytestmark = heavy.needs("torch")` skips a file with the reason. `just test-heavy` runs them all.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import pytest

WANTED = "GATEMILL_TEST_HEAVY"
LATE_S = 15.0  # what a busy machine may add


def needs(*modules: str) -> pytest.MarkDecorator:
    """Runs only where every module is installed and GATEMILL_TEST_HEAVY=1."""
    missing = [name for name in modules if find_spec(name) is None]
    reason = f"heavy: {', '.join(missing)} not installed" if missing else f"heavy: set {WANTED}=1"
    return pytest.mark.skipif(bool(missing) or os.environ.get(WANTED) != "1", reason=reason)


def is_wanted() -> bool:
    """Whether proofs are to be run at full length."""
    return os.environ.get(WANTED) == "1"


def within(promised_s: float) -> float:
    """How long a test waits for what is promised within `promised_s`.

    A machine that is busy with other tests may stand still; only the long proofs ask for the promise.
    """
    return promised_s if is_wanted() else promised_s + LATE_S


def say(line: str) -> None:
    """A figure that was measured; shown with -s."""
    sys.stdout.write(f"\n  {line}\n")
