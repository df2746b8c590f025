"""A whole published site: every page is where, and called what, its real build made of it."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.site_truth import DEFAULT_DATA, Built, differing, published, understood

pytestmark = pytest.mark.skipif(
    not (DEFAULT_DATA / "redux.routes.json").is_file(),
    reason=f"needs a checkout of Redux's site with the routes of its build in {DEFAULT_DATA}",
)


@cache
def pages() -> tuple[dict[str, Built], dict[str, Built]]:
    """As the build has them, as Lectern has them."""
    return published(DEFAULT_DATA), understood(DEFAULT_DATA / "redux")


def test_the_pages_are_those_of_the_build_and_no_others() -> None:
    expected, got = pages()
    assert len(expected) == 85
    assert got.keys() == expected.keys()


def test_every_address_is_that_of_the_build() -> None:
    assert differing(*pages(), "url") == []


def test_every_title_is_that_of_the_build() -> None:
    assert differing(*pages(), "title") == []


def test_every_heading_has_the_level_and_id_of_the_build() -> None:
    assert differing(*pages(), "headings") == []


def test_the_docs_folder_alone_is_understood_as_well() -> None:
    expected, _ = pages()
    alone = {f"docs/{source}": page for source, page in understood(DEFAULT_DATA / "redux" / "docs").items()}
    assert differing(expected, alone, "url") == []
    assert differing(expected, alone, "title") == []
