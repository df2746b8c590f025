"""Which questions are the same, which answers are kept, and how one answer on its way serves several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from api.chat.cache import key_of, normal, stands_alone, worth_keeping
from api.chat.events import Cited, Claim, Delta, Event, Filters, Found, Question, Started, Turn, UnknownName
from api.chat.flights import Flight
from api.chat.kept import PIECE, KeptAnswer, in_pieces, packed, unpacked
from shared.errors import ProviderUnavailable
from tests.http_api import CITATION, LINK, NoModel, finished
from tests.passages import RELEASE, services_with

FOUND = Found("chunk-1", "https://docs.example/a", 1.2, 0.6)
STARTED = Started((LINK,), 1, 3, (FOUND,))
DONE = finished(model="none")


# The same question


@pytest.mark.parametrize(
    "text",
    [
        "How do I install it?", "how do I install it", "  How  do I\ninstall it? ", "How do I install it??",
        "how do I Install it.", "How do I install it\uff1f",
    ],
)  # fmt: skip
def test_spaces_final_marks_widths_and_capitals_of_plain_words_make_no_difference(text: str) -> None:
    assert normal(text) == normal("How do I install it?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does -V do?", "What does -v do?"), ("What is PATH?", "What is path?"),
        ("What is println!?", "What is println?"), ("What is C#?", "What is C?"),
        ("Is HttpError raised?", "Is httperror raised?"),
        ("What is `..`?", "What is ``?"), ("What is Log_Level?", "What is log_level?"), ("Version 2?", "Version 3?"),
    ],
)  # fmt: skip
def test_names_that_differ_make_different_questions(one: str, other: str) -> None:
    assert normal(one) != normal(other)


def test_what_shapes_an_answer_is_part_of_the_key() -> None:
    services = services_with()
    asked = Question("How?")
    others = [
        Question("Why?"), Question("How?", k=6), Question("How?", context_window=500), Question("How?", page="a.md"),
        Question("How?", filters=Filters(version="2")),
    ]  # fmt: skip
    keys = [key_of(question, services, NoModel()) for question in (asked, *others)]
    assert len(set(keys)) == len(keys)
    assert key_of(Question("how"), services, NoModel()) == keys[0]


def test_the_model_and_the_settings_are_part_of_the_key() -> None:
    class Other(NoModel):
        name = "other"

    services = services_with()
    longer = replace(services, settings=services.settings.model_copy(update={"max_answer_tokens": 2000}))
    keys = {key_of(Question("How?"), each, model) for each, model in
            ((services, NoModel()), (services, Other()), (longer, NoModel()))}  # fmt: skip
    assert len(keys) == 3


@pytest.mark.parametrize(
    "question",
    [
        Question("And then?", history=(Turn("How?", "So."),)), Question("What is this?", selection="Some words."),
        Question("How?", release=RELEASE),
    ],
)  # fmt: skip
def test_a_question_that_leans_on_something_does_not_stand_alone(question: Question) -> None:
    assert not stands_alone(question)
    assert stands_alone(Question(question.text))


# The same answer


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True), ({"finish_reason": "length"}, False), ({"finish_reason": "content_filter"}, False),
        ({"finish_reason": "refusal"}, False), ({"model": "extractive"}, False), ({"confidence": 0.4}, False),
        ({"confidence": 0.6}, True), ({"confidence": 0.1, "no_results": True}, True),
        ({"claims": (Claim("A.", "supported"), Claim("B.", "weak"))}, True),
        ({"claims": (Claim("A.", "supported"), Claim("B.", "unsupported"))}, False),
        ({"unknown_names": (UnknownName("--frce"),)}, False), ({"sources": ()}, False),
    ],
)  # fmt: skip
def test_only_an_answer_that_is_whole_and_borne_out_is_kept(changes: dict[str, Any], kept: bool) -> None:
    assert worth_keeping(STARTED, replace(DONE, **changes), "none") is kept


@pytest.mark.parametrize(
    "started",
    [
        replace(STARTED, release=None), replace(STARTED, found=()),
        replace(STARTED, found=(replace(FOUND, cosine=None), replace(FOUND, cosine=None))),
    ],
)  # fmt: skip
def test_what_was_not_looked_for_as_usual_is_not_kept(started: Started) -> None:
    assert not worth_keeping(started, DONE, "none")
    assert not worth_keeping(started, replace(DONE, no_results=True), "none")


def test_pieces_are_cut_where_deltas_were_and_citations_stay_in_their_place() -> None:
    words = [Delta("word ")] * (PIECE // 5)
    assert in_pieces([STARTED, *words, Delta(LINK), Cited(CITATION), Delta("More. "), Delta("End."), DONE]) == (
        "word " * (PIECE // 5),
        LINK,
        CITATION,
        "More. End.",
    )


def test_an_answer_is_unpacked_as_it_was_packed_and_says_that_it_was_kept() -> None:
    whole = replace(DONE, claims=(Claim("A.", "weak", (1,), ("x",)),), confidence=0.7, answer="Größe 🎉 \u2028")
    kept = KeptAnswer("3:job", ("chunk-1",), STARTED, ("Some text.", CITATION), whole)
    assert unpacked(packed(kept)) == kept
    assert list(kept.events()) == [STARTED, Delta("Some text."), Cited(CITATION), replace(whole, cached=True)]


@pytest.mark.parametrize("text", ["", "!", "aGVsbG8=", packed(KeptAnswer("1", (), STARTED, (), DONE))[:-9]])
def test_what_is_no_kept_answer_is_none(text: str) -> None:
    assert unpacked(text) is None


# One flight for several


class Script:
    """An answer in steps that the test lets go one by one."""

    def __init__(self, *steps: Event | Exception) -> None:
        self._steps = steps
        self.go = asyncio.Semaphore(0)
        self.closed = False

    async def __call__(self) -> AsyncGenerator[Event, None]:
        try:
            for step in self._steps:
                await self.go.acquire()
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed = True


def fly(script: Script) -> tuple[Flight, list[Flight]]:
    ended: list[Flight] = []
    return Flight(script(), ended.append), ended


async def heard_by(flight: Flight) -> list[Event]:
    return [event async for event in flight.follow()]


async def test_all_who_follow_hear_the_whole_answer_and_one_of_them_has_had_it_made() -> None:
    script = Script(STARTED, Delta("a"), DONE)
    flight, ended = fly(script)
    early = asyncio.create_task(heard_by(flight))
    for _ in range(2):
        script.go.release()
    await asyncio.sleep(0.01)
    late = asyncio.create_task(heard_by(flight))
    await asyncio.sleep(0)
    script.go.release()
    assert await early == [STARTED, Delta("a"), DONE]
    assert await late == [STARTED, Delta("a"), replace(DONE, cached=True)]
    await flight.task
    assert ended == [flight]


async def test_whoever_asked_first_may_leave_and_the_others_hear_the_end() -> None:
    script = Script(STARTED, Delta("a"), DONE)
    flight, _ = fly(script)
    first = asyncio.create_task(heard_by(flight))
    second = asyncio.create_task(heard_by(flight))
    script.go.release()
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not script.closed
    for _ in range(2):
        script.go.release()
    assert await second == [STARTED, Delta("a"), DONE]


async def test_the_answer_is_stopped_when_the_last_one_has_left() -> None:
    script = Script(STARTED, Delta("a"), DONE)
    flight, ended = fly(script)
    script.go.release()
    async with aclosing(flight.follow()) as one, aclosing(flight.follow()) as other:
        assert [await anext(one), await anext(other)] == [STARTED, STARTED]
        await one.aclose()
        open_for_the_other = not script.closed
        await other.aclose()
        assert (open_for_the_other, script.closed) == (True, True)
    assert flight in ended


async def test_an_answer_that_is_whole_is_read_to_its_end_though_nobody_follows() -> None:
    script = Script(DONE, Delta("what comes after the last event"))
    flight, _ = fly(script)
    script.go.release()
    assert await heard_by(flight) == [DONE]
    await asyncio.sleep(0)
    assert not flight.task.done()
    script.go.release()
    await flight.task


async def test_a_failure_is_raised_to_each_who_follows() -> None:
    script = Script(STARTED, ProviderUnavailable("it is away"))
    flight, _ = fly(script)
    followers = [asyncio.create_task(heard_by(flight)) for _ in range(3)]
    for _ in range(2):
        script.go.release()
    outcomes = await asyncio.gather(*followers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ProviderUnavailable] * 3


async def test_an_answer_that_breaks_off_ends_for_those_who_follow() -> None:
    script = Script(STARTED)
    flight, _ = fly(script)
    script.go.release()
    async with asyncio.timeout(1):
        assert await heard_by(flight) == [STARTED]
