"""From a question to an answer, as a stream of events. This is the way through; each step has a module of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Final

from api.chat.admission import admission
from api.chat.answer_writer import AnswerWriter
from api.chat.citations import Written, link_to
from api.chat.events import Cited, Delta, Event, Finished, Found, Question, Started
from api.chat.identifiers import remark_on, unknown_names
from api.chat.judge import Verdict
from api.chat.leaks import without_leaks
from api.chat.model import ChatModel, Ending, ExtractiveModel
from api.chat.parts import find_and_judge
from api.chat.prompt import Prompt, build_prompt
from api.chat.readings import question_back
from api.chat.refusal import note_on_missing, refuse
from api.chat.retrieve import Findings
from api.chat.rewrite import standalone
from api.chat.small_talk import reply_to_small_talk
from shared.models import Passage, Release
from shared.services import Services
from shared.tasks import cancelled
from shared.tokens import count_tokens

NOTHING_INDEXED: Final = "Nothing has been indexed yet, so there is nothing to answer from. Please come back later."
STOPPED: Final = "The model's provider has stopped this answer."
NOTHING_SAID: Final = "The model has written nothing that could be shown. Please ask again, or in other words."


async def answer(question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
    """Started, then Delta and Cited as they come, then exactly one Finished. Raises LecternError if it cannot go on.

    Closing the generator stops the model at once.
    """
    small_talk = reply_to_small_talk(question.text, amid=bool(question.history or question.selection))
    release = None if small_talk else question.release or await services.releases.live()
    if release is None:
        yield Started((), 0)
        for event in _canned(small_talk or NOTHING_INDEXED, model, no_results=small_talk is None):
            yield event
        return
    searched = await standalone(question, services, model)
    looked_for = replace(question, text=searched, history=()) if searched else question
    async with admission().turn():
        findings, verdict = await find_and_judge(looked_for, release, services)
    if not verdict.answerable:
        yield _started((), findings, release)
        refused = refuse(question.text, verdict)
        for event in _canned(refused, model, no_results=True, searched=searched, confidence=verdict.confidence):
            yield event
        return
    yield _started(findings.passages, findings, release)
    prompt = build_prompt(
        question,
        findings.passages,
        services.settings.max_answer_tokens,
        missing=verdict.missing,
        doubtful=verdict.doubtful,
    )
    async with aclosing(_streamed(prompt, release, services, model, verdict=verdict, searched=searched)) as events:
        async for event in events:
            yield event


def _started(shown: Sequence[Passage], findings: Findings, release: Release) -> Started:
    found = (
        Found(passage.chunk.id, passage.chunk.chunk.url, passage.score, passage.cosine, passage.joined)
        for passage in findings.passages
    )
    return Started(tuple(map(link_to, shown)), len(findings.passages), release.number, tuple(found))


async def _streamed(
    prompt: Prompt, release: Release, services: Services, model: ChatModel, *, verdict: Verdict, searched: str
) -> AsyncGenerator[Event, None]:
    """The model's words, their marks made into links, and what it all came to."""
    writer = AnswerWriter(prompt.passages, services.bm25, mends=model.name != ExtractiveModel.name)
    heard: list[str] = []
    said: list[str] = []
    ending = Ending("stop")
    async with aclosing(without_leaks(model.stream(prompt, services), prompt)) as parts, _reading(writer):
        async for part in parts:
            if isinstance(part, Ending):
                ending = part
                break
            heard.append(part)
            for event in _events(writer.feed(part), said):
                yield event
    for event in _events(writer.finish(), said):
        yield event
    if not "".join(said).strip():
        for event in _events(Written(STOPPED if ending.finish_reason == "content_filter" else NOTHING_SAID), said):
            yield event
    unknown = await unknown_names("".join(heard), prompt.passages, release, services)
    remarks = (
        remark_on(unknown),
        note_on_missing(verdict),
        question_back(prompt.question, prompt.passages, writer.cited),
    )
    for event in _events(Written("".join(remarks)), said):
        yield event
    prompt_tokens = prompt.tokens if ending.prompt_tokens is None else ending.prompt_tokens
    answer_tokens = count_tokens("".join(heard)) if ending.answer_tokens is None else ending.answer_tokens
    yield Finished(
        answer="".join(said), sources=tuple(writer.cited), model=ending.model or model.name,
        tokens_used=prompt_tokens + answer_tokens, context_used=prompt.context_tokens,
        no_results=False, finish_reason=ending.finish_reason, searched=searched, confidence=verdict.confidence,
        prompt_tokens=prompt_tokens, answer_tokens=answer_tokens,
        claims=tuple(writer.claims), grounded=writer.grounded, unknown_names=unknown,
    )  # fmt: skip


@asynccontextmanager
async def _reading(writer: AnswerWriter) -> AsyncIterator[None]:
    """Have the passages read for evidence while the model thinks, one after the other, so that others run between."""

    async def read() -> None:
        for _ in writer.read_ahead():
            await asyncio.sleep(0)

    work = asyncio.create_task(read())
    try:
        yield
    finally:
        await cancelled(work)


def _events(written: Written, said: list[str]) -> Iterator[Event]:
    """The events of a finished piece, which is noted down as said."""
    if written.text:
        said.append(written.text)
        yield Delta(written.text)
    yield from map(Cited, written.cited)


def _canned(
    text: str, model: ChatModel, *, no_results: bool, searched: str = "", confidence: float | None = None
) -> Iterator[Event]:
    yield Delta(text)
    yield Finished(
        answer=text, sources=(), model=model.name, tokens_used=0, context_used=0,
        no_results=no_results, finish_reason="stop", searched=searched, confidence=confidence,
    )  # fmt: skip
