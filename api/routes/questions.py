"""GET /questions, for admins: what visitors have asked, from the question log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from api.dependencies import RuntimeDep, require_admin
from api.question_entry import LoggedFeedback, LoggedQuestion
from api.question_log import Kind, encoded

router = APIRouter(tags=["questions"], dependencies=[Depends(require_admin)])

#: Entries of a reply in one piece. `format=jsonl` is for more.
USUAL: Final = 100
MOST: Final = 1000
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"application/x-ndjson": {}}}}


class Wanted(BaseModel):
    """Which entries, and how."""

    model_config = ConfigDict(extra="forbid")

    since: datetime | None = Field(default=None, description="ISO 8601; UTC if it names no zone")
    until: datetime | None = Field(default=None, description="as `since`; entries of this very moment are left out")
    before: str | None = Field(
        default=None, pattern=r"^\d{1,15}(-\d{1,15})?$", description="an entry's id: only older ones"
    )
    limit: int | None = Field(default=None, ge=1, le=1_000_000, description="100, or with jsonl all; at most 1,000")
    no_results: bool | None = Field(default=None, description="only refused questions, or only others")
    kind: Kind = "question"
    format: Literal["json", "jsonl"] = "json"


class QuestionList(BaseModel):
    """Entries, newest first."""

    questions: list[LoggedQuestion | LoggedFeedback]
    #: Send it as `before` for those that follow; null at the end.
    next: str | None
    #: For how long questions are kept; 0: they are not.
    days: int = Field(description="QUESTION_LOG_DAYS")


@router.get("/questions", responses=RESPONSES, response_model=QuestionList)
async def list_questions(runtime: RuntimeDep, wanted: Annotated[Wanted, Query()]) -> Any:
    """What visitors have asked, newest first; with `format=jsonl` one JSON object a line, for as many as there are."""
    log = runtime.questions
    read = log.read(wanted.kind, _aware(wanted.since), _aware(wanted.until), wanted.before)
    entries = _chosen(read, wanted.no_results)
    if wanted.format == "jsonl":
        # The first entry is read before the reply begins, so that a Redis that is away is told with a status.
        first = await anext(entries, None)
        return _file(_lines(first, entries, wanted.limit))
    most = min(wanted.limit or USUAL, MOST)
    async with aclosing(entries):
        page = [entry async for entry in _first(entries, most + 1)]
    shown = page[:most]
    following = shown[-1]["id"] if len(page) > most else None
    return {"questions": shown, "next": following, "days": log.days}


def _file(lines: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(
        lines,
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="questions.jsonl"', "Cache-Control": "no-store"},
    )


async def _chosen(
    entries: AsyncGenerator[dict[str, Any], None], no_results: bool | None
) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(entries):
        async for entry in entries:
            if no_results is None or entry.get("no_results", False) is no_results:
                yield entry


async def _first(entries: AsyncIterator[dict[str, Any]], most: int) -> AsyncIterator[dict[str, Any]]:
    async for entry in entries:
        yield entry
        most -= 1
        if not most:
            return


async def _lines(
    first: dict[str, Any] | None, others: AsyncGenerator[dict[str, Any], None], limit: int | None
) -> AsyncGenerator[bytes, None]:
    async with aclosing(others):
        if first is None:
            return
        yield encoded(first)
        if limit == 1:
            return
        async for entry in _first(others, limit - 1 if limit else -1):
            yield encoded(entry)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
