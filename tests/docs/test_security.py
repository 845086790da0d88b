"""The page on security names a test for each control, and the promises have their page."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]


def test_every_control_has_a_test_that_exists():
    assert len(ROWS) > 20
    named = [re.findall(r"`(tests/[\w/.]+)`", row) for row in ROWS]
    assert [row for row, tests in zip(ROWS, named, strict=True) if len(tests) != 1] == []
    assert [path for tests in named for path in tests if not (ROOT / path).is_file()] == []


def test_whoever_finds_a_hole_is_told_where_to_go():
    page = (ROOT / "SECURITY.md").read_text()
    assert "Report a vulnerability" in page
    assert (ROOT / re.findall(r"\]\((docs/[\w.]+)\)", page)[0]).is_file()
    assert "../SECURITY.md" in PAGE
