"""What goes into an answer and what comes out of it. Free of HTTP: the routes turn these into SSE, NDJSON or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.models import Release


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange of the same conversation."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be answered from. None lets all through."""

    #: Of the docs, as the site names it.
    version: str | None = None
    #: The language, as the site names it.
    locale: str | None = None
    #: What the paths of pages begin with, in the content root: `guide/`.
    path: str | None = None
    #: One page, by its path or its address.
    page: str | None = None


NO_FILTERS = Filters()


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
    filters: Filters = NO_FILTERS
    #: The page that the visitor is on, by its path or its address: its passages are preferred. "" where unknown.
    page: str = ""
    #: The release to answer from, where an owner compares several; None for the live one.
    release: Release | None = None


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
    #: The passage's own words that the claim rests on, plain, as they stand on the page; "" where none could be found.
    quote: str = ""
    #: `url` with a text fragment, which lets a browser show the quoted words; `url` itself without a quote.
    quote_url: str = ""


Support = Literal["supported", "weak", "unsupported"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the answer that says something about the docs' subject, and how it stands by its passages."""

    text: str
    support: Support
    #: The passages that it rests on, as in the prompt, from 1.
    numbers: tuple[int, ...] = ()
    #: What of it stands in none of these passages: names, numbers, identifiers.
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A flag, function, option, path or variable of the answer that stands nowhere in the release."""

    name: str
    #: The most similar one that does; "" if none comes near.
    nearest: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that retrieval has brought up, as the owner's log keeps it."""

    chunk_id: str
    url: str
    score: float
    cosine: float | None
    #: Chunks whose text was joined to it.
    joined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Started:
    """First event: what was found."""

    #: Markdown links, best first; none where nothing fits the question.
    sources: tuple[str, ...]
    retrieved: int
    #: The release's number; None before the first ingest and where nothing was looked for.
    release: int | None = None
    found: tuple[Found, ...] = ()


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
    #: "stop", "length", "content_filter" or "refusal".
    finish_reason: str
    #: Every sentence that claims something, in reading order.
    claims: tuple[Claim, ...] = ()
    #: The part of `claims` that is supported, 0..1; None without claims.
    grounded: float | None = None
    unknown_names: tuple[UnknownName, ...] = ()
    #: How likely it is that the passages answer the question, 0..1; None where nothing was looked for.
    confidence: float | None = None
    #: Whether the answer was given before and kept.
    cached: bool = False
    #: The standalone question that was searched for, where it is not the one that was asked.
    searched: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = 0


Event = Started | Delta | Cited | Finished
