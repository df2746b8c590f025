"""GET /search: the passages that an answer would be made from, without the answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.chat.citations import citation
from api.chat.events import Filters
from api.chat.places import place_of
from api.chat.retrieve import retrieve
from api.dependencies import ServicesDep
from api.questions import FilterText, QuestionText
from api.schemas import FoundPassage, SearchReply, citation_out
from shared.models import Passage

router = APIRouter(tags=["search"])


@router.get("/search")
async def search(
    services: ServicesDep,
    *,
    q: Annotated[QuestionText, Query()],
    k: Annotated[int, Query(ge=1, le=20)] = 5,
    version: Annotated[FilterText | None, Query()] = None,
    locale: Annotated[FilterText | None, Query()] = None,
    path: Annotated[FilterText | None, Query(description="what the pages' paths begin with: guide/")] = None,
    page: Annotated[FilterText | None, Query(description="one page, by its path or address")] = None,
) -> SearchReply:
    """The best passages of the live release, best first."""
    release = await services.releases.live()
    passages = await retrieve(q, services, k, Filters(version, locale, path, page))
    results = [found(number, passage, q) for number, passage in enumerate(passages, 1)]
    return SearchReply(query=q, results=results, total=len(results), release=release.number if release else None)


def found(number: int, passage: Passage, query: str) -> FoundPassage:
    """A passage with its scores; its text is whole, where a citation has the first words."""
    chunk = passage.chunk.chunk
    shown = citation_out(citation(number, passage, place_of(chunk, query))).model_dump()
    more = {"text": chunk.text, "trail": list(chunk.trail), "kind": chunk.kind}
    return FoundPassage(**{**shown, **more}, rank_score=passage.score, bm25=passage.bm25)
