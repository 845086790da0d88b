from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest

from gatemill.settings import Vendor, vendors


def spoken(vendor: Vendor) -> str:
    """What runs in this process answers in OpenAI's words."""
    return "openai" if vendor.dialect == "local" else vendor.dialect


@pytest.mark.parametrize("vendor", vendors().values(), ids=vendors())
def test_every_row_can_be_used_and_says_where_it_comes_from(vendor: Vendor) -> None:
    assert find_spec(f"gatemill.providers.{spoken(vendor)}")
    assert vendor.source == "built in" or urlsplit(vendor.source).scheme == "https"
    assert date(2026, 1, 1) < vendor.checked <= datetime.now(UTC).date()
    if vendor.base_url:
        parts = urlsplit(vendor.base_url)
        is_local = parts.hostname == "127.0.0.1"
        assert parts.scheme == ("http" if is_local else "https")
        assert not vendor.base_url.endswith("/")
        assert is_local or vendor.key_variables
    elif vendor.auth != "none":
        assert vendor.base_url_example
    assert not vendor.probe or "127.0.0.1" in vendor.base_url


def test_no_two_vendors_claim_the_same_model_names() -> None:
    patterns = [pattern for vendor in vendors().values() for pattern in vendor.patterns]
    assert len(patterns) == len(set(patterns))


def test_native_operations_are_some_that_the_dialect_has() -> None:
    import importlib

    for vendor in vendors().values():
        dialect = importlib.import_module(f"gatemill.providers.{spoken(vendor)}")
        if vendor.native is not None:
            assert set(vendor.native) <= dialect.NATIVE | set(dialect._PATHS), vendor.kind


def test_the_rows_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        vendors()["x"] = vendors()["openai"]
