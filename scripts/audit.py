"""Asks the advisory service about every package of requirements.lock. Run by `just audit` and by `just check`.

    python scripts/audit.py [--strict]

Exit code 1: something has a known hole. Where no advisory can be had (no internet, a mirror without advisories), it says
SKIPPED and ends with 0; with --strict, as in CI, that is 1, too: pip-audit itself would call it "no known vulnerabilities".
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
AUDITOR = "pip-audit==2.10.1"
_COMMAND = ["uvx", AUDITOR, "-r", "requirements.lock", "--no-deps", "--disable-pip", "-f", "json"]
_PATIENCE_S = 180.0


class Verdict(NamedTuple):
    """What is printed, and the exit code."""

    words: str
    code: int


def judged(said: str, *, strict: bool) -> Verdict:
    """What pip-audit's JSON means; "" is: it said nothing."""
    try:
        packages: list[dict[str, Any]] = json.loads(said)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        packages = []
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}"
        + (f", repaired in {', '.join(hole['fix_versions'])}" if hole.get("fix_versions") else "")
        for each in packages
        for hole in each.get("vulns", ())
    ]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    if holes:
        return Verdict("\n".join(["pip-audit: known holes", *holes]), 1)
    if not packages or len(unknown) == len(packages):
        words = "pip-audit: SKIPPED: the advisory service cannot be asked from here"
        return Verdict(words, 1 if strict else 0)
    if unknown:
        words = f"pip-audit: nothing is known of {', '.join(unknown)}"
        return Verdict(words, 1 if strict else 0)
    return Verdict(f"pip-audit: {len(packages)} packages, no known hole", 0)


def main() -> None:
    """Prints the verdict and ends with its code."""
    try:
        done = subprocess.run(
            _COMMAND, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
        said = done.stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    verdict = judged(said, strict="--strict" in sys.argv[1:])
    print(verdict.words)
    sys.exit(verdict.code)


if __name__ == "__main__":
    main()
