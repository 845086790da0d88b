"""What a failure tells its caller of time."""

from __future__ import annotations

import pytest

from gatemill.core.errors import RateLimited
from gatemill.wire import failures


@pytest.mark.parametrize(
    ("wait_s", "whole", "milliseconds"),
    [(33.82761, 34, 33828), (2.0, 2, 2000), (0.0004, 1, 1), (0.0, 1, 0)],
)
def test_who_waits_as_long_as_told_is_not_too_early(wait_s: float, whole: int, milliseconds: int):
    said = failures.header_lines(RateLimited("slow", retry_after_s=wait_s)).decode()
    assert f"retry-after: {whole}\r\n" in said
    assert f"retry-after-ms: {milliseconds}\r\n" in said
