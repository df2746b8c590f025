"""From a question to an answer, as a stream of events. This is the way through; each step has a module of its own."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from api.chat.citations import CitationWriter, Written, link_to
from api.chat.events import Cited, Delta, Event, Finished, Question, Started
from api.chat.judge import fits, near
from api.chat.markdown import escape_link_text
from api.chat.model import ChatModel, Ending
from api.chat.prompt import Prompt, build_prompt
from api.chat.retrieve import find
from shared.models import Passage
from shared.services import Services
from shared.tokens import count_tokens

#: Headings named where nothing fits.
NEAREST: Final = 3
#: Characters of a question that are repeated to its asker.
REPEATED: Final = 80

GREETING: Final = "Hello! Ask me anything about these docs, and I will answer with links to the sections I used."
THANKS: Final = "You are welcome! Ask away if there is anything else you would like to know about these docs."
NOTHING_INDEXED: Final = "Nothing has been indexed yet, so there is nothing to answer from. Please come back later."
STOPPED: Final = "The model's provider has stopped this answer."
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_GREETINGS: Final = re.compile(
    r"(?:hi+|hello|hey+|yo|sup|greetings|good (?:morning|afternoon|evening|day)|(?:as)?salam(?:u? ?(?:o )?al[ai]+kum)?"
    r"|hola|hallo|bonjour)(?: there| all| everyone)?",
    re.IGNORECASE,
)
_THANKS: Final = re.compile(
    r"(?:thanks?|thank you|thx|ty|cheers)(?: (?:a lot|so much|very much|again))?", re.IGNORECASE
)


async def answer(question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
    """Started, then Delta and Cited as they come, then exactly one Finished. Raises LecternError if it cannot go on.

    Closing the generator stops the model at once.
    """
    small_talk = reply_to_small_talk(question.text)
    release = None if small_talk else await services.releases.live()
    if release is None:
        yield Started((), 0)
        for event in _canned(small_talk or NOTHING_INDEXED, model, no_results=small_talk is None):
            yield event
        return
    findings = await find(question, release, services)
    if not fits(findings, services.settings.min_score):
        yield Started((), len(findings.passages))
        nearest = near(question.text, findings.judged, services)
        for event in _canned(nothing_fits(question.text, nearest), model, no_results=True):
            yield event
        return
    yield Started(tuple(link_to(passage) for passage in findings.passages), len(findings.passages))
    prompt = build_prompt(question, findings.passages, services.settings.max_answer_tokens)
    async with aclosing(_streamed(prompt, services, model)) as events:
        async for event in events:
            yield event


async def _streamed(prompt: Prompt, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
    """The model's words, their marks made into links, and what it all came to."""
    writer = CitationWriter(prompt.passages)
    heard: list[str] = []
    said: list[str] = []
    ending = Ending("stop")
    async with aclosing(model.stream(prompt, services)) as parts:
        async for part in parts:
            if isinstance(part, Ending):
                ending = part
                break
            heard.append(part)
            for event in _events(writer.feed(part), said):
                yield event
    for event in _events(writer.finish(), said):
        yield event
    if not said and ending.finish_reason == "content_filter":
        for event in _events(Written(STOPPED), said):
            yield event
    prompt_tokens = prompt.tokens if ending.prompt_tokens is None else ending.prompt_tokens
    answer_tokens = count_tokens("".join(heard)) if ending.answer_tokens is None else ending.answer_tokens
    yield Finished(
        answer="".join(said), sources=tuple(writer.cited), model=model.name,
        tokens_used=prompt_tokens + answer_tokens, context_used=prompt.context_tokens,
        no_results=False, finish_reason=ending.finish_reason,
    )  # fmt: skip


def _events(written: Written, said: list[str]) -> Iterator[Event]:
    """The events of a finished piece, which is noted down as said."""
    if written.text:
        said.append(written.text)
        yield Delta(written.text)
    yield from map(Cited, written.cited)


def _canned(text: str, model: ChatModel, *, no_results: bool) -> Iterator[Event]:
    yield Delta(text)
    yield Finished(
        answer=text, sources=(), model=model.name, tokens_used=0, context_used=0,
        no_results=no_results, finish_reason="stop",
    )  # fmt: skip


def reply_to_small_talk(text: str) -> str | None:
    """What to say to a greeting or to thanks; None for anything that wants an answer from the docs."""
    said = " ".join(_NOT_WORDS.sub(" ", text).split())
    if _THANKS.fullmatch(said):
        return THANKS
    return GREETING if _GREETINGS.fullmatch(said) or (text.isascii() and len(text) <= 2) else None


def nothing_fits(question: str, passages: Sequence[Passage]) -> str:
    """What was looked for, in the visitor's words, and the headings of passages that came near, if any did."""
    short = question if len(question) <= REPEATED else question[:REPEATED].rstrip() + "..."
    text = f'I could not find anything in these docs that answers "{escape_link_text(short)}".'
    nearest = list(dict.fromkeys(map(link_to, passages)))[:NEAREST]
    if nearest:
        text += f" The nearest {'sections are' if len(nearest) > 1 else 'section is'} {', '.join(nearest)}."
    writer = CitationWriter(passages)
    return writer.feed(text).text + writer.finish().text
