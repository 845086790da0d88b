"""The index names every page, every link leads somewhere, and the change log is what changes/ says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = (DOCS / "README.md").read_text()
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md")], key=lambda path: str(path.relative_to(ROOT))
)
# Made by the lead from a running dashboard; pages may show them before they are there.
PICTURES = "screenshots/"


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maker", ROOT / "scripts/make_changelog.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_index_names_every_guide_and_page():
    linked = {(DOCS / link).resolve() for link, _ in LINK.findall(INDEX)}
    pages = [*DOCS.glob("*.md"), *(DOCS / "guides").glob("*.md")]
    assert [page.name for page in sorted(pages) if page.resolve() not in linked] == ["README.md"]


def _anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    for found in LINK.findall(text):
        link = found[0] or found[1]
        if re.match(r"[a-z]+:", link) or PICTURES in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link


def test_the_change_log_holds_every_fragment():
    made = maker()
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text == made.composed(text, ROOT / "changes"), "run: python scripts/make_changelog.py"


def test_a_release_keeps_those_before_it(tmp_path: Path):
    made = maker()
    (tmp_path / "README.md").write_text("how")
    (tmp_path / "12.fixed.md").write_text("Twelve.\n")
    (tmp_path / "3.fixed.md").write_text("Three.\n")
    (tmp_path / "4.added.md").write_text("Four.\n")
    first = made.composed("", tmp_path, "0.1.0, 2026-11-21")
    assert first.endswith(
        "## 0.1.0, 2026-11-21\n\n### Added\n\nFour.\n\n### Fixed\n\nThree.\n\nTwelve.\n"
    )
    for name in ("12.fixed.md", "3.fixed.md"):
        (tmp_path / name).unlink()
    (tmp_path / "4.added.md").write_text("Five.\n")
    draft = made.composed(first, tmp_path)
    assert draft == made.composed(draft, tmp_path)
    second = made.composed(draft, tmp_path, "0.2.0, 2026-12-01")
    assert re.findall(r"^## (.*)", second, re.MULTILINE) == [
        "0.2.0, 2026-12-01",
        "0.1.0, 2026-11-21",
    ]
    (tmp_path / "4.improved.md").write_text("Better.\n")
    with pytest.raises(ValueError, match=r"4\.improved\.md: name it ISSUE\.KIND\.md"):
        made.fragments(tmp_path)


def test_the_comparison_is_dated_and_says_what_others_do_better():
    from gatemill.settings.vendors import vendors

    text = (DOCS / "comparison.md").read_text()
    assert re.search(r"^Read on 20\d\d-\d\d-\d\d", text, re.MULTILINE)
    assert "## What they do better than we do" in text
    kinds = set(vendors()) - {"echo", "builtin", "local"}
    assert len(kinds) == 14
    assert "Fourteen kinds" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert {row.count("|") for row in rows} == {11}
    assert not re.search(r"\|\s*\|", "".join(row[3:] for row in rows[1:]))
