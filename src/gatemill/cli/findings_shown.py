"""Findings on a terminal: one layout for `check` and `doctor`. Rule: a failure names the command that repairs it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gatemill.cli.terminal import paint, print_text
from gatemill.core.finding import FAILURE, OK, WARNING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.finding import Finding

_STYLES = {OK: "32", WARNING: "33", FAILURE: "31"}


def show(findings: Sequence[Finding]) -> None:
    """A line each."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = paint(finding.mark, _STYLES[finding.mark], sys.stdout)
        speed = f" in {finding.latency_ms:.0f} ms" if finding.latency_ms is not None else ""
        fix = f" → {finding.fix}" if finding.fix else ""
        print_text(f"{mark} {finding.subject:<{width}}  {finding.text}{speed}{fix}")


def as_objects(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [finding._asdict() for finding in findings]


def failed(findings: Sequence[Finding]) -> bool:
    """Whether something does not work; warnings do."""
    return any(finding.mark == FAILURE for finding in findings)
