"""What the benchmark of splitters counts, on passages whose faults are known."""

from __future__ import annotations

import pytest

from benchmarks.chunking.measures import Quality, quality, small_listings, table_rows
from benchmarks.chunking.splitters import SIZE, SPLITTERS, Passage, Source

CODE = "```js\nconst store = createStore(reducer)\n\nstore.dispatch(action)\n```"
PAGE = f"# Title\n\nCall it once:\n\n{CODE}\n\n## Next\n\nText that goes on.\n"


def measured(*texts: str, headed: bool = False) -> Quality:
    return quality([(PAGE, [Passage(text, headed) for text in texts])])


def test_a_page_in_one_passage_has_no_faults() -> None:
    found = measured(PAGE)
    assert (found.passages, found.cut_listings, found.led_listings, found.unbalanced) == (1, 0, 100, 0)
    assert (found.over, found.orphans, found.headed) == (0, 0, 100)


def test_a_cut_listing_is_counted_and_leaves_fences_open() -> None:
    first, second = PAGE.split("\n\nstore.dispatch")
    found = measured(first, f"store.dispatch{second}")
    assert (found.cut_listings, found.unbalanced) == (100, 100)


def test_a_listing_without_its_lead_is_whole_but_not_led() -> None:
    before, after = PAGE.split(CODE)
    found = measured(before, CODE + after)
    assert (found.cut_listings, found.led_listings) == (0, 0)


def test_a_passage_that_ends_on_a_heading_is_counted() -> None:
    assert measured("Text.\n\n## Next", "More.").orphans == 50


def test_headings_count_wherever_they_are_known_from() -> None:
    assert measured("## In the text\n\nText.", "None.").headed == 50
    assert measured("None.", headed=True).headed == 100


def test_sizes_are_counted_in_tokens() -> None:
    found = measured("word " * (SIZE + 1), "word " * SIZE, "tiny")
    assert (found.tokens_max, found.tokens_p50) == (SIZE + 1, SIZE)
    assert found.over == found.tiny == pytest.approx(100 / 3)


def test_comments_about_colours_are_no_part_of_a_listing() -> None:
    (listing,) = small_listings("Lead here:\n\n```js\n// highlight-next-line\nconst answer = compute(41, 1)\n```\n")
    assert listing == ("Leadhere:", "constanswer=compute(41,1)")


def test_huge_and_tiny_listings_do_not_count() -> None:
    assert not list(small_listings("```\nls\n```\n\n```\n" + "call()\n" * 500 + "```\n"))


def test_rows_of_tables_need_their_header() -> None:
    header, rows = "| Name | What |\n|---|---|", ["| a | one |", "| b | two |"]
    page = "\n".join((header, *rows))
    assert list(table_rows(page)) == [("|Name|What|", "|a|one|"), ("|Name|What|", "|b|two|")]
    assert not list(table_rows(f"```\n{page}\n```"))
    cut = [Passage(f"{header}\n{rows[0]}", headed=False), Passage(rows[1], headed=False)]
    assert quality([(page, cut)]).lost_rows == 50


def test_lectern_cuts_a_page_without_faults() -> None:
    passages = list(SPLITTERS["Lectern"].make()(Source("page.md", PAGE.encode())))
    found = quality([(PAGE, passages)])
    assert (found.cut_listings, found.led_listings, found.headed, found.orphans) == (0, 100, 100, 0)
