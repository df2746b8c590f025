"""Whether what was found can answer the question, and what of the question stands nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from api.chat.calibration import Calibration, calibrations
from api.chat.events import Filters, Question
from api.chat.judge import DOUBTFUL, SHOWN, judge, uncovered_parts
from api.chat.retrieve import Findings
from shared.chunk_search import ANYWHERE, Query, Where
from shared.models import Passage, SparseVector, StoredChunk
from shared.services import Services
from shared.settings import load_settings
from tests.passages import BM25, RELEASE, FakeStore, passage, services_with

REEFING = passage("Reef the main sail before the wind reaches twenty knots.", heading="Reefing", cosine=0.7)
ENGINE = passage("Open the sea cock, then turn the key to start the engine.", heading="Engine", cosine=0.3)


class Release1(FakeStore):
    """A release of two passages, which knows the words of both."""

    async def holding(self, collection: str, release: int, names: Any, each: int) -> list[StoredChunk]:
        known = {*BM25.encode_query(REEFING.chunk.chunk.text).indices, *BM25.encode_query("Beneteau").indices}
        named: list[SparseVector] = names
        return [replace_text(REEFING, "Beneteau") for name in named if known.intersection(name.indices)]


def replace_text(found: Passage, more: str) -> StoredChunk:
    chunk = found.chunk.chunk
    return replace(found.chunk, chunk=replace(chunk, text=f"{chunk.text} {more}"))


def services(min_score: float | None = None) -> Services:
    store = cast(Any, Release1({}))
    return replace(services_with(store), settings=load_settings(None, min_score=min_score))


def findings(*passages: Passage, selected: bool = False) -> Findings:
    cosines = [each.cosine for each in passages if each.cosine is not None]
    return Findings(passages=passages, judged=passages, cosine=max(cosines, default=None), selected=selected)


async def test_what_the_docs_say_is_answered_with_confidence() -> None:
    verdict = await judge(Question("When should I reef the main sail?"), findings(REEFING, ENGINE), RELEASE, services())
    assert verdict.answerable
    assert verdict.confidence > 0.8
    assert not verdict.doubtful
    assert verdict.missing == verdict.uncovered == ()


async def test_a_question_about_something_else_is_refused() -> None:
    far = replace(ENGINE, cosine=0.2)
    verdict = await judge(Question("Who won the football cup in 1990?"), findings(far), RELEASE, services())
    assert not verdict.answerable
    assert verdict.confidence < 0.1
    assert verdict.nearest == ()


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("Which gearbox?", ("gearbox",)),
        ("Can the engine sail with Zapier, Hubspot and Salesforce?", ("Zapier", "Hubspot", "Salesforce")),
        ("Who won the football cup in 1990?", ()),
        ("Wie starte ich den Motor auf meinem Boot?", ()),
        ("Wie starte ich den Motor mit --reef-sail?", ("--reef-sail",)),
    ],
)
async def test_a_refusal_names_what_is_worth_naming_and_not_the_words_of_a_language(
    question: str, missing: tuple[str, ...]
) -> None:
    verdict = await judge(Question(question), findings(replace(ENGINE, cosine=0.1)), RELEASE, services())
    assert not verdict.answerable
    assert verdict.missing == missing


class Scoped(FakeStore):
    """Has passages of version 1 and of the path guide/, and none that are of both."""

    async def search_all(
        self, collection: str, release: int, queries: Sequence[Query], limit: int, where: Where = ANYWHERE
    ) -> list[list[Passage]]:
        assert all(query.dense and len(query.dense) == 3 for query in queries)
        there = (where.version, where.prefix) in ((None, None), ("1", None), (None, "guide/"))
        return [[REEFING] if there and not where.locale else [] for _ in queries]


@pytest.mark.parametrize(
    ("filters", "unmatched"),
    [
        (Filters(), {}),
        (Filters(version="1"), {}),
        (Filters(version="2"), {"version": "2"}),
        (Filters(version="1", locale="de"), {"locale": "de"}),
        (Filters(version="1", path="guide/"), {"version": "1", "path": "guide/"}),
    ],
)
async def test_where_nothing_is_found_the_filters_that_nothing_matches_are_told(
    filters: Filters, unmatched: dict[str, str]
) -> None:
    question = Question("When should I reef?", filters=filters)
    verdict = await judge(question, findings(), RELEASE, services_with(cast(Any, Scoped({}))))
    assert not verdict.answerable
    assert verdict.unmatched == unmatched


async def test_passages_of_the_same_subject_are_named_where_a_question_is_refused() -> None:
    near = replace(REEFING, cosine=0.4)
    question = Question("Which paint protects carbon masts from corrosion in winter?")
    verdict = await judge(question, findings(near, replace(ENGINE, cosine=0.1)), RELEASE, services())
    assert not verdict.answerable
    assert verdict.nearest == (near,)


@pytest.mark.parametrize(
    "near_miss",
    [
        "When should I not reef the main sail?",
        "Who reefs the main sail of King Harold II before twenty knots?",
        "Should I reef the main sail at 35 knots?",
    ],
)
async def test_a_near_miss_is_answered_but_doubted_more_than_the_real_question(near_miss: str) -> None:
    right = await judge(Question("When should I reef the main sail?"), findings(REEFING), RELEASE, services())
    verdict = await judge(Question(near_miss), findings(REEFING), RELEASE, services())
    assert verdict.answerable
    assert verdict.confidence < right.confidence - 0.1


async def test_a_name_that_stands_nowhere_in_the_release_is_missing_and_one_elsewhere_is_not() -> None:
    question = Question("When should I reef the main sail of a Beneteau or a Bavaria?")
    verdict = await judge(question, findings(REEFING), RELEASE, services())
    assert verdict.answerable
    assert verdict.missing == ("Bavaria",)


async def test_a_question_that_asks_two_things_says_which_one_is_open() -> None:
    asked = "When should I reef the main sail, and who won the football cup in Paris?"
    verdict = await judge(Question(asked), findings(REEFING, ENGINE), RELEASE, services())
    assert verdict.answerable
    assert verdict.uncovered == ("who won the football cup in Paris?",)
    both = "When should I reef the main sail and how do I start the engine?"
    assert uncovered_parts(both, [REEFING, ENGINE], services()) == []


@pytest.mark.parametrize("name", ["--reef-sail", "MAIN_SAIL_REEF", "MainSail", "sail.main.reef"])
async def test_an_identifier_is_missing_though_its_parts_are_words_of_the_docs(name: str) -> None:
    verdict = await judge(
        Question(f"When should I reef the main sail with {name}?"), findings(REEFING), RELEASE, services()
    )
    assert verdict.answerable
    assert verdict.missing == (name,)


async def test_an_identifier_that_stands_in_the_docs_is_not_missing_in_other_letters() -> None:
    told = passage("Reef the main sail before the wind with MAX_KNOTS set to twenty.", heading="Reefing", cosine=0.7)
    question = Question("When should I reef the main sail before the wind with max_knots?")
    assert (await judge(question, findings(told), RELEASE, services())).missing == ()


async def test_the_passage_that_the_visitor_marked_is_always_answered_from() -> None:
    far = replace(ENGINE, cosine=0.1)
    verdict = await judge(Question("Is that so?"), findings(far, selected=True), RELEASE, services())
    assert verdict.answerable
    assert verdict.confidence >= SHOWN


async def test_nothing_found_is_nothing_to_answer_from() -> None:
    verdict = await judge(Question("When should I reef?"), findings(), RELEASE, services())
    assert not verdict.answerable
    assert verdict.confidence == 0


async def test_without_vectors_the_words_decide() -> None:
    blind = replace(REEFING, cosine=None)
    known = await judge(Question("When should I reef the main sail?"), findings(blind), RELEASE, services())
    other = await judge(Question("Who won the football cup in 1990?"), findings(blind), RELEASE, services())
    assert known.answerable
    assert not other.answerable


async def test_the_owner_s_floor_refuses_what_would_have_been_answered() -> None:
    question = Question("When should I reef the main sail?")
    assert (await judge(question, findings(REEFING), RELEASE, services(min_score=0.69))).answerable
    assert not (await judge(question, findings(REEFING), RELEASE, services(min_score=0.71))).answerable


async def test_cosines_count_by_what_they_are_worth_in_the_release() -> None:
    """Every cosine of such a model lies above .7."""
    running = services()
    calibrations(running)._known[RELEASE.collection, RELEASE.number] = Calibration(far=0.72, near=0.86)
    unrelated, related = replace(ENGINE, cosine=0.73), replace(REEFING, cosine=0.85)
    assert not (
        await judge(Question("What is a good birthday present?"), findings(unrelated), RELEASE, running)
    ).answerable
    assert (await judge(Question("When do I take sails in?"), findings(related), RELEASE, running)).answerable


async def test_a_refusal_is_less_sure_than_any_answer() -> None:
    verdict = await judge(Question("Who won the football cup?"), findings(ENGINE), RELEASE, services())
    assert not verdict.answerable
    assert verdict.confidence < DOUBTFUL
