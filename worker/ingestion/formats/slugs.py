"""Anchors for documents whose headings have no address: the built-in reader shows them at these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from worker.ingestion.markup.markdown import Section
from worker.ingestion.markup.slug import Slugger


def with_slugs(sections: Iterable[Section]) -> tuple[Section, ...]:
    """The same sections, each heading with an anchor made from its text, unique within the document."""
    slugger = Slugger()
    return tuple(
        section
        if section.heading is None
        else replace(section, heading=replace(section.heading, anchor=slugger.slug(section.heading.text) or None))
        for section in sections
    )
