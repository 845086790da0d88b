"""Where the server listens, and whose pages may come."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gatemill.settings import Server


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_origin_is_kept_in_small_letters(said, kept):
    assert Server(allowed_origins=(said,)).allowed_origins == (kept,)


@pytest.mark.parametrize(
    "said", ["*", "null", "app.example.com", "https://app.example.com/", "ftp://a", "https://", ""]
)
def test_what_is_no_origin_is_refused_with_an_example(said):
    with pytest.raises(ValidationError, match=r"https://app\.example\.com"):
        Server(allowed_origins=(said,))
