"""What POST /evaluate takes and sends."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from api.questions import FiltersIn, MessageText, QuestionText
from shared.models import FOREVER

#: One request takes seconds, not minutes: proxies cut what is silent for longer.
MOST_QUESTIONS: Final = 50
MOST_TURNS: Final = 20
MOST_WORDS: Final = 20
MOST_PAGES: Final = 1000
#: Of an answer, for people to read and for the words that it must hold.
ANSWER_CHARACTERS: Final = 8000

Words = Annotated[str, Field(min_length=1, max_length=2000)]


class EvaluationTurn(BaseModel):
    """One exchange before a question."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: MessageText
    answer: MessageText = ""


class EvaluationQuestion(BaseModel):
    """A question, with the words that tell a passage from its neighbours."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: QuestionText
    history: list[EvaluationTurn] = Field(default=[], max_length=MOST_TURNS)
    filters: FiltersIn | None = None
    must_contain: list[Words] = Field(
        default=[], max_length=MOST_WORDS, description="`holds` says which passages have them"
    )


class EvaluationSettings(BaseModel):
    """What may be tried without a restart, each in place of the setting of its name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    min_score: float | None = Field(default=None, ge=-1, le=1)
    max_answer_tokens: int | None = Field(default=None, ge=16, le=32_000)
    context_window: int | None = Field(default=None, ge=500, le=32_000)
    max_context_messages: int | None = Field(default=None, ge=0, le=20)
    passages: int = Field(default=5, ge=1, le=20, description="to answer from: `k` of POST /chat")


class EvaluationRequest(BaseModel):
    """Questions to ask, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    questions: list[EvaluationQuestion] = Field(min_length=1, max_length=MOST_QUESTIONS)
    k: int = Field(default=10, ge=1, le=20, description="passages to report of each question")
    release: int | None = Field(default=None, ge=1, le=FOREVER, description="a kept release; else the live one")
    settings: EvaluationSettings = EvaluationSettings()
    answers: bool = Field(default=True, description="false: only search, which takes a fraction of the time")
    pages: list[Words] = Field(
        default=[], max_length=MOST_PAGES, description="paths; `unknown_pages` names those that the release has not"
    )


class RetrievedOut(BaseModel):
    """A passage that was found. Several headings where small sections were joined."""

    id: str
    path: str
    url: str
    title: str
    heading: str
    anchors: list[str]
    score: float
    cosine: float | None
    #: Whether it has all the words of `must_contain`.
    holds: bool


class EvaluationError(BaseModel):
    code: str
    message: str


class EvaluationRow(BaseModel):
    """What came of one question. The fields from `refused` on are null without an answer."""

    question: str
    #: Best first.
    retrieved: list[RetrievedOut]
    searched: str
    error: EvaluationError | None
    #: Of the answer; of the search where only that was asked for.
    seconds: float
    refused: bool | None = None
    confidence: float | None = None
    grounded: float | None = None
    finish_reason: str | None = None
    #: The first ANSWER_CHARACTERS of it.
    answer: str | None = None
    model: str | None = None
    tokens_used: int | None = None
    first_word_seconds: float | None = None
    #: Links of the answer; those that lead to no passage it was made from; those that lead to no page of the release.
    links: int | None = None
    links_not_shown: list[str] = []
    links_to_nowhere: list[str] = []


class EvaluationReply(BaseModel):
    """The rows, in the questions' order."""

    release: int | None
    embedding_model: str
    rows: list[EvaluationRow]
    unknown_pages: list[str]
