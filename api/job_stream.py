"""A job as a stream of server-sent events: what has happened, then what happens, until it has ended."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from api.dialects import event_data
from api.errors import Failure
from api.job_view import job_view
from shared.errors import DependencyDown
from shared.models import Job, JobState, Progress
from shared.services import Services

#: Between two looks: a person sees no difference to at once, and a reader costs two small requests.
LOOK_SECONDS: Final = 0.5
#: An id as Redis gives them to a stream's entries.
_EVENT_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_NUMBERS: Final = frozenset({"pages", "chunks", "shards", "until"})
_ENDINGS: Final = frozenset(state.value for state in JobState if state.terminal)


@dataclass(frozen=True, slots=True)
class Told:
    """One event for a reader. `id` is that of the last thing it knows of then; "" while there is none."""

    id: str
    data: dict[str, Any]

    @property
    def is_last(self) -> bool:
        return self.data["type"] in _ENDINGS


class JobEvents:
    """Unnamed events, `data: {json}`, with ids to resume from."""

    media_type = "text/event-stream"
    heartbeat = b": ping\n\n"

    def encode(self, event: Told) -> Sequence[bytes]:
        return ((f"id: {event.id}\n".encode() if event.id else b"") + event_data(event.data),)

    def is_last(self, event: Told) -> bool:
        return event.is_last

    def fail(self, failure: Failure) -> Sequence[bytes]:
        facts = {"type": "error", "error": failure.message, "code": failure.code, "message": failure.message}
        return (event_data({**facts, "retryable": failure.retryable}),)


def typed(data: Mapping[str, str]) -> dict[str, str | int]:
    """An event's fields with numbers as numbers: Redis's streams hold text alone."""
    return {name: int(value) if name in _NUMBERS else value for name, value in data.items()}


def resume_point(header: str | None) -> str:
    """The id to go on after; "", the beginning, for what is no id of ours."""
    return header if header and _EVENT_ID.fullmatch(header) else ""


async def job_events(services: Services, job_id: str, after: str) -> AsyncGenerator[Told, None]:
    """What the job's stream holds beyond `after`, its progress as it changes, and its end as the last event.

    A job whose stream is gone tells its progress and its end from its record. Stores that do not answer are waited for.
    """
    progress: Progress | None = None
    pace = _Pace()
    while True:
        job = await _find(services, job_id)  # before its events: what it did until it ended is told before its end
        with suppress(DependencyDown):
            async for event in services.jobs.events(job_id, after):
                after = event.id
                if event.kind not in _ENDINGS:
                    yield Told(after, {"type": event.kind, "at": event.at, **typed(event.data)})
            if (current := await services.jobs.progress(job_id)) != progress and current is not None:
                progress = current
                yield Told(after, _progress(current, pace.of(current)))
        if job is not None and job.state.terminal:
            yield Told(after, await _ending(services, job))
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _find(services: Services, job_id: str) -> Job | None:
    try:
        return await services.jobs.get(job_id)
    except DependencyDown:
        return None


class _Pace:
    """Pages a second since the reader's first look."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def of(self, progress: Progress) -> float | None:
        now = time.monotonic()
        if self._first is None:
            self._first = (now, progress.pages_done)
        since, pages = self._first
        return round((progress.pages_done - pages) / (now - since), 2) if progress.pages_done > pages else None


def _progress(progress: Progress, pages_per_second: float | None) -> dict[str, Any]:
    facts = asdict(progress)
    detail = facts.pop("detail")
    return {"type": "progress", **facts, **detail, "pages_per_second": pages_per_second}


async def _ending(services: Services, job: Job) -> dict[str, Any]:
    view = await job_view(services, job)
    return {"type": job.state.value, **view.model_dump()}
