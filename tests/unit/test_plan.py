"""What a job has to do, as a pure function of content and base release."""

from __future__ import annotations

import math

from shared.embedding_batches import BatchLimits
from worker.ingestion.plan import REMOVED_PAGES, FoundPage, changed_pages, cut_shards, removed_pages, shard_bytes


def live(**revisions: str) -> dict[str, str]:
    return {f"{name}.md": revision for name, revision in revisions.items()}


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
    pages = {"a.md", "guide/x.md", "guide-2/y.md"}
    assert removed_pages([], pages, [], "guide") == ["guide/x.md"]


#: A full request of 100 passages, which are 140,000 bytes.
BATCH = BatchLimits(items=100, tokens=100_000)
OPENAI = BatchLimits(items=2048, tokens=260_000)


def pages(count: int, size: int) -> list[FoundPage]:
    return [FoundPage(f"{n:05}.md", size, "r") for n in range(count)]


def lengths(found: list[FoundPage], batch: BatchLimits = BATCH) -> list[int]:
    return [len(shard.pages) for shard in cut_shards(found, [], batch)]


def test_a_small_job_is_one_shard_of_one_request() -> None:
    assert lengths(pages(30, 1000)) == [30]


def test_a_job_is_cut_into_some_shards_of_equal_size_before_they_grow() -> None:
    assert lengths(pages(240, 10_000)) == [40] * 6


def test_a_shard_of_a_large_site_is_four_full_requests() -> None:
    assert set(lengths(pages(5600, 1000))) == {400}
    assert shard_bytes(10**9, BATCH) == 4 * 140_000


def test_a_large_site_takes_hardly_more_requests_of_openai_than_its_tokens_need() -> None:
    """14.4 MB in 1,685 pages are 3.42 million tokens; each shard may end with a request that is not full."""
    shards = cut_shards(pages(1685, 8546), [], OPENAI)
    sizes = [len(shard.pages) * 8546 / 14_400_000 * 3_420_000 for shard in shards]
    assert sum(math.ceil(tokens / OPENAI.tokens) for tokens in sizes) <= 20


def test_tiny_pages_are_bounded_in_number() -> None:
    assert lengths(pages(401, 10)) == [400, 1]


def test_a_page_larger_than_a_shard_has_a_shard_of_its_own() -> None:
    found = [FoundPage("a.md", 10, "r"), FoundPage("b.md", 10**6, "r"), FoundPage("c.md", 10, "r")]
    assert [shard.pages for shard in cut_shards(found, [], BATCH)] == [("a.md",), ("b.md",), ("c.md",)]


def test_the_same_content_gives_the_same_shards() -> None:
    assert cut_shards(found(a="1", b="2"), ["x.md"], BATCH) == cut_shards(found(a="1", b="2"), ["x.md"], BATCH)
    assert cut_shards(found(a="1"), [], BATCH)[0].id != cut_shards(found(a="2"), [], BATCH)[0].id


def test_removed_pages_are_shards_too() -> None:
    assert [(shard.pages, shard.removed) for shard in cut_shards([], ["a.md", "b.md"], BATCH)] == [
        ((), ("a.md", "b.md"))
    ]
    gone = [f"{n}.md" for n in range(REMOVED_PAGES + 1)]
    assert [len(shard.removed) for shard in cut_shards([], gone, BATCH)] == [REMOVED_PAGES, 1]
