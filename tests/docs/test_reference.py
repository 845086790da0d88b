"""docs/errors.md and docs/metrics.md are what the code says."""

import sys
from pathlib import Path

import pytest

from gatemill.describe import refusals

ROOT = Path(__file__).parents[2]
REMEDY = "Run `just docs` and review the difference."


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import make_reference

        yield make_reference
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def test_the_page_of_errors_is_current(script):
    assert script.errors_page() == script.ERRORS.read_text(), REMEDY


async def test_the_page_of_metrics_is_current(script, tmp_path):
    assert await script.metrics_page(tmp_path) == script.METRICS.read_text(), REMEDY


def test_every_public_code_has_one_row(script):
    page = script.errors_page()
    for kind in refusals.public():
        assert page.count(f"| `{kind.code}` | {kind.status} |") == 1
        assert refusals.meaning(kind) in page


@pytest.mark.parametrize(
    ("code", "retries"),
    [
        ("invalid_value", "no"),
        ("invalid_api_key", "no"),
        ("request_timeout", "yes"),
        ("rate_limit_exceeded", "yes"),
        ("insufficient_quota", "no"),
        ("internal_error", "yes"),
        ("overloaded", "yes"),
    ],
)
def test_whether_sdks_retry_is_said(script, code, retries):
    (row,) = [line for line in script.errors_page().splitlines() if line.startswith(f"| `{code}`")]
    assert row.split(" | ")[4] == retries


def test_a_metric_shows_all_its_labels(script):
    page = script.METRICS.read_text()
    assert "| `gatemill_requests_total` | counter |  | `model`, `operation`, `provider`" in page
    assert "| `gatemill_overhead_seconds` | histogram | seconds | `operation` |" in page
