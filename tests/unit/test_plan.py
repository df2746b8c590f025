"""What a job has to do, as a pure function of content and base release."""

from __future__ import annotations

from shared.models import FOREVER, Page, StoredPage
from worker.ingestion.plan import SHARD_BYTES, SHARD_PAGES, FoundPage, changed_pages, cut_shards, removed_pages


def live(**revisions: str) -> dict[str, StoredPage]:
    return {
        f"{name}.md": StoredPage(name, Page(f"{name}.md", name, f"/{name}", revision), (), 1, FOREVER)
        for name, revision in revisions.items()
    }


def found(**revisions: str) -> list[FoundPage]:
    return [FoundPage(f"{name}.md", 100, revision) for name, revision in revisions.items()]


def test_only_pages_with_another_revision_are_read_again() -> None:
    changed = changed_pages(found(a="1", b="2", c="1"), live(a="1", b="1"), force=False)
    assert [page.path for page in changed] == ["b.md", "c.md"]


def test_force_reads_every_page() -> None:
    assert len(changed_pages(found(a="1", b="1"), live(a="1", b="1"), force=True)) == 2


def test_a_page_that_is_gone_leaves_the_next_release() -> None:
    assert removed_pages(found(a="1"), live(a="1", b="1"), [], ".") == ["b.md"]


def test_a_page_that_cannot_be_read_is_not_gone() -> None:
    assert removed_pages(found(a="1"), live(a="1", b="1"), ["b.md"], ".") == []


def test_a_job_about_one_folder_removes_nothing_elsewhere() -> None:
    pages = live(a="1") | {
        path: StoredPage(path, Page(path, path, path, "1"), (), 1, FOREVER) for path in ("guide/x.md", "guide-2/y.md")
    }
    assert removed_pages([], pages, [], "guide") == ["guide/x.md"]


def test_shards_are_bounded_in_pages_and_in_bytes() -> None:
    small = [FoundPage(f"{n:03}.md", 10, "r") for n in range(SHARD_PAGES + 1)]
    assert [len(shard.pages) for shard in cut_shards(small, [])] == [SHARD_PAGES, 1]
    large = [FoundPage(f"{n}.md", SHARD_BYTES // 2 + 1, "r") for n in range(3)]
    assert [len(shard.pages) for shard in cut_shards(large, [])] == [1, 1, 1]


def test_a_page_larger_than_a_shard_has_a_shard_of_its_own() -> None:
    pages = [FoundPage("a.md", 10, "r"), FoundPage("b.md", SHARD_BYTES * 3, "r"), FoundPage("c.md", 10, "r")]
    assert [shard.pages for shard in cut_shards(pages, [])] == [("a.md",), ("b.md",), ("c.md",)]


def test_the_same_content_gives_the_same_shards() -> None:
    assert cut_shards(found(a="1", b="2"), ["x.md"]) == cut_shards(found(a="1", b="2"), ["x.md"])
    assert cut_shards(found(a="1"), [])[0].id != cut_shards(found(a="2"), [])[0].id


def test_removed_pages_are_shards_too() -> None:
    assert [(shard.pages, shard.removed) for shard in cut_shards([], ["a.md", "b.md"])] == [((), ("a.md", "b.md"))]
