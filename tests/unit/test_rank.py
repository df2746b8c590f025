"""What moves a passage up beside its score, and by how much at most."""

from __future__ import annotations

import pytest

from api.chat.page_address import page_address
from api.chat.rank import Wanted, rank, verbatim
from shared.models import Passage
from tests.passages import BM25, SITE, passage


def ranked(wanted: Wanted | str, *passages: Passage) -> list[str]:
    wanted = Wanted(wanted) if isinstance(wanted, str) else wanted
    return [found.chunk.chunk.text for found in rank(wanted, passages, BM25)]


@pytest.mark.parametrize(
    ("question", "exact"),
    [
        ("What is HTTP 404?", ["http 404"]),
        ("Use --no-cache or -x now.", ["--no-cache", "-x"]),
        ('Where does it say "lost at  sea"?', ["lost at sea"]),
        ("What does `npm run build` do with “the cache”?", ["npm run build", "the cache"]),
        ("How does createSlice differ from Foo.bar()?", ["createslice", "foo.bar"]),
        ("E0308, ERR_MODULE_NOT_FOUND?", ["e0308", "err_module_not_found"]),
        ("What is in /etc/hosts, docs/foo.md and .env?", ["/etc/hosts", "docs/foo.md", ".env"]),
        ("Does 3.11 know @scope/pkg and std::vec?", ["3.11", "@scope/pkg", "std::vec"]),
        ("How well-known is it, e.g. in the U.S. of the 1990s?", []),
        ("John's is a question. So is this.", []),
        ("", []),
    ],
)
def test_quoted_phrases_and_identifiers_are_meant_letter_for_letter(question: str, exact: list[str]) -> None:
    assert verbatim(question) == exact


def test_a_passage_that_holds_the_phrase_as_it_is_comes_first() -> None:
    exact, parts = "He was lost at sea, they say.", "At sea he lost what was at hand."
    assert ranked('Who was "lost at sea"?', passage(parts, score=1.0), passage(exact, score=0.9)) == [exact, parts]


def test_a_name_within_a_longer_one_is_another_name() -> None:
    longer, exact = "Call preconnect.all or connect.allowed.", "Call connect.all now."
    assert ranked("What is connect.all for?", passage(longer, score=1.0), passage(exact, score=0.8))[0] == exact


def test_words_that_stand_side_by_side_as_asked_move_a_passage_up() -> None:
    apart, together = "The chain holds the anchor.", "The anchor chain holds."
    found = ranked("How strong is an anchor chain?", passage(apart, score=1.0), passage(together, score=0.95))
    assert found == [together, apart]


def test_what_is_found_far_better_stays_first() -> None:
    best, boosted = "Galvanized things do not rust.", "The anchor chain."
    wanted = Wanted("Does the anchor chain rust?", page_address(f"{SITE}/guide"))
    assert ranked(wanted, passage(best, score=1.9, path="other.md"), passage(boosted, score=0.5))[0] == best


def test_the_visitor_s_page_decides_between_equals() -> None:
    here, there = passage("Here.", path="here.md", score=1.0), passage("There.", path="there.md", score=1.05)
    assert ranked("Which anchor?", here, there) == ["There.", "Here."]
    assert ranked(Wanted("Which anchor?", page_address(f"{SITE}/here/#a")), here, there) == ["Here.", "There."]
    assert ranked(Wanted("Which anchor?", None, {"here.md"}), here, there) == ["Here.", "There."]
