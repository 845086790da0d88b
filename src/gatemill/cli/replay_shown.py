"""What a replay came to, on a terminal. Rule: what the result says, in fewer words."""

from __future__ import annotations

from typing import Any

from gatemill.cli.terminal import print_table, print_text

_FIGURES = (
    ("cost", "cost_microusd", 1e-6, "$"),
    ("latency", "latency_ms", 1.0, "ms"),
    ("prompt tokens", "prompt_tokens", 1.0, ""),
    ("answer tokens", "output_tokens", 1.0, ""),
)
_SHARES = (
    ("equal", "equal"),
    ("equal but for case and spaces", "alike"),
    ("ended alike", "same_finish"),
    ("JSON, before", "json_before"),
    ("JSON, after", "json_after"),
)


def show(result: dict[str, Any]) -> None:
    """A table of figures, one of shares, and what failed."""
    print_text(
        f"{result['compared']} compared, {result['failed']} failed, {result['skipped']} skipped"
    )
    if not (result["compared"] or result["failed"] or result["skipped"]):
        print_text("No such request was kept: see gatemill recordings ls, and recordings.share.")
    for code, count in result["errors"].items():
        print_text(f"  {code}: {count}")
    figures = [
        (word, *_figure(result[name], unit, scale))
        for word, name, scale, unit in _FIGURES
        if result[name] is not None
    ]
    if figures:
        print_table(("MEAN", "BEFORE", "AFTER", "DIFFERENCE", "95 % INTERVAL"), figures)
    shares = [
        (word, *_share(result["answers"][name]))
        for word, name in _SHARES
        if result["answers"][name] is not None
    ]
    judge = result["judge"]
    if judge is not None and judge["win_rate"] is not None:
        interval = "-"
        if judge["low"] is not None:
            interval = f"{judge['low']:.0%} to {judge['high']:.0%}"
        words = f"better, says {judge['judge']}"
        shares.append((words, f"{judge['win_rate']:.0%}", interval, str(judge["pairs"])))
    if shares:
        print_table(("ANSWERS", "SHARE", "95 % INTERVAL", "OF"), shares)


def _figure(found: dict[str, Any], unit: str, scale: float) -> tuple[str, str, str, str]:
    def said(value: float) -> str:
        number = value * scale
        return f"{number:.6f}" if unit == "$" else f"{number:.1f}"

    interval = "-"
    if found["low"] is not None:
        interval = f"{said(found['low'])} to {said(found['high'])}"
    words = [said(found[name]) + (f" {unit}" if unit else "") for name in ("before", "after")]
    return words[0], words[1], said(found["difference"]), interval


def _share(found: dict[str, Any]) -> tuple[str, str, str]:
    low, high = found["low"], found["high"]
    return f"{found['share']:.0%}", f"{low:.0%} to {high:.0%}", str(found["count"])
