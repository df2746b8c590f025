"""Asks questions whose answers are known, as visitors would, and reports what came of each.

What it all comes to is counted by whoever asks (`shared.measures`), so that a long evaluation is many short requests.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from api.chat.events import NO_FILTERS, Delta, Filters, Finished, Question, Started, Turn
from api.chat.markdown import BARE_URL, plain_target, target_of, without_trailing_punctuation
from api.chat.places import places_of
from api.chat.retrieve import find
from api.chat.rewrite import standalone
from api.dependencies import Runtime
from api.evaluation_schemas import (
    ANSWER_CHARACTERS,
    EvaluationError,
    EvaluationQuestion,
    EvaluationReply,
    EvaluationRequest,
    EvaluationRow,
    EvaluationSettings,
    RetrievedOut,
)
from shared.errors import AnswerTruncated, LecternError
from shared.models import Passage, Release
from shared.services import Services

log = structlog.get_logger(__name__)

#: A question that takes longer is reported as failed; visitors have left by then.
QUESTION_SECONDS: Final = 120
#: Links that are named where they lead nowhere.
NAMED: Final = 50

_CODE: Final = re.compile(
    r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1|\Z)|(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL
)
_LINK: Final = re.compile(r"(?<!\\)\]\(((?:[^()\n]|\([^()\n]*\))*)\)")


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, read to its end."""

    started: Started
    finished: Finished
    seconds: float
    first_word: float | None


async def evaluate(request: EvaluationRequest, runtime: Runtime) -> EvaluationReply:
    """Ask all questions, a few at a time. Raises LecternError for a release that there is not."""
    services = runtime.services
    number = request.release
    release = await (services.releases.live() if number is None else services.releases.get(number))
    runtime = replace(runtime, services=with_settings(services, request.settings))
    rows = await asyncio.gather(*(row_of(asked, request, release, runtime) for asked in request.questions))
    return EvaluationReply(
        release=release.number if release else None,
        embedding_model=services.embedder.model,
        rows=rows,
        unknown_pages=await unknown_pages(request.pages, release, services),
    )


def with_settings(services: Services, settings: EvaluationSettings) -> Services:
    """The same services, with these settings for whoever is given them."""
    changes = {name: value for name, value in settings.model_dump(exclude={"passages"}).items() if value is not None}
    return replace(services, settings=services.settings.model_copy(update=changes))


async def row_of(
    asked: EvaluationQuestion, request: EvaluationRequest, release: Release | None, runtime: Runtime
) -> EvaluationRow:
    """One question, answered and searched for. What fails is in the row, and keeps no other from being asked."""
    question = question_of(asked, request.settings, release, runtime.services)
    async with runtime.evaluating:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                # The answer first: a visitor's question has not been embedded before either.
                heard = await hear(question, runtime) if request.answers else None
                found, searched = await retrieved(replace(question, k=request.k), release, runtime)
                links = await linked(heard, found, release, runtime.services) if heard else {}
        except LecternError as error:
            return _failed(asked, began, error.code, error.message)
        except TimeoutError:
            return _failed(asked, began, "TIMEOUT", f"no answer within {QUESTION_SECONDS} seconds")
        except Exception as error:  # the row's edge: one question must not cost the owner the other 49
            log.exception("evaluation.crashed")
            return _failed(asked, began, "INTERNAL_ERROR", type(error).__name__)
    return EvaluationRow(
        question=asked.question,
        retrieved=[_retrieved_out(passage, asked.must_contain) for passage in found],
        searched=searched,
        error=None,
        **{"seconds": time.perf_counter() - began, **(_answer_fields(heard) if heard else {}), **links},
    )


def question_of(
    asked: EvaluationQuestion, settings: EvaluationSettings, release: Release | None, services: Services
) -> Question:
    """As POST /chat would make it of a visitor's request."""
    kept = services.settings.max_context_messages
    turns = tuple(Turn(turn.question, turn.answer) for turn in asked.history)
    return Question(
        text=asked.question,
        history=turns[-kept:] if kept else (),
        k=settings.passages,
        context_window=services.settings.context_window,
        filters=Filters(**asked.filters.model_dump()) if asked.filters else NO_FILTERS,
        release=release,
    )


async def hear(question: Question, runtime: Runtime) -> Heard:
    """Read an answer to its end. Raises AnswerTruncated if it has none."""
    began = time.perf_counter()
    started, finished, first_word = Started((), 0), None, None
    async with aclosing(runtime.answer(question, runtime.services, runtime.model)) as events:
        async for event in events:
            if isinstance(event, Started):
                started = event
            elif isinstance(event, Delta) and first_word is None:
                first_word = time.perf_counter() - began
            elif isinstance(event, Finished):
                finished = event
    if finished is None:
        raise AnswerTruncated("the answer broke off before its end")
    return Heard(started, finished, time.perf_counter() - began, first_word)


async def retrieved(question: Question, release: Release | None, runtime: Runtime) -> tuple[list[Passage], str]:
    """The passages that are found, best first, and what was searched for in place of a follow-up."""
    if release is None:
        return [], ""
    searched = await standalone(question, runtime.services, runtime.model)
    looked_for = replace(question, text=searched, history=()) if searched else question
    findings = await find(looked_for, release, runtime.services)
    return list(findings.passages)[: question.k], searched


async def linked(heard: Heard, found: Sequence[Passage], release: Release | None, services: Services) -> dict[str, Any]:
    """How many links the answer has, and which of them lead astray."""
    targets = links_of(heard.finished.answer)
    used = {passage.chunk_id for passage in heard.started.found}
    shown = {passage.url for passage in heard.started.found} | set(links_of(" ".join(heard.started.sources)))
    shown |= {place.url for passage in found if passage.chunk.id in used for place in places_of(passage.chunk.chunk)}
    known = {plain_target(url) for url in shown}
    not_shown = [target for target in targets if plain_target(target) not in known]
    pages = await page_addresses(release, services) if not_shown and release else set()
    nowhere = [target for target in not_shown if plain_target(target).partition("#")[0] not in pages]
    return {"links": len(targets), "links_not_shown": not_shown[:NAMED], "links_to_nowhere": nowhere[:NAMED]}


def links_of(markdown: str) -> list[str]:
    """Where the links of a text lead, bare addresses among them; what stands in code is none."""
    prose = _CODE.sub(" ", markdown)
    targets = [target_of(inside) for inside in _LINK.findall(prose)]
    bare = BARE_URL.findall(_LINK.sub(" ", prose))
    return [*targets, *map(without_trailing_punctuation, bare)]


async def page_addresses(release: Release, services: Services) -> set[str]:
    """Of all pages of a release, as links have them."""
    facts = services.store.page_facts(release.collection, release.number)
    return {plain_target(page.url) async for page in facts}


async def unknown_pages(paths: Sequence[str], release: Release | None, services: Services) -> list[str]:
    """Those that the release has not, in their order."""
    if not paths or release is None:
        return []
    known = await services.store.pages_of(release.collection, release.number, list(dict.fromkeys(paths)))
    return [path for path in dict.fromkeys(paths) if path not in known]


def _answer_fields(heard: Heard) -> dict[str, Any]:
    finished = heard.finished
    return {
        "seconds": heard.seconds, "first_word_seconds": heard.first_word, "refused": finished.no_results,
        "confidence": finished.confidence, "grounded": finished.grounded, "finish_reason": finished.finish_reason,
        "answer": finished.answer[:ANSWER_CHARACTERS], "model": finished.model, "tokens_used": finished.tokens_used,
    }  # fmt: skip


def _retrieved_out(passage: Passage, words: Iterable[str]) -> RetrievedOut:
    chunk = passage.chunk.chunk
    text = chunk.text.casefold()
    return RetrievedOut(
        id=passage.chunk.id, path=chunk.path, url=chunk.url, title=chunk.page_title, heading=chunk.heading,
        anchors=[anchor for anchor in dict.fromkeys((chunk.anchor, *(part.anchor for part in chunk.parts))) if anchor],
        score=passage.score, cosine=passage.cosine, holds=all(word.casefold() in text for word in words),
    )  # fmt: skip


def _failed(asked: EvaluationQuestion, began: float, code: str, message: str) -> EvaluationRow:
    seconds = time.perf_counter() - began
    error = EvaluationError(code=code, message=message)
    return EvaluationRow(question=asked.question, retrieved=[], searched="", error=error, seconds=seconds)
