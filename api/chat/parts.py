"""A question that asks several things, of which the docs answer but some: what is about something else must not keep
the visitor from an answer to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from api.chat.asked import Side, read_question
from api.chat.events import Question
from api.chat.features import asked_words
from api.chat.follow_up import points_back
from api.chat.judge import LEAST_WORDS, Verdict, judge, parts_of
from api.chat.overlap import terms_of
from api.chat.retrieve import Findings, find
from api.chat.search import clipped
from shared.models import Passage, Release
from shared.services import Services


async def find_and_judge(asked: Question, release: Release, services: Services) -> tuple[Findings, Verdict]:
    """What is found for a question and whether it answers it. Where it does not, each part is looked for by itself.

    Raises DependencyDown if the index does not answer.
    """
    findings = await find(asked, release, services)
    verdict = await judge(asked, findings, release, services)
    if _asks_about_selection(asked, findings, services):
        marked = Question(clipped(asked.selection or ""), k=asked.k, filters=asked.filters)
        told = await judge(marked, await find(marked, release, services), release, services)
        if not told.answerable:
            return findings, replace(told, missing=(), strange_selection=not told.unmatched)
    if verdict.answerable:
        return await _with_both_sides(asked, findings, release, services), verdict
    parts = parts_of(findings.asked or asked.text) if findings.passages else []
    if not parts or any(len(asked_words(part, services.bm25)) < LEAST_WORDS for part in parts):
        return findings, verdict
    answered: list[tuple[Findings, Verdict]] = []
    uncovered: list[str] = []
    for part in parts:
        question = replace(asked, text=part)
        found = await find(question, release, services)
        judged = await judge(question, found, release, services)
        if judged.answerable:
            answered.append((found, judged))
        else:
            uncovered.append(part)
    if not answered:
        return findings, verdict
    return (
        Findings(
            passages=_by_turns([found.passages for found, _ in answered], asked.k),
            judged=_by_turns([found.judged for found, _ in answered], asked.k),
            cosine=max((found.cosine for found, _ in answered if found.cosine is not None), default=None),
            asked=findings.asked,
        ),
        Verdict(
            answerable=True,
            confidence=max(judged.confidence for _, judged in answered),
            missing=tuple(dict.fromkeys(chain.from_iterable(judged.missing for _, judged in answered))),
            uncovered=tuple(uncovered),
        ),
    )


def _asks_about_selection(asked: Question, findings: Findings, services: Services) -> bool:
    """Whether a question says nothing without the marked text, and that is none of the docs' own."""
    if not asked.selection or findings.selected:
        return False
    return points_back(asked.text) or not asked_words(asked.text, services.bm25)


async def _with_both_sides(asked: Question, findings: Findings, release: Release, services: Services) -> Findings:
    """What was found, and of a comparison the best passage on each side that none of it is headed by."""
    passages, added = findings.passages, list[Passage]()
    for side in read_question(findings.asked or asked.text, services.bm25).sides:
        if not any(_is_headed_by(side, passage, services) for passage in passages):
            found = await find(replace(asked, text=side.name, history=(), selection=None), release, services)
            named = [passage for passage in found.passages if _is_headed_by(side, passage, services)]
            added += named[:1]
    return replace(findings, passages=(*passages[: max(1, asked.k - len(added))], *added)[: asked.k])


def _is_headed_by(side: Side, passage: Passage, services: Services) -> bool:
    headings = " ".join((passage.chunk.chunk.page_title, *passage.chunk.chunk.trail))
    return side.terms <= terms_of(headings, services.bm25)


def _by_turns(lists: Sequence[Sequence[Passage]], k: int) -> tuple[Passage, ...]:
    """The best of each, then the second of each, and so on: `k` in all, none twice."""
    found: dict[str, Passage] = {}
    for passage in filter(None, chain.from_iterable(zip_longest(*lists))):
        found.setdefault(passage.chunk.id, passage)
    return tuple(found.values())[:k]
