"""What goes into an answer and what comes out of it. Free of HTTP: the routes turn these into SSE, NDJSON or JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange of the same conversation."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a visitor asks, whatever their client calls its fields."""

    text: str
    #: The words that the visitor had marked on the page.
    selection: str | None = None
    #: Oldest first.
    history: tuple[Turn, ...] = ()
    #: Passages to answer from.
    k: int = 5
    #: Tokens of the prompt and the answer together.
    context_window: int = 4000


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the answer names, as a visitor can check it."""

    #: As in the prompt, from 1.
    number: int
    id: str
    chunk_id: str
    #: The passage's first words, plain.
    text: str
    chapter: str
    #: The heading that the passage stands under; "" if it is the page's own.
    section: str
    heading: str
    page_title: str
    path: str
    url: str
    #: 0..1, the cosine of question and passage.
    score: float


@dataclass(frozen=True, slots=True)
class Started:
    """First event: what was found."""

    #: Markdown links, best first; none where nothing fits the question.
    sources: tuple[str, ...]
    retrieved: int


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the answer's Markdown. Links are never cut in two."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """A passage was named for the first time, in the delta just before."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event, exactly once."""

    answer: str
    #: The passages that the answer names, in the order of their first mention.
    sources: tuple[Citation, ...]
    #: The model's name, or "extractive".
    model: str
    #: Of prompt and answer.
    tokens_used: int
    #: Tokens of the passages that were shown to the model.
    context_used: int
    no_results: bool
    #: "stop", "length" or "content_filter", as the provider says it.
    finish_reason: str


Event = Started | Delta | Cited | Finished
