"""GET / and /static: the chat page and its files. GET /docs: the API's docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

#: Where Swagger UI's files are.
SWAGGER: Final = "swagger"
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


@router.get("/docs")
async def api_docs() -> HTMLResponse:
    """The API's docs. Addresses are relative, so that they also work below a prefix."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Lectern API",
        swagger_js_url=f"{SWAGGER}/swagger-ui-bundle.js",
        swagger_css_url=f"{SWAGGER}/swagger-ui.css",
        swagger_favicon_url="static/icon.svg",
    )


def swagger_files() -> StaticFiles:
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
