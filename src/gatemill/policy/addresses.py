"""Where a caller's server may be: which URLs are taken, and which addresses are dialled for them.

Rule: a table of our own, by what is refused in IPv4 and by what is allowed in IPv6. `is_global` of
Python lets NAT64, multicast and 168.63.129.16 through and differs between its versions (2026-11-20).
Source: the special-purpose registries of IANA, and the table of smokescreen.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_CHARS_MAX = 2048
WEB_PORTS = (80, 443)
_PRIVILEGED_PORTS = 1024  # below it only the two of the web, even in a private network

_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier's NAT; the metadata of one cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the host of a virtual machine in Azure
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; the metadata of one cloud
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# All of IPv6 that is routed. Outside of it lie loopback, mapped and compatible IPv4, NAT64, unique
# local, link-local, site-local and multicast addresses.
_ROUTED_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address may be inside
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # the test network of former days
        "3fff::/20",  # documentation
    )
)
# What a cloud tells a machine about itself, its passwords among it: refused also where a private
# network that holds it is allowed.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
# Names that mean a machine near us wherever they are asked.
_LOCAL_NAMES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp")

_ELSEWHERE = (
    "leads to a place that is not on the public web, ports 80 and 443 (the option"
    " `webhooks.private_addresses` allows more)"
)
_URL = re.compile(r"(https?)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_ODD = re.compile(r'[\\"<>^`{|}]')
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class Place(Struct, frozen=True):
    """A URL taken apart, once and for all: nothing reads the text again."""

    secure: bool
    host: str  # a name in small letters, or the text of an address
    port: int
    path: str  # with its query
    address: Address | None = None  # where the URL names one


def networks(values: Sequence[str]) -> tuple[Network, ...]:
    """The networks of `webhooks.private_addresses`. Raises InvalidValue."""
    found = []
    for value in values:
        try:
            found.append(ip_network(value))
        except ValueError:
            raise InvalidValue(
                f'"{value}" is no network. Write 10.1.0.0/16, 127.0.0.0/8 or fd00:1::/64.',
                param="webhooks.private_addresses",
            ) from None
    return tuple(found)


def may_dial(address: str, port: int, private: Sequence[Network]) -> bool:
    """Whether a connection to this address and port is made for a caller.

    Ports other than those of the web are for `private` networks only.
    """
    found = ip_address(address)
    if found in _METADATA or (isinstance(found, IPv6Address) and found.scope_id is not None):
        return False
    if any(found in network for network in private):
        return port in WEB_PORTS or port >= _PRIVILEGED_PORTS
    return port in WEB_PORTS and _is_public(found)


def check_url(url: str, private: Sequence[Network], param: str) -> Place:
    """The URL taken apart. Raises InvalidValue, which names neither an address nor a rule of ours.

    No name is looked up: what it leads to is asked when it is dialled.
    """
    if len(url) > URL_CHARS_MAX:
        raise _refused(param, f"holds more than {URL_CHARS_MAX} characters")
    if not url.isascii() or not url.isprintable() or " " in url or _ODD.search(url):
        raise _refused(param, "holds characters that belong percent-encoded, or as xn-- in a name")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refused(param, "is no http or https URL without a fragment")
    secure = parts[1].lower() == "https"
    host, port_text = _host_and_port(parts[2].lower(), param)
    port = _port(port_text, secure=secure, param=param)
    address = _address(host, param)
    if address is None:
        _check_name(host, param, local_too=bool(private))
    allowed = port in WEB_PORTS or (bool(private) and port >= _PRIVILEGED_PORTS)
    if not allowed or (address is not None and not may_dial(str(address), port, private)):
        raise _refused(param, _ELSEWHERE)
    path = (parts[3] or "/") + (parts[4] or "")
    return Place(secure, str(address or host), port, path, address)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    return address in _ROUTED_6 and not any(address in network for network in _REFUSED_6)


def _host_and_port(authority: str, param: str) -> tuple[str, str | None]:
    """The host, with the brackets of IPv6, and what stands behind the colon, None without one."""
    if "@" in authority:
        raise _refused(param, "holds a user or a password")
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        if bracket and (not rest or rest.startswith(":")):
            return host + "]", rest[1:] if rest else None
        raise _refused(param, "has no valid host")
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _port(text: str | None, *, secure: bool, param: str) -> int:
    if text is None:
        return 443 if secure else 80
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise _refused(param, "has no valid port")
    return int(text)


def _address(host: str, param: str) -> Address | None:
    """The address that a host is; None for a name. Other ways to write an address are refused."""
    bracketed = host.startswith("[")
    if not bracketed and not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    literal = host[1:-1] if bracketed else host
    try:
        found = ip_address(literal)
    except ValueError:
        raise _refused(param, "names an address in an odd form") from None
    if (found.version == 6) is not bracketed or "%" in literal:
        raise _refused(param, "names an address in an odd form")
    return found


def _check_name(host: str, param: str, *, local_too: bool) -> None:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(param, "has no valid host")
    if not local_too and (len(labels) == 1 or labels[-1] in _LOCAL_NAMES):
        raise _refused(param, _ELSEWHERE)


def _refused(param: str, why: str) -> InvalidValue:
    return InvalidValue(
        f"`{param}`: this URL {why}. Send one such as https://example.com/hooks/gatemill.",
        param=param,
    )
