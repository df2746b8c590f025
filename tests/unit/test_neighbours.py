"""Two pieces of one section become one passage, or stay apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.chat.neighbours import is_piece, joined, with_neighbours
from shared.models import Passage, StoredChunk
from tests.passages import RELEASE, FakeStore, passage, services_with

FIRST = "Loosen the stays. Untie the halyard."
SECOND = "Untie the halyard. Pull the bolt."


def piece(text: str, overlap: int = 0, tokens: int = 400) -> Passage:
    found = passage(text, heading="Mast")
    chunk = replace(found.chunk.chunk, overlap=overlap, tokens=tokens)
    return replace(found, chunk=replace(found.chunk, chunk=chunk))


class Sections(FakeStore):
    """A section, in its order."""

    def __init__(self, *pieces: Passage) -> None:
        super().__init__({})
        self.section = [found.chunk for found in pieces]
        self.asked = 0

    async def chunks_under(self, *_: object) -> list[list[StoredChunk]]:
        self.asked += 1
        return [self.section]


@pytest.mark.parametrize(
    ("second", "overlap", "text"),
    [
        (SECOND, 18, "Loosen the stays. Untie the halyard. Pull the bolt."),
        ("```sh\nlower\n```", 0, "Loosen the stays. Untie the halyard.\n\n```sh\nlower\n```"),
        ("Untie the halyard.", 18, FIRST),
    ],
)
def test_what_both_hold_stands_once_in_reading_order(second: str, overlap: int, text: str) -> None:
    hit, other = piece(FIRST).chunk, piece(second, overlap).chunk
    assert joined(hit, other, after=True).chunk.text == text
    backwards = joined(other, hit, after=False)
    assert (backwards.chunk.text, backwards.id) == (text, other.id)


@pytest.mark.parametrize(("overlap", "tokens", "cut"), [(0, 299, False), (0, 300, True), (5, 20, True)])
def test_a_large_chunk_or_one_that_repeats_another_may_be_a_piece(overlap: int, tokens: int, cut: bool) -> None:
    assert is_piece(piece(FIRST, overlap, tokens).chunk, 600) is cut


async def test_a_hit_that_has_all_the_question_names_stays_as_it_is() -> None:
    store = Sections(piece(FIRST), piece(SECOND, 18))
    kept = await with_neighbours("Loosen the stays?", [piece(FIRST)], 5, RELEASE, services_with(store))
    assert [found.chunk.chunk.text for found in kept] == [FIRST]
    assert store.asked == 0


async def test_a_neighbour_that_adds_nothing_to_the_question_is_left_alone() -> None:
    store = Sections(piece(FIRST), piece(SECOND, 18))
    kept = await with_neighbours("Loosen the zeppelin?", [piece(FIRST)], 5, RELEASE, services_with(store))
    assert [found.chunk.chunk.text for found in kept] == [FIRST]


async def test_two_pieces_that_were_found_become_one_and_leave_room_for_another() -> None:
    pieces = [piece(FIRST), piece(SECOND, 18)]
    other = passage("Paint it white.", heading="Paint")
    kept = await with_neighbours("Which mast?", [*pieces, other], 2, RELEASE, services_with(Sections(*pieces)))
    assert [found.chunk.chunk.heading for found in kept] == ["Mast", "Paint"]
    assert kept[0].chunk.chunk.text == "Loosen the stays. Untie the halyard. Pull the bolt."
