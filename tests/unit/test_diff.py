"""Which passages of a page are written, kept and ended."""

from __future__ import annotations

from shared.diff import PageDiff, diff_page, remove_page
from shared.models import FOREVER, Chunk, Page, StoredChunk, StoredPage

PAGE = Page("guide.md", "Guide", "https://site.example/docs/guide", "revision-1")


def chunk(text: str, anchor: str = "a") -> Chunk:
    return Chunk(PAGE.path, PAGE.title, f"{PAGE.url}#{anchor}", anchor, ("Guide",), text, "prose", len(text.split()))


def published(page: Page, diff: PageDiff, before: list[StoredChunk]) -> tuple[StoredPage | None, list[StoredChunk]]:
    """What a reader of the release that `diff` builds sees of the page."""
    return diff.page, [c for c in before if c.id not in diff.closed_chunks] + list(diff.new)


def test_a_new_page_is_written_whole() -> None:
    diff = diff_page(PAGE, [chunk("one"), chunk("two")], None, [], release=1)
    assert [stored.chunk.text for stored in diff.new] == ["one", "two"]
    assert {stored.since for stored in diff.new} == {1}
    assert {stored.until for stored in diff.new} == {FOREVER}
    assert diff.page is not None
    assert diff.page.chunk_ids == tuple(stored.id for stored in diff.new)
    assert (diff.kept, diff.closed_chunks, diff.closed_page) == ((), (), None)


def test_the_same_content_gives_the_same_ids() -> None:
    first = diff_page(PAGE, [chunk("one"), chunk("one")], None, [], release=1)
    second = diff_page(PAGE, [chunk("one"), chunk("one")], None, [], release=1)
    assert [stored.id for stored in first.new] == [stored.id for stored in second.new]
    assert len({stored.id for stored in first.new}) == 2


def test_an_edit_touches_its_own_passage_only() -> None:
    old, chunks = published(PAGE, diff_page(PAGE, [chunk("one"), chunk("two"), chunk("three")], None, [], 1), [])
    edited = Page(PAGE.path, PAGE.title, PAGE.url, "revision-2")
    diff = diff_page(edited, [chunk("one"), chunk("TWO"), chunk("three")], old, chunks, 2)
    assert [stored.chunk.text for stored in diff.new] == ["TWO"]
    assert diff.kept == (chunks[0].id, chunks[2].id)
    assert diff.closed_chunks == (chunks[1].id,)
    assert old is not None
    assert diff.closed_page == old.id
    assert diff.page is not None
    assert diff.page.chunk_ids == (chunks[0].id, diff.new[0].id, chunks[2].id)


def test_unchanged_content_under_the_same_revision_changes_nothing() -> None:
    texts = [chunk("same"), chunk("other"), chunk("same")]
    old, chunks = published(PAGE, diff_page(PAGE, texts, None, [], 1), [])
    diff = diff_page(PAGE, texts, old, list(reversed(chunks)), 2)
    assert (diff.new, diff.closed_chunks, diff.closed_page, diff.page) == ((), (), None, None)
    assert len(diff.kept) == 3


def test_a_passage_that_moves_on_its_page_is_not_written_again() -> None:
    old, chunks = published(PAGE, diff_page(PAGE, [chunk("one"), chunk("two")], None, [], 1), [])
    diff = diff_page(PAGE, [chunk("two"), chunk("one")], old, chunks, 2)
    assert (diff.new, diff.closed_chunks) == ((), ())
    assert diff.page is not None
    assert diff.page.chunk_ids == (chunks[1].id, chunks[0].id)


def test_a_text_that_comes_back_after_a_release_without_it_is_another_point() -> None:
    first, chunks = published(PAGE, diff_page(PAGE, [chunk("one"), chunk("two")], None, [], 1), [])
    second, left = published(PAGE, diff_page(PAGE, [chunk("one")], first, chunks, 2), chunks)
    third = diff_page(PAGE, [chunk("one"), chunk("two")], second, left, 3)
    assert [stored.chunk.text for stored in third.new] == ["two"]
    assert third.new[0].id not in {stored.id for stored in chunks}


def test_a_removed_page_ends_with_all_its_passages() -> None:
    old, chunks = published(PAGE, diff_page(PAGE, [chunk("one"), chunk("two")], None, [], 1), [])
    assert old is not None
    diff = remove_page(old, chunks)
    assert diff.closed_page == old.id
    assert set(diff.closed_chunks) == {stored.id for stored in chunks}
    assert diff.page is None
