"""What the question log keeps of a question: from its answer's events to an entry, as the owner reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, Field

from api.chat.events import Finished, Found, Question, Started
from api.chat.model import ExtractiveModel
from api.chat.spending import Spending
from shared.prices import price_of
from shared.settings import Settings

#: Characters of a text that are kept: a question of more is a paste.
TEXT_KEPT: Final = 2000
#: Addresses and ids of passages, names that stand nowhere: of each answer, so many at most.
LISTED: Final = 20
MILLION: Final = 1_000_000


class LoggedPassage(BaseModel):
    """A passage that was found, or that the answer cites."""

    chunk_id: str
    url: str
    score: float
    cosine: float | None = None


class LoggedQuestion(BaseModel):
    """A question, and how it was answered. Fields that are not known are null."""

    id: str = Field(default="", description="orders the log; send it as `before` for older ones")
    at: str = Field(default="", description="when the answer ended, ISO 8601")
    visitor: str = Field(default="", description="the same for a visitor's questions of one day (UTC), and no longer")
    question: str
    searched: str = Field(default="", description='the standalone question that was searched for; "" if it is the same')
    follow_up: bool = False
    selection: bool = Field(default=False, description="whether the visitor had marked text, which is not kept")
    page: str = ""
    dialect: str
    outcome: str = Field(description="answered, no_results, left, or an error's code in lower case")
    no_results: bool
    finish_reason: str | None = None
    release: int | None = None
    found: list[LoggedPassage] = []
    cited: list[LoggedPassage] = []
    confidence: float | None = None
    grounded: float | None = None
    sentences: int = 0
    unsupported: int = 0
    unknown_names: list[str] = []
    model: str | None = None
    cached: bool = False
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    rewrite_tokens: int = Field(default=0, description="of making a follow-up stand alone: request and reply")
    embedding_tokens: int = Field(default=0, description="of the texts that were embedded to search for")
    dollars: float | None = Field(default=None, description="of all these tokens, as far as their prices are known")
    first_word_seconds: float | None = None
    seconds: float


class LoggedFeedback(BaseModel):
    """What a visitor has said of an answer."""

    id: str = ""
    at: str = ""
    visitor: str = ""
    message_id: str
    rating: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Course:
    """How answering went, as the route has seen it. Times are in seconds from the question on."""

    dialect: str
    outcome: str
    first_word: float | None
    whole: float
    started: Started | None
    finished: Finished | None
    spent: Spending = field(default_factory=Spending)


def entry_of(question: Question, course: Course, settings: Settings) -> dict[str, Any]:
    """The entry of one question, ready for JSON; time, visitor and id come with writing and reading it."""
    started, finished = course.started, course.finished
    entry = LoggedQuestion(
        question=question.text[:TEXT_KEPT], follow_up=bool(question.history), selection=bool(question.selection),
        page=question.page[:TEXT_KEPT], dialect=course.dialect, outcome=course.outcome,
        no_results=course.outcome == "no_results", first_word_seconds=_rounded(course.first_word),
        seconds=round(course.whole, 3),
        rewrite_tokens=course.spent.rewrite_prompt + course.spent.rewrite_reply,
        embedding_tokens=course.spent.embedding,
    )  # fmt: skip
    if started is not None:
        entry.release = started.release
        entry.found = _passages(started.found)
    if finished is not None:
        _add_answer(entry, finished)
        entry.dollars = dollars_of(finished, course.spent, settings)
    return entry.model_dump(exclude={"id", "at", "visitor"})


def _add_answer(entry: LoggedQuestion, finished: Finished) -> None:
    entry.searched = finished.searched[:TEXT_KEPT]
    entry.finish_reason, entry.model, entry.cached = finished.finish_reason, finished.model, finished.cached
    entry.cited = [
        LoggedPassage(chunk_id=cited.chunk_id, url=cited.url, score=cited.score) for cited in finished.sources[:LISTED]
    ]
    entry.confidence, entry.grounded = _rounded(finished.confidence), _rounded(finished.grounded)
    entry.sentences = len(finished.claims)
    entry.unsupported = sum(claim.support == "unsupported" for claim in finished.claims)
    entry.unknown_names = [unknown.name for unknown in finished.unknown_names[:LISTED]]
    entry.prompt_tokens, entry.answer_tokens = finished.prompt_tokens, finished.answer_tokens


def dollars_of(finished: Finished, spent: Spending, settings: Settings) -> float | None:
    """What an answer and its search took; None if nobody has said what the chat model's tokens cost.

    Embedding a question costs a ten-thousandth of a cent or so: without a known price it is left out.
    """
    prompt, answer = spent.rewrite_prompt, spent.rewrite_reply
    if not (finished.cached or finished.model == ExtractiveModel.name or not finished.tokens_used):
        prompt, answer = prompt + finished.prompt_tokens, answer + finished.answer_tokens
    embedding = price_of(settings).of(spent.embedding) or 0.0
    if not prompt + answer:
        return embedding
    if settings.chat_price_input is None or settings.chat_price_output is None:
        return None
    return embedding + (prompt * settings.chat_price_input + answer * settings.chat_price_output) / MILLION


def feedback_entry(message_id: str, rating: str, question: str, answer: str) -> dict[str, Any]:
    """What is kept of a visitor's rating, ready for JSON."""
    entry = LoggedFeedback(
        message_id=message_id, rating=rating, question=question[:TEXT_KEPT], answer=answer[:TEXT_KEPT]
    )
    return entry.model_dump(exclude={"id", "at", "visitor"})


def _passages(found: Sequence[Found]) -> list[LoggedPassage]:
    return [
        LoggedPassage(
            chunk_id=each.chunk_id, url=each.url, score=round(each.score, 4), cosine=_rounded(each.cosine, digits=4)
        )
        for each in found[:LISTED]
    ]


def _rounded(number: float | None, digits: int = 3) -> float | None:
    return None if number is None else round(number, digits)
