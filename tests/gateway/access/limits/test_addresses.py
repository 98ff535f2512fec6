"""Whose address counts."""

import re

import pytest

from gateway.access.limits.addresses import client_of, network_of, parse_proxies, scheme_of

PROXIES = parse_proxies("10.0.0.0/8, ::1, 192.0.2.7")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),  # not a proxy of ours: anybody can write that
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # what the client itself wrote stands before
        ("10.1.2.3", "203.0.113.9, 10.9.9.9, 192.0.2.7", "203.0.113.9"),
        ("10.1.2.3", "10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "203.0.113.9, nonsense", "10.1.2.3"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("::ffff:10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "1.2.3.4:5678", "1.2.3.4"),
        ("10.1.2.3", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.1.2.3", "[2001:db8::1]", "2001:db8::1"),
        ("10.1.2.3", "[fe80::1%eth0]:443", "fe80::1%eth0"),
        ("10.1.2.3", "203.0.113.9:80, 10.9.9.9:4711, [::1]:4711", "203.0.113.9"),
    ],
)
def test_the_client_behind_trusted_proxies_is_the_last_address_that_is_none_of_theirs(peer, forwarded_for, client):
    assert client_of(peer, forwarded_for, PROXIES) == client


@pytest.mark.parametrize(
    "hop",
    [
        *("nonsense", "unknown", "_hidden", ":80", "[]:80", "[", "[2001:db8::1", "2001:db8::1]:443", "[[::2]]:1"),
        *("1.2.3.4:", "1.2.3.4:port", "1.2.3.4:123456", "1.2.3.4:5:6", "[1.2.3.4:5]:6", "1.2.3.4.5", "[::2]443", "[::2]:443x"),
        *("1.2.3.4 5", "1.2.3.4:\u0661", '"1.2.3.4"', "for=1.2.3.4", "1.2.3.4:5" + "0" * 100),
    ],
)
def test_what_is_no_address_leaves_the_address_of_the_proxy(hop):
    assert client_of("10.1.2.3", hop, PROXIES) == "10.1.2.3"
    assert client_of("10.1.2.3", f"203.0.113.9, {hop}", PROXIES) == "10.1.2.3", "what stands before is the client's own word"


def test_without_trusted_proxies_only_the_connection_counts():
    assert client_of("10.1.2.3", "203.0.113.9", ()) == "10.1.2.3"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9/32"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("a socket", "unknown"),
    ],
)
def test_an_ipv4_address_counts_for_itself_and_an_ipv6_one_for_its_network(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.0/33", "'10.0.0.0/33' is none"),
        ("::1, proxy.example", "'proxy.example' is none"),
        ("10.0.0.1/8", "'10.0.0.1/8' is an address in 10.0.0.0/8, and no network"),
    ],
)
def test_a_wrong_list_of_proxies_says_which_part_is_wrong(text, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        parse_proxies(text)


def test_what_is_too_long_for_an_address_is_none_and_is_not_kept():
    assert client_of("10.0.0.1", "fe80::1%" + "x" * 10_000, parse_proxies("10.0.0.0/8")) == "10.0.0.1"
    assert network_of("fe80::1%" + "x" * 10) == "fe80::/64"


@pytest.mark.parametrize(
    ("peer", "scheme", "forwarded_proto", "expected"),
    [
        ("10.1.2.3", "http", "https", "https"),
        ("10.1.2.3", "https", "http", "http"),
        ("10.1.2.3", "http", "", "http"),
        ("10.1.2.3", "http", "http, HTTPS", "https"),  # what the client itself wrote stands before
        ("10.1.2.3", "http", "javascript", "http"),
        ("198.51.100.1", "http", "https", "http"),  # not a proxy of ours
    ],
)
def test_the_scheme_is_what_the_last_proxy_says_if_it_is_ours(peer, scheme, forwarded_proto, expected):
    assert scheme_of(peer, scheme, forwarded_proto, PROXIES) == expected
