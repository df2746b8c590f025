"""DOCX by way of HTML: the styles say what is a heading, a list, a table."""

from __future__ import annotations

import io
from dataclasses import replace
from xml.parsers.expat import ExpatError
from xml.sax import SAXException

from shared.errors import PageError
from worker.ingestion.formats.document import Document
from worker.ingestion.formats.html import read_html
from worker.ingestion.formats.packed import opened
from worker.ingestion.formats.slugs import with_slugs


def read_docx(data: bytes) -> Document:
    """A document's title and sections; anchors are made from the headings, as the built-in reader makes them.

    Raises PageError if `data` is no DOCX file.
    """
    import mammoth  # noqa: PLC0415 - an extra

    with opened(data, "DOCX") as archive:
        if "word/document.xml" not in archive.namelist():
            raise PageError("is not a DOCX file: it holds no word/document.xml; save it as .docx")
    try:
        # Pictures would come as base64, many times their page's text.
        made = mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(_without_picture))
    except (ExpatError, SAXException, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise PageError("is not a DOCX file, or is damaged; save it anew") from error
    page = f"<html><body><main>{made.value}</main></body></html>"
    document = read_html(page.encode("utf-8", "replace"))
    return replace(document, sections=with_slugs(document.sections))


def _without_picture(_image: object) -> dict[str, str]:
    return {"src": ""}
