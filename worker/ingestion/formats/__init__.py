"""Pages that are not Markdown: HTML, PDF, DOCX, EPUB and plain text, as the sections that Markdown becomes as well.

The libraries are the extra `formats` and are imported when the first such page is read.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Final

from shared.errors import ConfigurationError
from worker.ingestion.formats.document import Document
from worker.ingestion.formats.docx import read_docx
from worker.ingestion.formats.epub import read_epub
from worker.ingestion.formats.html import read_html
from worker.ingestion.formats.pdf import read_pdf
from worker.ingestion.formats.plain_text import read_plain_text

_READERS: Final[dict[str, Callable[[bytes], Document]]] = {
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".epub": read_epub,
    ".txt": read_plain_text,
}
#: What the extra `formats` brings.
_LIBRARIES: Final = ("selectolax", "pypdfium2", "mammoth")


def is_document(path: str) -> bool:
    """Whether a page's ending says that it is of one of these formats."""
    return PurePosixPath(path).suffix.lower() in _READERS


def read_document(path: str, data: bytes) -> Document:
    """The document at `path` (only its ending counts). Raises PageError if it cannot be read, with what to do."""
    return _READERS[PurePosixPath(path).suffix.lower()](data)


def require_libraries() -> None:
    """Raise ConfigurationError if the extra is not installed."""
    missing = [library for library in _LIBRARIES if find_spec(library) is None]
    if missing:
        raise ConfigurationError(
            f"CONTENT_FORMATS: reading other formats than Markdown needs {', '.join(missing)}; "
            "install the extra with: pip install 'lectern[formats]'"
        )
