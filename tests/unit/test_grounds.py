"""The units of passages that hold a claim's words, counted for all of them at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api.chat.evidence import Evidence
from api.chat.grounds import Shown, read
from api.chat.overlap import terms_of
from api.chat.tally import Tally, bits_of, lowest
from tests.passages import BM25, passage

MASKS = st.lists(st.integers(0, 2**70 - 1), max_size=20)


@given(MASKS, st.integers(0, 2**70 - 1))
def test_a_tally_counts_each_bit(masks: list[int], among: int) -> None:
    counts = [sum(mask >> bit & 1 for mask in masks) for bit in range(70)]
    tally = Tally(masks)
    assert bits_of(tally.at_least_two()) == [bit for bit, count in enumerate(counts) if count >= 2]
    best = max((counts[bit] for bit in bits_of(among)), default=0)
    assert bits_of(tally.most(among)) == [bit for bit in bits_of(among) if counts[bit] == best]


def test_the_lowest_bit_of_none_is_none() -> None:
    assert (lowest(0b1100), lowest(0)) == (2, -1)
    assert bits_of(0b1101) == [0, 2, 3]


ANCHOR = passage("The anchor is dropped over the bow. The chain is paid out. Penguins breed on ice.")
SAILS = passage("The sails are furled before the storm. The chain of the anchor is checked twice.", path="sails.md")


def closest(text: str) -> list[tuple[int, str]]:
    readings = [(number, read(one.chunk.chunk, BM25)) for number, one in enumerate((ANCHOR, SAILS), 1)]
    used, _ = Shown(readings).closest(terms_of(text, BM25))
    return [(number, ground.unit.text) for number, ground in used]


def test_the_place_that_holds_most_words_is_the_closest_and_others_add_to_it() -> None:
    assert closest("the sails are furled before a storm") == [(2, "The sails are furled before the storm.")]
    assert closest("penguins breed, sails furled before the storm") == [
        (2, "The sails are furled before the storm."), (1, "Penguins breed on ice."),
    ]  # fmt: skip
    assert closest("elephants") == []


def test_a_unit_counts_with_those_beside_it_in_its_own_passage_only() -> None:
    assert closest("the anchor is dropped, the chain paid out") == [(1, "The anchor is dropped over the bow.")]
    readings = [(number, read(one.chunk.chunk, BM25)) for number, one in enumerate((ANCHOR, SAILS), 1)]
    _, held = Shown(readings).closest(terms_of("penguins sails", BM25))
    assert len(held) == 1


def test_passages_can_be_read_ahead_one_by_one() -> None:
    read.cache_clear()
    evidence = Evidence([ANCHOR, SAILS], BM25)
    steps = evidence.read_ahead()
    next(steps)
    assert read.cache_info().currsize == 1
    assert list(steps) == [None]
    assert read.cache_info().currsize == 2
    evidence.check("The anchor is dropped over the bow.")
    assert read.cache_info().misses == 2
