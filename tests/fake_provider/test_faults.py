"""The catalogue, the guide and the tests name the same faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatemill.fake_provider.faults import CATALOGUE, GROUPS, table

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "try-failure.md"


def test_guide_shows_the_catalogue_as_it_is() -> None:
    guide = GUIDE.read_text()
    begin, end = "<!-- faults: begin -->\n", "<!-- faults: end -->"
    shown = guide.partition(begin)[2].partition(end)[0]
    assert shown.strip() == table().strip(), (
        "copy the output of gatemill.fake_provider.faults.table()"
    )


def test_no_two_faults_share_a_name() -> None:
    assert len(CATALOGUE) == sum(len(group) for _, group in GROUPS)


@pytest.mark.parametrize("fault", CATALOGUE.values(), ids=lambda fault: fault.name)
def test_every_fault_has_a_sentence_and_a_test_that_uses_it(fault) -> None:
    assert fault.sentence.endswith(".")
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tests = tests.replace('f"fake+{fault}"', "").replace(Path(__file__).read_text(), "")
    assert re.search(rf'["+]{re.escape(fault.name)}\b[^"\n]*"', tests)


def test_usage_shows_whether_the_value_may_be_left_out() -> None:
    usages = [CATALOGUE[name].usage for name in ("hang", "status", "cut")]
    assert usages == ["hang", "status=STATUS", "cut[=COUNT]"]
