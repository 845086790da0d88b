"""Run one target: `python -m fuzz sse 180`. Findings stay in fuzz/corpus, where the tests replay them.

Rule: nothing else of the project needs atheris, which is installed for this alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import atheris

HERE = Path(__file__).parent
BYTES_MAX = 8192


def main(target: str, seconds: str) -> None:
    """Runs until the time is over or something is found, which is written to the corpus."""
    with atheris.instrument_imports(include=["gatemill", "fuzz", "h11"]):
        one = import_module(f"fuzz.{target}").one
    grown = HERE / "grown" / target
    grown.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / target
    atheris.Setup(
        [
            sys.argv[0],
            str(grown),
            str(seeds),
            f"-max_total_time={seconds}",
            f"-max_len={BYTES_MAX}",
            f"-artifact_prefix={seeds}/found-",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ],
        one,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
