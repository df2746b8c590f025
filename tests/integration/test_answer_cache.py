"""Answers that are given again, from a real index and a real Redis: while nothing of theirs has changed, and once for
all who ask at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from api.chat import kept as kept_answers
from api.chat.answer import answer
from api.chat.cache import AnswerCache, Result, key_of
from api.chat.completions import FinishReason
from api.chat.events import Delta, Event, Finished, Question, Started, Turn
from api.chat.kept import INDEX, KEY_PREFIX
from api.chat.model import ChatModel, Ending
from api.chat.prompt import Message, Prompt
from shared.errors import ProviderUnavailable
from shared.models import Release
from shared.rollback import activate
from shared.services import Services, open_services
from tests.by_hand import by_hand, ingest
from tests.conftest import OpenServices

ANCHOR = "# Anchoring\n\nDrop the anchor over the bow, in shallow water with a sandy ground.\n"
FUEL = "# Engine\n\nThe engine burns diesel fuel, two litres an hour.\n"
ASKED_ANCHOR = "Where do I drop the anchor?"
ASKED_FUEL = "How much diesel fuel does the engine burn?"
NOWHERE = "Who won the football world cup in 1990?"


class Model:
    """Says what its first passage says, word by word; counts how often, and can be made to wait or to fail."""

    name = "test-model"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stopped = 0
        self.wait = asyncio.Event()
        self.wait.set()
        self.error: Exception | None = None
        self.finish_reason: FinishReason = "stop"

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        self.asked.append(prompt.question.text)
        done = False
        try:
            for word in prompt.passages[0].chunk.chunk.text.rstrip(".\n").split():
                yield f"{word} "
            await self.wait.wait()
            if self.error is not None:
                raise self.error
            yield "[1]."
            yield Ending(self.finish_reason, 100, 20)
            done = True
        finally:
            self.stopped += not done

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        return None

    async def close(self) -> None:
        return


class Kept:
    """A cache with what it has counted."""

    def __init__(self, services: Services, model: Model, minutes: int = 60) -> None:
        self.services = services
        self.model = model
        self.results: Counter[Result] = Counter()
        self.cache = AnswerCache(answer, services.redis, minutes, lambda result: self.results.update([result]))

    async def hear(self, question: str | Question) -> list[Event]:
        asked = Question(question) if isinstance(question, str) else question
        events = [event async for event in self.cache(asked, self.services, self.model)]
        await self.settled()
        return events

    async def ask(self, question: str | Question) -> Finished:
        last = (await self.hear(question))[-1]
        assert isinstance(last, Finished)
        return last

    async def settled(self) -> None:
        """Until what was to be kept is."""
        while self.cache._under_way:
            await asyncio.sleep(0.005)


async def live(services: Services) -> Release:
    release = await services.releases.live()
    assert release is not None
    return release


async def ingest_all(services: Services) -> None:
    job = await ingest(by_hand(services)[0])
    assert job.state == "succeeded", job.reason


@pytest.fixture
async def services(opened: OpenServices, tmp_path: Path) -> AsyncIterator[Services]:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "anchor.md").write_text(ANCHOR)
    (docs / "engine.md").write_text(FUEL)
    # The same directory in which tests change pages.
    async with opened(site_url="https://boat.example", min_chunk_size=0) as running:
        await ingest_all(running)
        yield running


@pytest.fixture
async def here(services: Services) -> AsyncIterator[Kept]:
    kept = Kept(services, Model())
    yield kept
    await kept.cache.close()


async def test_a_question_that_is_asked_again_gets_the_same_answer_without_the_model(here: Kept) -> None:
    first = await here.hear(ASKED_ANCHOR)
    again = await here.hear("where do I drop the anchor")
    assert here.model.asked == [ASKED_ANCHOR]
    assert here.results == {"miss": 1, "hit": 1}
    assert again[0] == first[0]
    said = ["".join(event.text for event in events if isinstance(event, Delta)) for events in (first, again)]
    assert said[0] == said[1] != ""
    assert len(again) < len(first)
    assert isinstance(first[-1], Finished)
    assert first[-1].sources
    assert again[-1] == replace(first[-1], cached=True)


async def test_another_process_gives_the_same_answer(here: Kept) -> None:
    made = await here.ask(ASKED_ANCHOR)
    async with open_services(here.services.settings) as others:
        elsewhere = Kept(others, Model())
        assert await elsewhere.ask(ASKED_ANCHOR) == replace(made, cached=True)
        assert elsewhere.model.asked == []


async def test_after_a_page_was_edited_only_answers_that_were_made_from_it_are_made_anew(
    here: Kept, tmp_path: Path
) -> None:
    # One passage each, so that the other page is no part of what the answer was made from.
    fuel, anchor = Question(ASKED_FUEL, k=1), Question(ASKED_ANCHOR, k=1)
    before = [await here.hear(fuel), await here.hear(anchor)]
    (tmp_path / "docs" / "engine.md").write_text(FUEL.replace("two litres", "three litres"))
    await ingest_all(here.services)

    made_anew = await here.ask(fuel)
    assert "three litres" in made_anew.answer
    assert not made_anew.cached
    given_again = await here.hear(anchor)
    assert here.model.asked == [ASKED_FUEL, ASKED_ANCHOR, ASKED_FUEL]
    assert isinstance(given_again[-1], Finished)
    assert given_again[-1].cached
    assert isinstance(before[1][0], Started)
    assert given_again[0] == replace(before[1][0], release=2)


async def test_text_that_was_joined_to_a_passage_is_part_of_what_an_answer_was_made_from(
    here: Kept, tmp_path: Path
) -> None:
    engine = (await here.services.store.chunks_of((await live(here.services)).collection, 1, ["engine.md"]))[0].id

    async def joining(question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        async for event in answer(question, services, model):
            if not isinstance(event, Started):
                yield event
                continue
            yield replace(event, found=tuple(replace(found, joined=(engine,)) for found in event.found))

    here.cache = AnswerCache(joining, here.services.redis, 60, lambda _: None)
    asked = Question(ASKED_ANCHOR, k=1)
    await here.ask(asked)
    assert (await here.ask(asked)).cached
    (tmp_path / "docs" / "engine.md").write_text(FUEL.replace("two litres", "three litres"))
    await ingest_all(here.services)
    assert not (await here.ask(asked)).cached


async def test_an_answer_is_true_again_after_a_rollback_to_its_passages(here: Kept, tmp_path: Path) -> None:
    asked = Question(ASKED_ANCHOR, k=1)
    await here.ask(asked)
    (tmp_path / "docs" / "engine.md").write_text(FUEL.replace("two litres", "three litres"))
    await ingest_all(here.services)
    assert (await here.ask(asked)).cached
    # To be found true of another release makes no answer younger.
    assert 0 < await here.services.redis.ttl(KEY_PREFIX + key_of(asked, here.services, here.model)) <= 3600
    await activate(here.services.store, here.services.releases, 1)
    assert (await here.ask(asked)).cached
    assert len(here.model.asked) == 1


async def test_a_page_that_is_gone_is_not_answered_from(here: Kept, tmp_path: Path) -> None:
    asked = Question(ASKED_FUEL, k=1)
    assert "two litres" in (await here.ask(asked)).answer
    (tmp_path / "docs" / "engine.md").unlink()
    await ingest_all(here.services)
    after = await here.ask(asked)
    assert not after.cached
    assert "two litres" not in after.answer


async def test_a_refusal_holds_for_its_own_release_alone(here: Kept, tmp_path: Path) -> None:
    assert (await here.ask(NOWHERE)).no_results
    again = await here.ask(NOWHERE)
    assert (again.no_results, again.cached) == (True, True)
    (tmp_path / "docs" / "football.md").write_text("# Football\n\nGermany won the football world cup in 1990.\n")
    await ingest_all(here.services)
    told = await here.ask(NOWHERE)
    assert (told.no_results, told.cached) == (False, False)
    assert "Germany" in told.answer


async def test_fifty_who_ask_at_once_in_two_processes_get_one_answer_that_is_made_once(here: Kept) -> None:
    here.model.wait.clear()
    async with open_services(here.services.settings) as others:
        elsewhere = Kept(others, here.model)
        asking = [asyncio.create_task(each.hear(ASKED_ANCHOR)) for each in (here, elsewhere) * 25]
        await asyncio.sleep(0.5)
        here.model.wait.set()
        heard = await asyncio.gather(*asking)
    assert here.model.asked == [ASKED_ANCHOR]
    answers = {finished.answer for *_, finished in heard if isinstance(finished, Finished)}
    assert len(answers) == 1
    assert sum(not finished.cached for *_, finished in heard if isinstance(finished, Finished)) == 1
    for events in heard:
        assert "".join(event.text for event in events if isinstance(event, Delta)) in answers
    assert here.results + elsewhere.results == {"miss": 1, "hit": 1, "joined": 48}


async def test_a_process_whose_visitors_have_left_lets_another_one_make_the_answer(here: Kept) -> None:
    here.model.wait.clear()
    first = asyncio.create_task(here.hear(ASKED_ANCHOR))
    while not here.model.asked:
        await asyncio.sleep(0.01)
    async with open_services(here.services.settings) as others:
        elsewhere = Kept(others, Model())
        waiting = asyncio.create_task(elsewhere.hear(ASKED_ANCHOR))
        await asyncio.sleep(0.3)
        assert elsewhere.model.asked == []
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert here.model.stopped == 1
        async with asyncio.timeout(3):
            assert isinstance((await waiting)[-1], Finished)
    assert elsewhere.model.asked == [ASKED_ANCHOR]


async def test_a_process_that_waits_for_one_that_has_died_goes_on_when_its_claim_has_run_out(
    here: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.ask(ASKED_FUEL)
    (entry,) = [key async for key in here.services.redis.scan_iter(f"{KEY_PREFIX}*")]
    await here.services.redis.delete(entry)
    await here.services.redis.set(f"{entry}:maker", "somebody who has died", px=700)
    since = time.monotonic()
    assert not (await here.ask(ASKED_FUEL)).cached
    assert 0.5 < time.monotonic() - since < 3
    assert len(here.model.asked) == 2


async def test_nobody_waits_longer_than_for_a_model_s_first_word(here: Kept) -> None:
    await here.ask(ASKED_FUEL)
    (entry,) = [key async for key in here.services.redis.scan_iter(f"{KEY_PREFIX}*")]
    await here.services.redis.delete(entry)
    await here.services.redis.set(f"{entry}:maker", "somebody who is slow", px=60_000)
    impatient = replace(here.services, settings=here.services.settings.model_copy(update={"model_timeout": 0.5}))
    since = time.monotonic()
    assert not (await Kept(impatient, here.model).ask(ASKED_FUEL)).cached
    assert 0.5 <= time.monotonic() - since < 3


async def test_those_who_waited_for_an_answer_that_was_not_fit_to_be_kept_all_go_on_at_once(here: Kept) -> None:
    here.model.wait.clear()
    here.model.finish_reason = "length"
    first = asyncio.create_task(here.hear(ASKED_ANCHOR))
    while not here.model.asked:
        await asyncio.sleep(0.01)
    async with open_services(here.services.settings) as others:
        elsewhere = [Kept(others, Model()) for _ in range(3)]
        for each in elsewhere:
            each.model.wait.clear()
        waiting = [asyncio.create_task(each.hear(ASKED_ANCHOR)) for each in elsewhere]
        await asyncio.sleep(0.3)
        assert [each.model.asked for each in elsewhere] == [[]] * 3
        here.model.wait.set()
        await first
        try:
            async with asyncio.timeout(3):
                while not all(each.model.asked for each in elsewhere):
                    await asyncio.sleep(0.01)
        finally:
            for each in elsewhere:
                each.model.wait.set()
        heard = await asyncio.gather(*waiting)
    assert all(isinstance(events[-1], Finished) for events in heard)


async def test_a_maker_that_takes_long_keeps_its_claim(here: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "CLAIM_SECONDS", 0.4)
    here.model.wait.clear()
    first = asyncio.create_task(here.hear(ASKED_ANCHOR))
    while not here.model.asked:
        await asyncio.sleep(0.01)
    async with open_services(here.services.settings) as others:
        elsewhere = Kept(others, Model())
        waiting = asyncio.create_task(elsewhere.hear(ASKED_ANCHOR))
        await asyncio.sleep(1.5)
        assert elsewhere.model.asked == []
        here.model.wait.set()
        await asyncio.gather(first, waiting)
    assert elsewhere.results == {"hit": 1}


@pytest.mark.parametrize("reason", ["length", "content_filter", "refusal"])
async def test_an_answer_that_ended_early_is_not_given_again(here: Kept, reason: FinishReason) -> None:
    here.model.finish_reason = reason
    for _ in range(2):
        assert not (await here.ask(ASKED_ANCHOR)).cached
    assert len(here.model.asked) == 2


async def test_a_failure_is_not_given_again(here: Kept) -> None:
    here.model.error = ProviderUnavailable("it is away")
    with pytest.raises(ProviderUnavailable):
        await here.ask(ASKED_ANCHOR)
    here.model.error = None
    assert not (await here.ask(ASKED_ANCHOR)).cached


async def test_a_follow_up_and_a_question_about_a_selection_are_answered_for_themselves(here: Kept) -> None:
    await here.ask(ASKED_ANCHOR)
    for leaning in (
        Question(ASKED_ANCHOR, history=(Turn("Hi", "Hello"),)), Question(ASKED_ANCHOR, selection="sandy ground")
    ):  # fmt: skip
        assert not (await here.ask(leaning)).cached
    assert here.results == {"miss": 1, "passed": 2}


async def test_an_owner_who_names_a_release_gets_it_asked(here: Kept) -> None:
    await here.ask(ASKED_ANCHOR)
    named = Question(ASKED_ANCHOR, release=await live(here.services))
    assert not (await here.ask(named)).cached


async def test_the_oldest_answers_make_room_for_new_ones(here: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "MOST_ANSWERS", 3)
    for k in range(1, 6):
        await here.ask(Question(ASKED_ANCHOR, k=k))
    redis = here.services.redis
    names = [key async for key in redis.scan_iter(f"{KEY_PREFIX}*") if not key.endswith(":maker")]
    assert (len(names), await redis.zcard(INDEX)) == (3, 3)
    assert not (await here.ask(Question(ASKED_ANCHOR, k=1))).cached
    assert (await here.ask(Question(ASKED_ANCHOR, k=5))).cached


async def test_an_answer_that_is_too_large_is_not_kept(here: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "MOST_CHARACTERS", 100)
    for _ in range(2):
        assert not (await here.ask(ASKED_ANCHOR)).cached


async def test_everything_that_is_kept_runs_out(here: Kept) -> None:
    await here.ask(ASKED_ANCHOR)
    redis = here.services.redis
    lives = {key: await redis.ttl(key) for key in await redis.keys("lectern:answers*")}
    assert lives
    assert all(0 < seconds <= 3600 for seconds in lives.values()), lives


async def test_what_another_program_has_left_under_the_name_is_no_answer(here: Kept) -> None:
    await here.ask(ASKED_ANCHOR)
    (entry,) = [key async for key in here.services.redis.scan_iter(f"{KEY_PREFIX}*")]
    await here.services.redis.set(entry, "rubbish")
    assert not (await here.ask(ASKED_ANCHOR)).cached
    assert (await here.ask(ASKED_ANCHOR)).cached


async def test_without_redis_questions_are_answered_as_ever(services: Services) -> None:
    nowhere = services.settings.model_copy(
        update={"redis_url": type(services.settings.redis_url)("redis://127.0.0.1:1/0")}
    )
    async with open_services(nowhere) as without:
        lonely = Kept(replace(services, redis=without.redis), Model())
        since = time.monotonic()
        for _ in range(5):
            assert not (await lonely.ask(ASKED_ANCHOR)).cached
        assert len(lonely.model.asked) == 5
        assert time.monotonic() - since < 5


async def test_a_visitor_who_leaves_stops_the_model_at_once(here: Kept) -> None:
    here.model.wait.clear()
    async with aclosing(here.cache(Question(ASKED_ANCHOR), here.services, here.model)) as events:
        await anext(events)
        await anext(events)
        since = time.monotonic()
    assert time.monotonic() - since < 0.1
    assert here.model.stopped == 1
    assert [key async for key in here.services.redis.scan_iter("*:maker")] == []
