"""An ingest job as the API shows it, and following it to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cli.client import Api
from cli.errors import BadInput, CommandError

#: Between two looks at a running job: often enough for a bar that moves, far below the rate limit of a key.
POLL_SECONDS: Final = 0.5
#: For how long a job's API may be away, which is longer than it takes to start again.
PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class JobView:
    """What a person wants to know of a job."""

    id: str
    #: queued, running, paused, succeeded, failed, cancelled
    state: str
    stage: str
    pages_done: int
    pages_total: int
    chunks: int
    #: 0..100
    percent: float
    seconds_left: float | None
    reason: str | None
    #: Why nobody works on it, if so.
    waiting: str | None
    #: What its owner has asked for and is not done yet: cancel or pause.
    wish: str | None
    release: int | None
    created_at: str
    faults: tuple[str, ...]
    totals: Mapping[str, int]
    #: What a dry run has found out.
    estimate: Mapping[str, Any] | None
    #: As the API sent it.
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> JobView:
        progress = task["progress"]
        return cls(
            id=task["task_id"],
            state=task["state"],
            stage=progress["stage"],
            pages_done=progress["files_processed"],
            pages_total=progress["total_files"],
            chunks=progress["chunks_created"],
            percent=progress["percent"],
            seconds_left=progress["seconds_left"],
            reason=task["reason"],
            waiting=(task.get("waiting_for") or {}).get("reason"),
            wish=task.get("wish"),
            release=task["release"],
            created_at=task["created_at"],
            # A failed job's reason stands among its errors too.
            faults=tuple(error for error in task["errors"] if error != task["reason"]),
            totals=task["totals"],
            estimate=task.get("estimate"),
            raw=task,
        )

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"

    @property
    def held(self) -> bool:
        """Whether the gate keeps its release from visitors."""
        return bool(self.totals.get("releases_held"))


async def start_job(api: Api, content_path: str, *, force: bool, dry_run: bool = False) -> str:
    """Ask for an ingest. Returns the job's id."""
    body: dict[str, Any] = {"content_path": content_path, "force_reindex": force}
    if dry_run:
        body["dry_run"] = True
    return str((await api.post("/ingest", body, admin=True))["task_id"])


async def read_job(api: Api, job_id: str) -> JobView:
    return JobView.of(await api.get("/ingest/status", admin=True, task_id=job_id))


async def list_jobs(api: Api) -> Mapping[str, Any]:
    """The API's own listing, newest first."""
    listing: Mapping[str, Any] = await api.get("/ingest/status", admin=True)
    return listing


async def follow(api: Api, job_id: str, every: float | None = None) -> AsyncGenerator[JobView, None]:
    """The job as it goes on, its end last. An API that is away for a while is waited for: jobs go on without it."""
    pause = every or POLL_SECONDS
    away_since: float | None = None
    while True:
        try:
            job = await read_job(api, job_id)
        except BadInput:
            raise
        except CommandError as error:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > PATIENCE_SECONDS:
                raise
            await asyncio.sleep(error.retry_after or 2 * pause)
            continue
        away_since = None
        yield job
        if job.ended:
            return
        await asyncio.sleep(pause)


class Pace:
    """Pages a second since the first look at which any work was known."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def of(self, job: JobView) -> float | None:
        """None while there is nothing to measure."""
        if job.stage != "indexing":
            return None
        now = self._clock()
        if self._first is None:
            self._first = (now, job.pages_done)
        since, pages = self._first
        return (job.pages_done - pages) / (now - since) if job.pages_done > pages else None
