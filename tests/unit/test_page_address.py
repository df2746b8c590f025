"""A page by its path or its address, however a client spells it."""

from __future__ import annotations

import pytest

from api.chat.page_address import page_address

URL = "https://site.example/docs/guide/install#linux"


@pytest.mark.parametrize(
    "given",
    [
        "guide/install.md",
        "docs/guide/install",
        "/docs/guide/install/",
        "/docs/guide/install.html",
        "/docs/guide/install/index.html",
        "https://site.example/docs/guide/install",
        "https://site.example/docs/guide/install/?utm=1#windows",
        "http://localhost:3000/docs/guide/install#linux",
        " /docs/guide/inst%61ll ",
    ],
)
def test_every_spelling_of_a_page_is_that_page(given: str) -> None:
    address = page_address(given)
    assert address is not None
    assert address.is_of("guide/install.md", URL)
    assert not address.is_of("guide/installing.md", "https://site.example/docs/guide/installing#linux")


@pytest.mark.parametrize(("given", "url"), [("/", "https://site.example/#start"), ("https://a.example", "/")])
def test_the_site_s_front_page_is_a_page(given: str, url: str) -> None:
    address = page_address(given)
    assert address is not None
    assert address.is_of("index.md", url)


@pytest.mark.parametrize("given", ["", "  ", "#part", "?a=b"])
def test_nothing_is_no_page(given: str) -> None:
    assert page_address(given) is None


@pytest.mark.parametrize("given", ["http://[", "///", "%%%", "a" * 2000, "\u202e", "../../etc/passwd"])
def test_no_address_is_too_odd(given: str) -> None:
    address = page_address(given)
    assert address is not None
    assert not address.is_of("guide/install.md", URL)
    assert address.paths
    assert address.addresses("https://site.example")


def test_an_address_is_looked_for_on_its_own_host_and_on_the_site_s() -> None:
    address = page_address("https://preview.example/docs/a%20b/")
    assert address is not None
    spelt = address.addresses("https://site.example/docs")
    for host in ("https://preview.example", "https://site.example", ""):
        assert {f"{host}/docs/a b", f"{host}/docs/a%20b", f"{host}/docs/a%20b/"} <= set(spelt)
