"""Where a caller's server may be: URLs that are taken, addresses that are dialled."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import InvalidValue
from gatemill.policy.addresses import URL_CHARS_MAX, check_url, may_dial, networks
from odd_urls import INSIDE, ODD

LOOPBACK = networks(["127.0.0.0/8"])


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_on_the_public_internet_is_never_dialled(address):
    assert not may_dial(address, 443, ())


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "100.63.0.1",
        "168.63.129.15",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1111",
        "2a00:1450::1",
    ],
)
def test_a_public_address_is_dialled_on_the_ports_of_the_web(address):
    assert may_dial(address, 443, ())
    assert may_dial(address, 80, ())
    for port in (0, 22, 25, 6379, 8080, 8443, 65_535):
        assert not may_dial(address, port, ())


@given(st.ip_addresses(v=4))
def test_whatever_python_knows_to_be_private_is_refused(address: ipaddress.IPv4Address):
    if not address.is_global:
        assert not may_dial(str(address), 443, ())


@given(st.ip_addresses(v=4))
def test_no_form_of_ipv4_inside_ipv6_is_dialled(address: ipaddress.IPv4Address):
    number = int(address)
    for text in (
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF))),
    ):
        assert not may_dial(text, 443, ()), text


def test_a_private_network_that_is_allowed_has_every_port_but_the_privileged():
    assert may_dial("127.0.0.1", 443, LOOPBACK)
    assert may_dial("127.0.0.1", 80, LOOPBACK)
    assert may_dial("127.9.9.9", 1024, LOOPBACK)
    assert not may_dial("127.0.0.1", 22, LOOPBACK)
    assert not may_dial("10.0.0.1", 443, LOOPBACK)
    assert not may_dial("::1", 443, LOOPBACK)
    assert not may_dial("::ffff:127.0.0.1", 443, LOOPBACK)
    assert may_dial("::1", 8080, networks(["::1/128"]))


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("169.254.0.0/16", "169.254.169.254"),
        ("168.63.129.0/24", "168.63.129.16"),
        ("100.64.0.0/10", "100.100.100.200"),
        ("192.0.0.0/24", "192.0.0.192"),
        ("fd00::/8", "fd00:ec2::254"),
    ],
)
def test_what_a_cloud_tells_its_machines_is_out_of_reach_even_in_an_allowed_network(
    network, address
):
    allowed = networks([network])
    assert not may_dial(address, 80, allowed)
    assert may_dial(str(allowed[0][1]), 80, allowed)


def test_an_address_of_one_link_only_is_not_dialled():
    assert not may_dial("fe80::1%eth0", 80, networks(["fe80::/10"]))


@pytest.mark.parametrize("value", ["10.1.0.1/16", "nonsense", "", "10.0.0.0/33", "localhost"])
def test_a_network_that_is_none_is_named(value):
    with pytest.raises(InvalidValue, match="is no network") as caught:
        networks([value])
    assert caught.value.param == "webhooks.private_addresses"


# --- URLs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ODD)
def test_an_odd_url_is_refused_and_no_address_is_named(url):
    with pytest.raises(InvalidValue) as caught:
        check_url(url, (), "callback_url")
    assert caught.value.param == "callback_url"
    assert caught.value.message.startswith("`callback_url`: this URL ")
    for word in ("127.", "169.254", "10.", "::1", "private", "loopback", "internal"):
        assert word not in caught.value.message.replace("private_addresses", "")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://example.com", (True, "example.com", 443, "/")),
        ("HTTP://Example.COM:80?a=b", (False, "example.com", 80, "/?a=b")),
        ("https://example.com:443/x/y?z=1&w=%20", (True, "example.com", 443, "/x/y?z=1&w=%20")),
        ("https://xn--bcher-kva.example/", (True, "xn--bcher-kva.example", 443, "/")),
        ("https://my_service.example.com/a", (True, "my_service.example.com", 443, "/a")),
        ("https://8.8.8.8/a", (True, "8.8.8.8", 443, "/a")),
        ("https://[2606:4700:0:0::1111]/a", (True, "2606:4700::1111", 443, "/a")),
        ("http://127.0.0.1.nip.io/", (False, "127.0.0.1.nip.io", 80, "/")),
        ("https://example.com:80/", (True, "example.com", 80, "/")),
        ("https://example.com//x", (True, "example.com", 443, "//x")),
    ],
)
def test_a_url_is_taken_apart_once(url, place):
    found = check_url(url, (), "url")
    assert (found.secure, found.host, found.port, found.path) == place
    assert (found.address is not None) == (found.host[0] in "82")


def test_where_a_private_network_is_allowed_its_names_and_ports_are():
    assert check_url("http://localhost:8080/x", LOOPBACK, "url").port == 8080
    assert check_url("http://sink:9000/x", LOOPBACK, "url").host == "sink"
    assert check_url("http://127.0.0.1:9000/", LOOPBACK, "url").address is not None
    for url in ("http://localhost:22/", "http://10.0.0.1:9000/", "http://8.8.8.8:9000/"):
        with pytest.raises(InvalidValue):
            check_url(url, LOOPBACK, "url")


def test_the_longest_url_is_taken_and_a_longer_one_is_not():
    url = "https://example.com/"
    assert check_url(url.ljust(URL_CHARS_MAX, "x"), (), "url")
    with pytest.raises(InvalidValue, match="2048"):
        check_url(url.ljust(URL_CHARS_MAX + 1, "x"), (), "url")


@given(st.text(max_size=80))
def test_any_text_is_taken_apart_or_refused(text):
    for url in (text, f"http://{text}", f"https://{text}.com/", f"http://[{text}]/"):
        try:
            place = check_url(url, (), "url")
        except InvalidValue:
            continue
        assert place.host.isascii()
        assert not set(place.path) & set(" \r\n\t\\")
        assert place.port in (80, 443)
