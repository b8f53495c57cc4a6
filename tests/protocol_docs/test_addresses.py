import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import SourceRefused
from protocol_docs.addresses import check_address, check_host, parse_allowed

REFUSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]


@pytest.mark.parametrize("text", REFUSED)
def test_addresses_that_are_not_public_are_refused(text):
    with pytest.raises(SourceRefused):
        check_address(text)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text):
    assert check_address(text) == ipaddress.ip_address(text)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_however_it_is_wrapped(address):
    outcomes = set()
    for text in (str(address), f"::ffff:{address}", f"64:ff9b::{address}"):
        try:
            check_address(text)
            outcomes.add("passes")
        except SourceRefused:
            outcomes.add("refused")
    assert len(outcomes) == 1


@given(st.ip_addresses())
def test_nothing_passes_that_the_standard_library_calls_special(address):
    embedded = getattr(address, "ipv4_mapped", None) or address
    if (
        embedded.is_loopback
        or embedded.is_private
        or embedded.is_link_local
        or embedded.is_multicast
        or embedded.is_reserved
    ):
        nat64 = address.version == 6 and address in ipaddress.ip_network("64:ff9b::/96")
        if not nat64:
            with pytest.raises(SourceRefused):
                check_address(str(address))


def test_loopback_and_private_addresses_pass_where_they_are_allowed_and_only_there():
    loopback, private = parse_allowed(["loopback"]), parse_allowed(["private"])
    assert check_address("127.0.0.1", loopback)
    assert check_address("::1", loopback)
    assert check_address("::ffff:127.0.0.1", loopback)
    assert check_address("10.1.2.3", private)
    assert check_address("fd12::1", private)
    for text, allowed in (
        ("10.1.2.3", loopback),
        ("127.0.0.1", private),
        ("169.254.169.254", [*loopback, *private]),
        ("fd00:ec2::254", private),
        ("100.100.100.200", private),
    ):
        with pytest.raises(SourceRefused):
            check_address(text, allowed)


def test_a_network_can_be_allowed_by_name():
    allowed = parse_allowed(["10.1.0.0/16", "fd00:ec2::254/128"])
    assert check_address("10.1.255.1", allowed)
    assert check_address("fd00:ec2::254", allowed)
    with pytest.raises(SourceRefused):
        check_address("10.2.0.1", allowed)


@pytest.mark.parametrize("word", ["everything", "10.0.0.0/33", "10.0.0.1/8", ""])
def test_what_is_neither_a_class_nor_a_network_cannot_be_allowed(word):
    with pytest.raises(ValueError):
        parse_allowed([word])


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.0x1",
        "1.2.3",
        "1.2.3.4.5",
        "example.com.0x10",
        "",
        ".",
        "exa mple.com",
        "example.com%00",
        "ex\u00e4mple.com",
        "\u0661\u0662\u0667.0.0.1",
        "localhost\x00.example.com",
        "a/b",
        "a:b",
    ],
)
def test_hosts_that_are_addresses_in_disguise_are_refused_before_they_are_resolved(host):
    with pytest.raises(SourceRefused):
        check_host(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "localhost", "1.2.3.4", "::1", "xn--exmple-cua.com", "a_b.example", "3com.com", "127.0.0.1."],
)
def test_plain_names_and_addresses_pass_to_the_resolver(host):
    check_host(host)
