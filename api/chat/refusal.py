"""What is said where the docs do not say: what was looked for, what is missing, and where the nearest sections are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from api.chat.citations import CitationWriter, link_to
from api.chat.judge import Verdict
from api.chat.markdown import escape_link_text
from shared.models import Passage

#: Headings named where nothing fits.
NEAREST: Final = 3
#: Characters of a question that are repeated to its asker.
REPEATED: Final = 80


def refuse(question: str, verdict: Verdict) -> str:
    """A short answer to a question that the docs do not answer, as Markdown with links to their pages alone."""
    nearest = list(dict.fromkeys(map(link_to, verdict.nearest)))[:NEAREST]
    text = f'I could not find anything in these docs that answers "{_repeated(question)}".'
    unknown = _listed([f"`{word}`" for word in verdict.missing], "or")
    if unknown and nearest:
        text += f" They cover {_listed(nearest, 'and')}, but nothing in them mentions {unknown}."
    elif unknown:
        text += f" Nothing in them mentions {unknown}."
    elif nearest:
        text += f" The nearest {'sections are' if len(nearest) > 1 else 'section is'} {', '.join(nearest)}."
    return _only_links_to(verdict.nearest, text)


def note_on_missing(verdict: Verdict) -> str:
    """A paragraph to put after an answer, on what of the question it leaves open; "" if nothing."""
    notes: list[str] = []
    if verdict.missing:
        notes.append(f"Nothing in these docs mentions {_listed([f'`{word}`' for word in verdict.missing], 'or')}.")
    if verdict.uncovered:
        parts = _listed([f'"{_repeated(part)}"' for part in verdict.uncovered], "or")
        notes.append(
            f"They do not say anything on {parts}." if notes else f"These docs do not say anything on {parts}."
        )
    return _only_links_to((), "\n\n" + " ".join(notes)) if notes else ""


def _repeated(text: str) -> str:
    """The visitor's own words, shortened, which can neither link nor break out of their quotes."""
    text = " ".join(text.split())
    return escape_link_text(text if len(text) <= REPEATED else text[:REPEATED].rstrip() + "...")


def _listed(items: Sequence[str], last: str) -> str:
    """`a, b or c`"""
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)


def _only_links_to(passages: Sequence[Passage], text: str) -> str:
    writer = CitationWriter(passages)
    return writer.feed(text).text + writer.finish().text
