"""The durable record of each job in Qdrant, and the moves from state to state.

A move is written only if the record is in a state that it may be made from just then, and is looked at again
afterwards: of two processes that move a job at once, one wins and the other knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import uuid4

from shared.clock import now
from shared.errors import NotFound
from shared.models import Job, JobKind, JobState
from shared.plans import faults_of
from shared.releases import Records

#: Jobs that have ended and are remembered: half a year of three a day.
JOBS_KEPT: Final = 500
UNFINISHED: Final = tuple(state for state in JobState if not state.terminal)


def new_job_id() -> str:
    """Unique, and in order of time to the second for people who look at it."""
    return f"job_{int(time.time())}_{uuid4().hex[:8]}"


def new_job(content_path: str, *, force: bool, **facts: Any) -> Job:
    """A queued job that is nowhere written down yet."""
    return Job(
        id=new_job_id(), state=JobState.QUEUED, content_path=content_path, force=force, created_at=now(), **facts
    )


class JobRecords:
    """Creates, reads and moves jobs along."""

    _records: Records

    async def create(
        self, content_path: str, *, force: bool, kind: JobKind = "ingest", job_id: str | None = None, **facts: Any
    ) -> Job:
        """Write a queued job. It exists from here on, whether or not a message reaches a worker."""
        job = new_job(content_path, force=force, kind=kind, **facts)
        return await self.save(replace(job, id=job_id) if job_id else job)

    async def save(self, job: Job) -> Job:
        await self._records.put(("job", job.id, asdict(job)))
        return job

    async def get(self, job_id: str) -> Job:
        job = await self.find(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id!r}; GET /ingest/status lists the jobs there are")
        return job

    async def find(self, job_id: str) -> Job | None:
        record = await self._records.get("job", job_id)
        return None if record is None else _job(record)

    async def list(self) -> list[Job]:
        """Every job, newest first."""
        found = [_job(record) for record in await self._records.all("job")]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)

    async def unfinished(self) -> Sequence[Job]:
        """The jobs that have not ended, oldest first."""
        records = await self._records.all("job", state=UNFINISHED)
        return sorted(map(_job, records), key=lambda job: (job.created_at, job.id))

    async def next(self) -> Job | None:
        """The job that is begun, else the one whose turn it is: the only one that may be worked on, because releases
        are numbered. A dry run builds no release and takes no turn."""
        waiting = [job for job in await self.unfinished() if not job.dry_run]
        begun = next(filter(_is_begun, waiting), None)
        if begun is not None:
            return begun
        queued = [job for job in waiting if job.state is JobState.QUEUED]
        sources = {(job.kind, job.content_path) for job in queued}
        return turn_of(queued, await self._served() if len(sources) > 1 else {})

    async def _served(self) -> Mapping[str, str]:
        """When the last job of each content path began."""
        ended = [_job(record) for record in await self._records.all("job", state=[s for s in JobState if s.terminal])]
        began: dict[str, str] = {}
        for job in ended:
            if job.kind == "ingest" and not job.dry_run:
                began[job.content_path] = max(began.get(job.content_path, ""), job.started_at or "")
        return began

    async def begin(self, job: Job, **changes: Any) -> Job | None:
        """Take a job's turn: from here on it runs. None if another one runs, or if this one may not run any more.

        Two jobs that are created at one instant may each have seen itself as the next. Both then see the other one
        run, both wait again, and by then both know which is first.
        """
        attempts = job.attempts + 1
        run = replace(job, state=JobState.RUNNING, started_at=job.started_at or now(), attempts=attempts, **changes)
        if not await self.move(run, JobState.QUEUED, JobState.RUNNING):
            return None
        if any(_is_begun(other) and other.id != job.id for other in await self.unfinished() if not other.dry_run):
            await self.move(job, JobState.RUNNING)
            return None
        return run

    async def move(self, job: Job, *among: JobState) -> bool:
        """Write a job's record if it is in one of these states just then. False if it is not."""
        await self._records.replace("job", job.id, asdict(job), state=[state.value for state in among])
        return await self.find(job.id) == job

    async def forget_oldest(self) -> None:
        ended = [job.id for job in await self.list() if job.state.terminal]
        if len(ended) > JOBS_KEPT:
            await self._records.delete("job", ended[JOBS_KEPT:])


def turn_of(queued: Sequence[Job], served: Mapping[str, str]) -> Job | None:
    """Of queued jobs, oldest first: the one whose content path has waited longest since its last job.

    served: when the last job of a content path began, as ISO 8601; missing for never.

    An import stands in line by its age alone: its file is no content path that would come again.
    """
    if not queued or queued[0].kind == "import":
        return next(iter(queued), None)
    ingests = [job for job in queued if job.kind == "ingest"]
    return min(ingests, key=lambda job: (served.get(job.content_path, ""), job.created_at, job.id))


def _is_begun(job: Job) -> bool:
    """Whether it has its turn, and maybe half a release. It keeps both while it is paused."""
    return job.state is JobState.RUNNING or (job.state is JobState.PAUSED and job.started_at is not None)


def _job(record: Mapping[str, Any]) -> Job:
    known = {name: record[name] for name in Job.__dataclass_fields__ if name in record}
    return Job(**{**known, "state": JobState(record["state"]), "faults": faults_of(record["faults"])})
