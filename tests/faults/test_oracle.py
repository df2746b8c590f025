"""The oracle and the readers' rules themselves: each fault that they are there for is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.editions import Site, revisions_in, text_of
from tests.faults.oracle import Point, Release, View, by_content, by_id, wrong_vectors
from tests.faults.recoveries import recoveries

EDITION = {"a.md": 2, "b.md": 1}


def chunk(path: str, revision: int, number: int = 0, vector: tuple[float, ...] = (1.0, 0.0)) -> Point:
    text = f"Sentence {number} about {path} in revision {revision}."
    payload = {"record": "chunk", "path": path, "text": text, "text_hash": text, "since": 1, "until": 9}
    return Point(f"{path}-{revision}-{number}", payload, vector)


def page(path: str, *chunks: Point) -> Point:
    ids = [one.id for one in chunks]
    return Point(f"page-{path}", {"record": "page", "path": path, "chunk_ids": ids, "since": 1, "until": 9}, None)


A0, A1, B0, B1 = chunk("a.md", 2, 0), chunk("a.md", 2, 1), chunk("b.md", 1), chunk("b.md", 2)
WHOLE = View(Release(3, "docs", 2, 3), (page("a.md", A0, A1), page("b.md", B0)), (A0, A1, B0))


def test_a_whole_release_has_no_fault() -> None:
    assert WHOLE.edition == EDITION
    assert list(WHOLE.faults([{"a.md": 1}, EDITION])) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(WHOLE, pages=(), chunks=()), "is empty"),
        (replace(WHOLE, chunks=(A0, B0)), "lacks 1 passages"),
        (replace(WHOLE, chunks=(A0, A1, B0, chunk("b.md", 1, 7))), "shows 1 passages that no page names"),
        (replace(WHOLE, pages=WHOLE.pages[:1], chunks=(A0, A1)), "its record says (2, 3)"),
        (replace(WHOLE, pages=(*WHOLE.pages, page("b.md"))), "shows pages twice: ['b.md']"),
        (replace(WHOLE, pages=(page("a.md", A0, A0, A1), page("b.md", B0))), "names a passage twice"),
        (replace(WHOLE, chunks=(A0, chunk("a.md", 1, 1), B0)), "of no revision, or of several: ['a.md']"),
        (replace(WHOLE, pages=(page("a.md", A0, A1), page("b.md", B1)), chunks=(A0, A1, B1)),
         "is no edition of the site but a mixture"),
    ],
)  # fmt: skip
def test_a_release_that_is_not_whole_is_told_by_what_it_lacks(broken: View, said: str) -> None:
    assert said in "; ".join(broken.faults([EDITION]))


def test_indexes_that_differ_in_a_passage_are_not_equal_and_those_that_differ_in_numbers_are_by_content() -> None:
    moved = replace(A0, id="other", payload={**A0.payload, "since": 2})
    renumbered = replace(WHOLE, pages=(page("a.md", moved, A1), WHOLE.pages[1]), chunks=(moved, A1, B0))
    assert by_id(renumbered) != by_id(WHOLE)
    assert by_content(renumbered) == by_content(WHOLE)
    assert by_content(replace(WHOLE, chunks=(A0, A1, chunk("b.md", 2)))) != by_content(WHOLE)


def test_a_vector_that_belongs_to_another_text_is_found() -> None:
    swapped = replace(WHOLE, chunks=(replace(A0, vector=(0.0, 1.0)), A1, B0))
    assert wrong_vectors(WHOLE, WHOLE) == []
    assert wrong_vectors(swapped, WHOLE) == ["a.md"]


def test_editions_of_one_seed_are_the_same_anywhere_and_no_two_pages_share_a_sentence(
    tmp_path: Path,
) -> None:
    one, other = Site(tmp_path / "one", 20, seed=4), Site(tmp_path / "other", 20, seed=4)
    assert [one.next_edition() for _ in range(4)] == [other.next_edition() for _ in range(4)]
    assert one.editions[0] != one.editions[1]
    for path, revision in one.editions[-1].items():
        text = (one.docs / path).read_text(encoding="utf-8")
        assert text == text_of(path, revision, one.most_sections)
        assert revisions_in(text) == {revision}


def test_a_recovery_is_counted_only_for_a_request_that_the_kill_cut_off() -> None:
    abandoned = [(9.5, 10.0), (10.1, 12.5), (10.2, None), (14.0, 15.0)]
    assert recoveries(abandoned, 10.0) == [2.5]
