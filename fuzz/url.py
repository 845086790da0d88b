"""URLs of callers that we are to call. Rule: what is accepted is read alike by every other reader."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from urllib.parse import urlsplit

import httptools
import yarl

from gatemill.core.errors import InvalidValue
from gatemill.policy.addresses import check_url, may_dial


def one(data: bytes) -> None:
    """`data`: the URL."""
    url = data.decode("utf-8", "surrogateescape")
    try:
        place = check_url(url, (), "callback_url")
    except InvalidValue:
        return
    assert place.port in (80, 443), place
    if place.address is not None:
        assert may_dial(str(place.address), place.port, ()), place
    else:
        assert not _is_address(place.host), place
    ours = (place.host, place.port)
    standard = urlsplit(url)
    port = standard.port or (443 if place.secure else 80)
    assert (_plain(standard.hostname), port) == ours, standard
    assert standard.username is None
    other = yarl.URL(url)
    assert (_plain(other.host), other.port) == ours, other
    with contextlib.suppress(httptools.HttpParserInvalidURLError):  # it knows no `_` in names
        third = httptools.parse_url(data)
        assert _plain(third.host.decode().lower()) == place.host, third.host


def _plain(host: str | None) -> str:
    """A host with its address, if it is one, in the usual form."""
    return str(ip_address(host)) if host and _is_address(host) else host or ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
