"""Of a question that asks several things, the part that the docs answer is answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.chat.events import Question
from api.chat.parts import find_and_judge
from shared.models import Passage
from shared.services import Services
from tests.passages import RELEASE, FakeStore, passage, services_with

REEFING = passage("Reef the main sail before the wind reaches twenty knots.", heading="Reefing", cosine=0.7)
ENGINE = passage("Open the sea cock, then turn the key to start the engine.", heading="Engine", cosine=0.7)
REEF = "When should I reef the main sail"
START = "how do I start the engine?"
CUP = "who won the football cup of 1990?"
SANK = "when did the Titanic sink in the Atlantic?"


def far(found: Passage) -> Passage:
    return replace(found, cosine=0.1)


def knowing(**found: list[Passage]) -> Services:
    """Which passages are found for the questions of these names."""
    questions = {"reef": REEF, "start": START, "cup": CUP, "sank": SANK, "reef_cup": f"{REEF}, and {CUP}",
                 "reef_start": f"{REEF}, and {START}", "sank_cup": f"{SANK} And {CUP}"}  # fmt: skip
    return services_with(FakeStore({questions[name]: passages for name, passages in found.items()}))


async def test_a_part_about_something_else_does_not_keep_the_rest_from_its_answer() -> None:
    services = knowing(reef_cup=[far(ENGINE)], reef=[REEFING], cup=[far(ENGINE)])
    findings, verdict = await find_and_judge(Question(f"{REEF}, and {CUP}"), RELEASE, services)
    assert verdict.answerable
    assert verdict.uncovered == (CUP,)
    assert findings.passages == (REEFING,)


async def test_parts_that_are_answered_on_different_pages_take_turns_within_k() -> None:
    services = knowing(reef_start=[far(passage("Polish."))], reef=[REEFING, far(ENGINE)], start=[ENGINE, far(REEFING)])
    question = Question(f"{REEF}, and {START}", k=2)
    findings, verdict = await find_and_judge(question, RELEASE, services)
    assert verdict.answerable
    assert verdict.uncovered == ()
    assert [found.chunk.id for found in findings.passages] == [REEFING.chunk.id, ENGINE.chunk.id]


async def test_parts_that_are_all_about_something_else_are_refused_as_one() -> None:
    services = knowing(sank_cup=[far(ENGINE)], sank=[far(ENGINE)], cup=[far(REEFING)])
    findings, verdict = await find_and_judge(Question(f"{SANK} And {CUP}"), RELEASE, services)
    assert not verdict.answerable
    assert findings.passages == (far(ENGINE),)


async def test_a_question_about_one_thing_is_searched_for_once() -> None:
    store = FakeStore({CUP: [far(ENGINE)]})
    await find_and_judge(Question(CUP), RELEASE, services_with(store))
    assert len(store.scopes) == 1


COMPARED = "What is the difference between a mooring and an anchor?"


async def test_a_comparison_gets_the_section_of_the_side_that_was_not_found() -> None:
    mooring = passage("A mooring holds the boat between two lines.", heading="Moorings", cosine=0.7)
    anchor = passage("An anchor digs into the ground.", heading="The anchor", cosine=0.7)
    store = FakeStore({COMPARED: [mooring, ENGINE], "anchor": [REEFING, anchor], "mooring": [mooring]})
    findings, verdict = await find_and_judge(Question(COMPARED, k=2), RELEASE, services_with(store))
    assert verdict.answerable
    assert [found.chunk.id for found in findings.passages] == [mooring.chunk.id, anchor.chunk.id]
    assert len(store.scopes) == 2


@pytest.mark.parametrize("k", [1, 3])
async def test_a_comparison_keeps_what_was_found_where_a_side_has_no_section(k: int) -> None:
    mooring = passage("A mooring holds the boat between two lines.", heading="Moorings", cosine=0.7)
    store = FakeStore({COMPARED: [mooring, ENGINE, REEFING], "anchor": [ENGINE], "mooring": [mooring]})
    findings, _ = await find_and_judge(Question(COMPARED, k=k), RELEASE, services_with(store))
    assert len(findings.passages) == k
    assert findings.passages[0].chunk.id == mooring.chunk.id


SELECTION = "Mix flour, sugar and cocoa, then bake the dough for forty minutes."


@pytest.mark.parametrize("question", ["explain", "What does this mean?"])
async def test_marked_text_about_something_else_is_not_explained(question: str) -> None:
    asked = Question(question, selection=SELECTION)
    found = {question: [REEFING], SELECTION: [far(ENGINE)], f"{question}\n{SELECTION}": [REEFING]}
    _, verdict = await find_and_judge(asked, RELEASE, services_with(FakeStore(found)))
    assert not verdict.answerable
    assert verdict.strange_selection


async def test_marked_text_that_the_docs_speak_of_is_explained_though_it_is_not_theirs() -> None:
    selection = "Our skipper reefs the main sail before twenty knots."
    found = {text: [REEFING] for text in ("explain", selection, f"explain\n{selection}")}
    _, verdict = await find_and_judge(
        Question("explain", selection=selection), RELEASE, services_with(FakeStore(found))
    )
    assert verdict.answerable


async def test_a_question_that_says_what_it_is_about_is_answered_whatever_is_marked() -> None:
    found = {REEF: [REEFING], SELECTION: [far(ENGINE)]}
    _, verdict = await find_and_judge(Question(REEF, selection=SELECTION), RELEASE, services_with(FakeStore(found)))
    assert verdict.answerable
