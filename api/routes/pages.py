"""GET / and /static: the chat page and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

STATIC: Final = Path(__file__).parent.parent / "static"
#: The page loads from its own origin alone, whatever an answer contains.
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    ),
    "Referrer-Policy": "strict-origin-when-cross-origin",
    # Asked for again each time, and answered with 304: the files of two versions never mix.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=FileResponse)
async def chat_page() -> FileResponse:
    """The chat page."""
    return FileResponse(STATIC / "index.html", headers=PAGE_HEADERS)


class StaticPages(StaticFiles):
    """The chat page's files, with the same policy."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(PAGE_HEADERS)
        return response


def static_files() -> StaticPages:
    return StaticPages(directory=STATIC)
