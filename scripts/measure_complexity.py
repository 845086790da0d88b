"""Writes into docs/guides/choose-models.md how often the complexity of a prompt is judged right.

Rule: three lots are told apart: prompts on which the weights were set, prompts kept out of that, and
prompts written after it, which nobody may tune for. Run this after changing a weight or a word.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from gatemill.policy import complexity
from gatemill.policy.choose import unit

ROOT = Path(__file__).parents[1]
PROMPTS = ROOT / "tests" / "policy" / "complexity_set.jsonl"
GUIDE = ROOT / "docs" / "guides" / "choose-models.md"
BEGIN, END = "<!-- complexity: begin -->", "<!-- complexity: end -->"
THRESHOLD = 0.5
LABELS = ("simple", "hard")
LOTS = {
    "kept out": "Kept out while the weights were set",
    "last": "Written afterwards, to be difficult",
    "seen": "The weights were set on these",
}
Row = dict[str, Any]


def prompts() -> list[Row]:
    """The labelled prompts."""
    return [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]


def lot(row: Row) -> str:
    """Which lot a prompt is in. The prompt itself decides, so that it stays there."""
    if row.get("round") == "last":
        return "last"
    return "kept out" if unit(f"split\0{row['prompt']}") >= 0.5 else "seen"


def judged(row: Row) -> str:
    """What the gateway says of a prompt."""
    body = {"messages": [{"role": "user", "content": row["prompt"]}]}
    return "hard" if complexity.read(body).score >= THRESHOLD else "simple"


def confusion(rows: list[Row]) -> Counter[tuple[str, str]]:
    """How often each label was judged as what."""
    return Counter((row["label"], judged(row)) for row in rows)


def right(found: Counter[tuple[str, str]]) -> float:
    """The share that was judged as it is labelled."""
    return sum(found[label, label] for label in LABELS) / sum(found.values())


def table() -> str:
    """What stands between the marks."""
    lines = [
        "| Prompts | labelled | judged simple | judged hard | right |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, title in LOTS.items():
        found = confusion([row for row in prompts() if lot(row) == name])
        for label in LABELS:
            share = f"{right(found):.0%}" if label == LABELS[0] else ""
            counts = " | ".join(str(found[label, each]) for each in LABELS)
            lines.append(f"| {title if share else ''} | {label} | {counts} | {share} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The guide with the numbers of now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Writes the guide and shows the numbers."""
    GUIDE.write_text(page(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
