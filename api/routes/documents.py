"""GET /documents/{path}: a page of the live release, for sites whose address is not known."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from api.dependencies import ServicesDep
from api.reader import READER_POLICY, render_page
from shared.errors import NotFound

router = APIRouter(tags=["documents"])


@router.get("/documents/{path:path}", response_class=HTMLResponse)
async def document(path: str, services: ServicesDep) -> HTMLResponse:
    """The page as plain HTML, with the headings' anchors as ids."""
    release = await services.releases.live()
    page = await services.store.page_at(release.collection, release.number, path) if release else None
    if release is None or page is None:
        raise NotFound("the docs have no such page")
    chunks = await services.store.chunks_of(release.collection, release.number, [path])
    # In a thread: a page may be as large as a book, and others are being answered meanwhile.
    html = await asyncio.to_thread(render_page, page, chunks)
    return HTMLResponse(html, headers={"Content-Security-Policy": READER_POLICY, "Referrer-Policy": "no-referrer"})
