"""Which pages a release adds, changes, moves and removes, and why."""

from __future__ import annotations

import pytest

from shared.changes import GONE, HIDDEN, NAMES_KEPT, NEW, Changes, describe, pair_similar, pair_up, sketch_of
from shared.models import PageFacts
from shared.revisions import changed_parts, revision_of, same_text

WORDS = " ".join(f"word{number}" for number in range(200))


def page(path: str, text: str = "text", url: str = "", title: str = "T", **parts: bytes) -> PageFacts:
    included = [parts.pop("included")] if "included" in parts else []
    revision = revision_of(**{"rules": b"r", "place": b"p", **parts}, text=text.encode(), included=included)
    return PageFacts(path, title, url or f"/{path}", revision)


def changes(new: list[PageFacts], old: list[PageFacts], hidden: tuple[str, ...] = ()) -> Changes:
    return describe(pair_up(new, old), 1, hidden)


def reason(new: PageFacts, old: PageFacts) -> str:
    (changed,) = changes([new], [old]).changed
    return changed.reason


def test_pages_are_told_apart_by_path_and_text() -> None:
    found = changes(
        [page("new.md", "new"), page("same.md", "edited"), page("moved.md", "kept")],
        [page("old.md", "gone"), page("same.md", "before"), page("was/moved.md", "kept"), page("draft.md", "draft")],
        hidden=("draft.md",),
    )
    assert [(p.path, p.reason) for p in found.added] == [("new.md", NEW)]
    assert [(p.path, p.reason) for p in found.changed] == [("same.md", "the text changed")]
    assert [(p.path, p.reason) for p in found.moved] == [("moved.md", "moved from was/moved.md")]
    assert [(p.path, p.reason) for p in found.removed] == [("draft.md", HIDDEN), ("old.md", GONE)]
    assert found.totals == {"added": 1, "changed": 1, "moved": 1, "removed": 2}


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ({"text": "other"}, ["the text changed"]),
        ({"rules": b"s"}, ["CHUNK_SIZE"]),
        ({"place": b"q"}, ["configuration"]),
        ({"included": b"a partial"}, ["a file that it includes changed"]),
        ({"text": "other", "rules": b"s"}, ["the text changed; ", "CHUNK_SIZE"]),
        ({"url": "/elsewhere"}, ["its address changed"]),
        ({"title": "Other"}, ["its title changed"]),
    ],
)
def test_the_reason_of_a_change_names_what_differs(after: dict[str, object], says: list[str]) -> None:
    words = reason(page("a.md", **after), page("a.md"))  # type: ignore[arg-type]
    assert all(part in words for part in says)
    assert ("the text changed" in words) == ("text" in after)


def test_a_page_that_came_back_as_it_was_is_no_change() -> None:
    assert changes([page("a.md")], [page("a.md")]).totals == {"added": 0, "changed": 0, "moved": 0, "removed": 0}


def test_a_revision_of_an_older_version_counts_as_another_text() -> None:
    assert changed_parts("0" * 64, revision_of(rules=b"r", text=b"t")) == {"text"}
    assert changed_parts("0" * 64, "0" * 64) == set()
    assert same_text("0" * 64) == "0" * 64


def test_of_several_equal_pages_the_one_of_the_same_name_has_moved() -> None:
    found = changes([page("new/b.md")], [page("old/a.md"), page("old/b.md"), page("old/c.md")])
    assert [p.reason for p in found.moved] == ["moved from old/b.md"]
    assert [p.path for p in found.removed] == ["old/a.md", "old/c.md"]


def test_a_page_that_moved_and_was_edited_is_known_by_its_words() -> None:
    pairing = pair_up([page("new.md", "1"), page("other.md", "2")], [page("old.md", "3")])
    assert pairing.unsettled
    edited = WORDS.replace("word50", "another")
    pair_similar(pairing, {"new.md": sketch_of([edited]), "other.md": sketch_of(["nothing of it"])}, {
        "old.md": sketch_of([WORDS])
    })  # fmt: skip
    found = describe(pairing, 1)
    assert [(p.path, p.reason) for p in found.moved] == [("new.md", "moved from old.md; the text changed")]
    assert [p.path for p in found.added] == ["other.md"]
    assert found.removed == ()


@pytest.mark.parametrize("texts", [[""], ["..."], [WORDS[::-1].replace("drow", "x")]])
def test_a_page_without_common_words_has_not_moved(texts: list[str]) -> None:
    pairing = pair_up([page("new.md", "1")], [page("old.md", "3")])
    pair_similar(pairing, {"new.md": sketch_of(texts)}, {"old.md": sketch_of([WORDS])})
    assert describe(pairing, 1).moved == ()


def test_a_record_names_a_thousand_pages_in_order_and_counts_all() -> None:
    found = changes([page(f"{number:05}.md", str(number)) for number in reversed(range(NAMES_KEPT + 5))], [])
    assert len(found.added) == NAMES_KEPT
    assert [p.path for p in found.added] == [f"{number:05}.md" for number in range(NAMES_KEPT)]
    assert found.totals["added"] == NAMES_KEPT + 5
