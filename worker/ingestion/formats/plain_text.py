"""Plain text: paragraphs, and nothing else that could be known for sure."""

from __future__ import annotations

import re
from typing import Final

from worker.ingestion.formats.document import Document, SectionWriter, as_prose
from worker.ingestion.read import decode_page

_PARAGRAPH_END: Final = re.compile(r"\n(?:[ \t]*\n)+")


def read_plain_text(data: bytes) -> Document:
    """One section of paragraphs. Raises PageError if `data` is not text."""
    writer = SectionWriter()
    for paragraph in _PARAGRAPH_END.split(decode_page(data)):
        writer.prose(as_prose(paragraph.strip("\n")))
    return Document(None, writer.sections())
