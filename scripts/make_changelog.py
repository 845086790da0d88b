"""CHANGELOG.md from changes/: what is not released yet stands first, what was released stays as it is.

python scripts/make_changelog.py                    the fragments under "Not released yet"
python scripts/make_changelog.py --release 0.2.0    the same under that version and today; the fragments can be deleted
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
CHANGES = ROOT / "changes"
KINDS = {"added": "Added", "changed": "Changed", "fixed": "Fixed", "removed": "Removed"}
OPEN = "Not released yet"
_HEAD = """# Changes

What users see, the newest first. Made by `scripts/make_changelog.py` from `changes/`.
"""
_NAME = re.compile(r"^(\d+)\.(\w+)\.md$")


def fragments(folder: Path) -> dict[str, list[str]]:
    """The texts of each kind, in the order of their issues. Raises ValueError for a file that is none."""
    found: dict[str, list[tuple[int, str]]] = {}
    for path in folder.glob("*.md"):
        if path.name == "README.md":
            continue
        name = _NAME.match(path.name)
        if name is None or name[2] not in KINDS:
            message = f"changes/{path.name}: name it ISSUE.KIND.md, with KIND of {', '.join(KINDS)}"
            raise ValueError(message)
        found.setdefault(name[2], []).append((int(name[1]), path.read_text().strip()))
    return {kind: [text for _, text in sorted(found[kind])] for kind in KINDS if kind in found}


def section(title: str, texts: dict[str, list[str]]) -> str:
    """One release, ending in a line break."""
    parts = [f"## {title}"]
    for kind, each in texts.items():
        parts += [f"### {KINDS[kind]}", *each]
    return "\n\n".join(parts) + "\n"


def released(text: str) -> str:
    """The sections of earlier releases in a change log."""
    titles = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return "\n".join(one.strip() + "\n" for one in titles if not one.startswith(f"## {OPEN}\n"))


def composed(text: str, folder: Path, title: str = OPEN) -> str:
    """The whole change log, from the present one and the fragments."""
    texts = fragments(folder)
    new = [section(title, texts)] if texts else []
    return "\n".join([_HEAD, *new, *filter(None, [released(text)])])


def main() -> None:
    """CHANGELOG.md is written."""
    parser = argparse.ArgumentParser(description="Write CHANGELOG.md from changes/.")
    parser.add_argument("--release", metavar="VERSION", help="the fragments are of this version")
    version = parser.parse_args().release
    today = dt.datetime.now(dt.UTC).date().isoformat()
    before = CHANGELOG.read_text() if CHANGELOG.exists() else ""
    title = f"{version}, {today}" if version else OPEN
    CHANGELOG.write_text(composed(before, CHANGES, title))
    print(CHANGELOG)


if __name__ == "__main__":
    main()
