"""The way from a question to its last event, with the model and the index played by fakes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import pytest

from api.chat.answer import NOTHING_INDEXED, NOTHING_SAID, STOPPED, answer
from api.chat.citations import link_to
from api.chat.events import Cited, Delta, Event, Finished, Question, Started
from api.chat.model import Ending, ExtractiveModel
from api.chat.prompt import Message, Prompt
from api.chat.small_talk import GREETING
from shared.errors import AnswerTruncated, LecternError
from shared.models import Passage
from shared.services import Services
from shared.tokens import count_tokens
from tests.passages import FakeReleases, FakeStore, passage, services_with

QUESTION = "Where exactly should the anchor chain be dropped?"
ANCHOR = passage("The anchor chain should be dropped exactly over the bow.", heading="Anchoring", cosine=0.7)
SAILS = passage("Hoist the main sail first.", heading="Sails", cosine=0.5)


@dataclass
class FakeModel:
    """Says what it is told to, word by word, and notes what it was shown."""

    text: str = "Over the bow [1]."
    ending: Ending = field(default_factory=lambda: Ending("stop"))
    error: LecternError | None = None
    name: str = "fake"
    prompts: list[Prompt] = field(default_factory=list)
    closed: bool = False

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        self.prompts.append(prompt)
        try:
            for word in re.findall(r"\S+\s*", self.text):
                yield word
            if self.error is not None:
                raise self.error
            yield self.ending
        finally:
            self.closed = True

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        return None

    async def close(self) -> None:
        return


def finding(*passages: Passage) -> Services:
    return services_with(FakeStore({QUESTION: list(passages)}))


async def events_of(model: FakeModel, services: Services, question: str = QUESTION) -> list[Event]:
    return [event async for event in answer(Question(question), services, model)]


async def test_an_answer_starts_with_its_sources_and_finishes_once_with_those_it_names() -> None:
    model = FakeModel()
    events = await events_of(model, finding(ANCHOR, SAILS))
    started = events[0]
    assert isinstance(started, Started)
    assert (started.sources, started.retrieved) == ((link_to(ANCHOR), link_to(SAILS)), 2)
    assert started.release == 1
    assert [found.cosine for found in started.found] == [0.7, 0.5]
    text = "".join(event.text for event in events if isinstance(event, Delta))
    assert text == f"Over the bow {link_to(ANCHOR)}."
    cited = [event.citation for event in events if isinstance(event, Cited)]
    assert [(c.number, c.heading) for c in cited] == [(1, "Anchoring")]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert sum(isinstance(event, Finished) for event in events) == 1
    assert finished.answer == text
    assert finished.sources == tuple(cited)
    assert (finished.model, finished.finish_reason, finished.no_results) == ("fake", "stop", False)


async def test_a_citation_follows_the_words_that_name_it() -> None:
    events = await events_of(FakeModel("First [2] then [1]. End."), finding(ANCHOR, SAILS))
    said = ""
    for event in events:
        if isinstance(event, Delta):
            said += event.text
        if isinstance(event, Cited):
            assert event.citation.url in said


async def test_tokens_are_counted_here_where_the_provider_does_not() -> None:
    model = FakeModel()
    (finished,) = (e for e in await events_of(model, finding(ANCHOR)) if isinstance(e, Finished))
    assert finished.tokens_used == model.prompts[0].tokens + count_tokens(model.text)
    assert finished.context_used == model.prompts[0].context_tokens > 0


async def test_the_provider_s_own_count_is_taken_where_there_is_one() -> None:
    model = FakeModel(ending=Ending("length", prompt_tokens=100, answer_tokens=7))
    finished = (await events_of(model, finding(ANCHOR)))[-1]
    assert isinstance(finished, Finished)
    assert (finished.tokens_used, finished.finish_reason) == (107, "length")


async def test_a_question_that_nothing_fits_is_answered_honestly_and_no_model_is_asked() -> None:
    model = FakeModel()
    far = passage("The weather is fine.", heading="Weather", cosine=0.1, score=0.4)
    close = passage("Polishing brass.", heading="Brass", cosine=0.4, score=0.4)
    events = await events_of(model, finding(far, close))
    started, delta, finished = events
    assert isinstance(started, Started)
    assert (started.sources, started.retrieved, len(started.found)) == ((), 2, 2)
    assert isinstance(delta, Delta)
    assert QUESTION in delta.text
    assert f"The nearest section is {link_to(close)}." in delta.text
    assert link_to(far) not in delta.text
    assert isinstance(finished, Finished)
    assert (finished.no_results, finished.sources, finished.tokens_used) == (True, (), 0)
    assert finished.answer == delta.text
    assert finished.confidence is not None
    assert finished.confidence < 0.5
    assert model.prompts == []


async def test_before_the_first_ingest_the_answer_says_so() -> None:
    model = FakeModel()
    events = await events_of(model, services_with(releases=FakeReleases(None)))
    assert events[:2] == [Started((), 0), Delta(NOTHING_INDEXED)]
    assert isinstance(events[2], Finished)
    assert events[2].no_results
    assert model.prompts == []


async def test_a_greeting_is_returned_without_looking_anything_up() -> None:
    model = FakeModel()
    events = await events_of(model, services_with(releases=FakeReleases(None)), "Hello!")
    assert events[:2] == [Started((), 0), Delta(GREETING)]
    assert isinstance(events[2], Finished)
    assert not events[2].no_results


async def test_an_error_of_the_model_reaches_the_caller_after_what_was_said() -> None:
    model = FakeModel("Over the", error=AnswerTruncated("broken off"))
    stream = answer(Question(QUESTION), finding(ANCHOR), model)
    assert [type(await anext(stream)) for _ in range(3)] == [Started, Delta, Delta]
    with pytest.raises(AnswerTruncated):
        await anext(stream)
    assert model.closed


async def test_closing_the_answer_closes_the_model_s_stream() -> None:
    model = FakeModel("word " * 100)
    stream = answer(Question(QUESTION), finding(ANCHOR), model)
    async for event in stream:
        if isinstance(event, Delta):
            break
    assert not model.closed
    await stream.aclose()
    assert model.closed


async def test_an_answer_that_the_provider_s_filter_swallowed_is_not_an_empty_page() -> None:
    events = await events_of(FakeModel("", Ending("content_filter")), finding(ANCHOR))
    assert Delta(STOPPED) in events
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "content_filter"


async def test_an_answer_of_which_nothing_is_left_is_not_an_empty_page() -> None:
    events = await events_of(FakeModel("[99]\n", Ending("stop")), finding(ANCHOR))
    assert isinstance(events[-1], Finished)
    assert events[-1].answer.strip() == NOTHING_SAID


async def test_without_a_model_the_passages_are_quoted_and_cited() -> None:
    events = [event async for event in answer(Question(QUESTION), finding(ANCHOR, SAILS), ExtractiveModel())]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.model == "extractive"
    assert finished.answer.startswith(f"{ANCHOR.chunk.chunk.text} {link_to(ANCHOR)}")
    assert finished.sources[0].heading == "Anchoring"
