"""docs/cli.md is what the command tree says."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_commands_is_current():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import make_cli_doc
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    assert make_cli_doc.page() == make_cli_doc.PAGE.read_text(), (
        "Run `just docs` and review the difference."
    )
