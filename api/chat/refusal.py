"""What is said where the docs do not say: what was looked for, what is missing, and where the nearest sections are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from api.chat.asked import is_bare
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
    if verdict.unmatched:
        return _only_links_to((), f"{_no_match(verdict.unmatched)}, so there is nothing to answer from.")
    nearest = list(dict.fromkeys(map(link_to, verdict.nearest)))[:NEAREST]
    text = f"I could not find anything in these docs {_sought(question, verdict)}."
    unknown = _listed([_code(word) for word in verdict.missing], "or")
    if unknown and nearest:
        text += f" They cover {_listed(nearest, 'and')}, but nothing in them mentions {unknown}."
    elif unknown:
        text += f" Nothing in them mentions {unknown}."
    elif nearest:
        text += f" The nearest {'sections are' if len(nearest) > 1 else 'section is'} {', '.join(nearest)}."
    return _only_links_to(verdict.nearest, text)


def _sought(question: str, verdict: Verdict) -> str:
    """What was looked for: "that answers ..." a question, "about" a name or a command."""
    if verdict.strange_selection:
        return "about the text that you marked"
    if is_bare(question):
        return f"about {_code(question)}"
    return f'that answers "{_repeated(question)}"'


def _no_match(filters: Mapping[str, str]) -> str:
    named = [f"{name} {_code(value)}" for name, value in filters.items()]
    return f"Nothing in these docs matches the filter{'s' if len(named) > 1 else ''} {_listed(named, 'and')}"


def _code(text: str) -> str:
    """A visitor's word or name, shortened, as code that it cannot break out of."""
    return f"`{_shortened(text.replace('`', ''))}`"


def note_on_missing(verdict: Verdict) -> str:
    """A paragraph to put after an answer, on what of the question it leaves open; "" if nothing."""
    notes: list[str] = []
    if verdict.missing:
        notes.append(f"Nothing in these docs mentions {_listed([_code(word) for word in verdict.missing], 'or')}.")
    if verdict.uncovered:
        parts = _listed([f'"{_repeated(part)}"' for part in verdict.uncovered], "or")
        notes.append(
            f"They do not say anything on {parts}." if notes else f"These docs do not say anything on {parts}."
        )
    return _only_links_to((), "\n\n" + " ".join(notes)) if notes else ""


def _repeated(text: str) -> str:
    """The visitor's own words, shortened, which can neither link nor break out of their quotes."""
    return escape_link_text(_shortened(text))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= REPEATED else text[:REPEATED].rstrip() + "..."


def _listed(items: Sequence[str], last: str) -> str:
    """`a, b or c`"""
    return f"{', '.join(items[:-1])} {last} {items[-1]}" if len(items) > 1 else "".join(items)


def _only_links_to(passages: Sequence[Passage], text: str) -> str:
    writer = CitationWriter(passages)
    return writer.feed(text).text + writer.finish().text
