"""Addresses of Redis."""

from __future__ import annotations

import pytest

from gatemill.core.errors import StartRefused
from gatemill.core.redis_address import Address, address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", Address("127.0.0.1", 6379, 0, "", "", tls=False)),
        ("redis://h", Address("h", 6379, 0, "", "", tls=False)),
        ("redis://h:1/2", Address("h", 1, 2, "", "", tls=False)),
        ("rediss://u:p%40@h/", Address("h", 6379, 0, "u", "p@", tls=True)),
        ("redis://:p@[::1]:7", Address("::1", 7, 0, "", "p", tls=False)),
    ],
)
def test_a_url_names_a_server_and_a_database(url, expected):
    assert address(url) == expected
    assert expected.password == "" or expected.password not in expected.label.split(":")


@pytest.mark.parametrize(
    "url", ["http://h", "redis://h/x", "redis://h:0", "redis://h:99999", "redis://h?a=b", "h"]
)
def test_anything_else_is_refused_with_the_remedy(url):
    with pytest.raises(StartRefused, match="redis://"):
        address(url)
