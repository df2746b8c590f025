"""Which addresses a source may be fetched from, as a table."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from worker.ingestion.sources.addresses import AddressRefused, canonical, host_of, is_public, place_of, refusal_of

PUBLIC = ("8.8.8.8",)

#: The URL, the addresses that its host has, and why it is refused.
REFUSED = [
    ("https://localhost/", ("127.0.0.1",), "public internet"),
    ("https://localhost/", ("::1",), "public internet"),
    ("https://127.0.0.1/", ("127.0.0.1",), "public internet"),
    ("https://127.1/", ("127.0.0.1",), "plain IP"),
    ("https://127.255.255.254/", ("127.255.255.254",), "public internet"),
    ("https://0.0.0.0/", ("0.0.0.0",), "public internet"),
    ("https://0/", ("0.0.0.0",), "plain IP"),
    ("https://2130706433/", ("127.0.0.1",), "plain IP"),
    ("https://0x7f000001/", ("127.0.0.1",), "plain IP"),
    ("https://0x7f.0.0.1/", ("127.0.0.1",), "plain IP"),
    ("https://0177.0.0.1/", ("127.0.0.1",), "plain IP"),
    ("https://127.0.0.0x1/", ("127.0.0.1",), "plain IP"),
    ("https://[::1]/", ("::1",), "public internet"),
    ("https://[::]/", ("::",), "public internet"),
    ("https://[::ffff:127.0.0.1]/", ("::ffff:127.0.0.1",), "public internet"),
    ("https://[::ffff:a9fe:a9fe]/", ("::ffff:169.254.169.254",), "public internet"),
    ("https://[::127.0.0.1]/", ("::127.0.0.1",), "public internet"),
    ("https://[::ffff:0:127.0.0.1]/", ("::ffff:0:127.0.0.1",), "public internet"),
    ("https://[64:ff9b::127.0.0.1]/", ("64:ff9b::127.0.0.1",), "public internet"),
    ("https://[64:ff9b::a9fe:a9fe]/", ("64:ff9b::a9fe:a9fe",), "public internet"),
    ("https://[64:ff9b:1::8.8.8.8]/", ("64:ff9b:1::8.8.8.8",), "public internet"),
    ("https://[2002:7f00:1::]/", ("2002:7f00:1::",), "public internet"),
    ("https://[2001:0:0:0:0:0:80ff:fffe]/", ("2001::80ff:fffe",), "public internet"),
    ("https://[fe80::1]/", ("fe80::1",), "public internet"),
    ("https://[fe80::1%25eth0]/", ("fe80::1%eth0",), "plain IP"),
    ("https://[fc00::1]/", ("fc00::1",), "public internet"),
    ("https://[fd00:ec2::254]/", ("fd00:ec2::254",), "public internet"),
    ("https://[fec0::1]/", ("fec0::1",), "public internet"),
    ("https://[ff02::1]/", ("ff02::1",), "public internet"),
    ("https://[2001:db8::1]/", ("2001:db8::1",), "public internet"),
    ("https://169.254.169.254/latest/meta-data/", ("169.254.169.254",), "public internet"),
    ("https://metadata.google.internal/", ("169.254.169.254",), "public internet"),
    ("https://10.0.0.1/", ("10.0.0.1",), "public internet"),
    ("https://172.16.0.1/", ("172.16.0.1",), "public internet"),
    ("https://192.168.1.1/", ("192.168.1.1",), "public internet"),
    ("https://100.64.0.1/", ("100.64.0.1",), "public internet"),
    ("https://100.100.100.200/", ("100.100.100.200",), "public internet"),
    ("https://192.0.0.192/", ("192.0.0.192",), "public internet"),
    ("https://168.63.129.16/metadata", ("168.63.129.16",), "public internet"),
    ("https://198.18.0.1/", ("198.18.0.1",), "public internet"),
    ("https://224.0.0.1/", ("224.0.0.1",), "public internet"),
    ("https://224.0.1.129/", ("224.0.1.129",), "public internet"),
    ("https://240.0.0.1/", ("240.0.0.1",), "public internet"),
    ("https://255.255.255.255/", ("255.255.255.255",), "public internet"),
    ("https://public.example.org/", ("8.8.8.8", "10.0.0.1"), "10.0.0.1"),
    ("https://nowhere.example.org/", (), "no address"),
    ("http://example.org/", PUBLIC, "only https"),
    ("ftp://example.org/", PUBLIC, "only https"),
    ("file:///etc/passwd", PUBLIC, "only https"),
    ("gopher://example.org/", PUBLIC, "only https"),
    ("//example.org/", PUBLIC, "only https"),
    ("https://user@example.org/", PUBLIC, "user or a password"),
    ("https://example.org@127.0.0.1/", PUBLIC, "user or a password"),
    ("https://user:secret@example.org/", PUBLIC, "user or a password"),
    ("https://example.org:99999/", PUBLIC, "not an address"),
    ("https://example.org:port/", PUBLIC, "not an address"),
    ("https://[::1/", PUBLIC, "not an address"),
    ("https:///path", PUBLIC, "plain IP"),
    ("https://exa mple.org/", PUBLIC, "plain IP"),
    ("https://example.org\\@127.0.0.1/", PUBLIC, "user or a password"),
    ("https://example.org\\.evil.test/", PUBLIC, "plain IP"),
    ("https://-x.example.org/", PUBLIC, "plain IP"),
    ("https://a..b/", PUBLIC, "not an address"),
    (f"https://{'a' * 64}.org/", PUBLIC, "not an address"),
    (f"https://{'a.' * 130}org/", PUBLIC, "plain IP"),
    ("https://①②⑦.0.0.1/", ("8.8.8.8", "127.0.0.1"), "127.0.0.1"),
    ("https://example。org/", ("192.168.0.1",), "192.168.0.1"),
]

ACCEPTED = [
    ("https://example.org/", PUBLIC),
    ("https://EXAMPLE.org./sitemap.xml?x=1", PUBLIC),
    ("https://docs.example.org:8443/", ("8.8.8.8", "2606:4700::1111")),
    ("https://8.8.8.8/", PUBLIC),
    ("https://[2606:4700::1111]/", ("2606:4700::1111",)),
    ("https://six.example.org/", ("64:ff9b::8.8.8.8",)),
    ("https://bücher.example/", PUBLIC),
    ("https://my_docs.example.org/", PUBLIC),
]


@pytest.mark.parametrize(("url", "addresses", "reason"), REFUSED, ids=lambda value: str(value)[:50])
def test_an_address_that_is_not_the_public_internet_s_is_refused(
    url: str, addresses: tuple[str, ...], reason: str
) -> None:
    refusal = refusal_of(url, addresses, allow_private=False)
    assert refusal is not None
    assert reason in refusal
    assert "secret" not in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(("url", "addresses"), ACCEPTED)
def test_an_address_of_the_public_internet_is_accepted(url: str, addresses: tuple[str, ...]) -> None:
    assert refusal_of(url, addresses, allow_private=False) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "https://git.intern/", "http://[fd00::1]/"])
def test_the_owner_can_allow_the_own_network(url: str) -> None:
    assert refusal_of(url, ("127.0.0.1", "fd00::1", "10.0.0.1"), allow_private=True) is None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://u:p@intern/", "ext::sh", "https://2130706433/", ""])
def test_what_is_no_address_of_a_server_is_refused_to_the_owner_too(url: str) -> None:
    assert refusal_of(url, ("127.0.0.1",), allow_private=True) is not None


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1"])
def test_public_addresses_are_known_however_they_are_wrapped(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("https://Example.ORG:443", "https://example.org/"),
        ("https://example.org/a b/ü?q=ß#anchor", "https://example.org/a%20b/%C3%BC?q=%C3%9F"),
        ("https://example.org/%7Ex/%2F", "https://example.org/%7Ex/%2F"),
        ("https://bücher.example:8443/x", "https://xn--bcher-kva.example:8443/x"),
        ("http://[2606:4700::1111]:80/", "http://[2606:4700::1111]/"),
        ("https://example.org/a\tb\n", "https://example.org/ab"),
    ],
)
def test_an_address_has_one_spelling(address: str, same: str) -> None:
    assert canonical(address) == same
    assert canonical(same) == same


def test_host_and_port_are_read_as_a_client_reads_them() -> None:
    assert host_of("https://Docs.Example.org.:8443/x") == ("https", "docs.example.org", 8443)
    assert host_of("http://[::1]/") == ("http", "::1", 80)


async def test_a_name_without_an_address_is_refused_with_advice() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(AddressRefused, match="check its spelling"):
        await place_of("https://nowhere.example.org/", allow_private=True, lookup=unknown)


async def test_a_place_holds_each_address_once() -> None:
    async def twice(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "2606:4700::1111", "8.8.8.8"]

    place = await place_of("https://example.org/", allow_private=False, lookup=twice)
    assert (place.host, place.port, place.addresses) == ("example.org", 443, ("8.8.8.8", "2606:4700::1111"))
