"""One job waits for each content path: who asks for a path that somebody waits for already joins that one's job.

A record by the name of path and `force`, the turn, says which job waits. It can only be written where there is none, so
of any number of requests at once, through any number of processes and without Redis, one makes the job. The job gives
the turn back when it begins to read: who asks after that may have changed a page that was read already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace

from shared.errors import DependencyDown
from shared.job_records import JobRecords, new_job
from shared.models import Job, JobState
from shared.wishes import Wishes

#: Turns that one request sees pass: each belongs to a job that has begun meanwhile.
MOST_PASSED = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a request for an ingest."""

    job: Job
    #: The job was there already.
    joined: bool


class Turns(JobRecords, Wishes):
    """Joins requests for the same content path."""

    async def ask(
        self, content_path: str, *, force: bool, mark: Callable[[], Awaitable[str]], retry_of: str | None = None
    ) -> Asked:
        """The job that will index the content path as it is now: one that is there, or a new one.

        mark: makes the mark of the content as it is now (`shared.content_mark`); asked only if a job runs.
        """
        running = await self._running(content_path, force=force)
        if running is not None and running.content_mark and running.content_mark == await mark():
            return Asked(running, joined=True)
        ours = new_job(content_path, force=force, retry_of=retry_of)
        turn = _turn(ours)
        for _ in range(MOST_PASSED):
            await self._records.insert("turn", turn, {"job": ours.id})
            held = await self._records.get("turn", turn)
            if held is None:
                continue
            # Whoever wrote the turn may have died before it wrote the job, or be about to.
            await self._records.insert("job", held["job"], asdict(replace(ours, id=held["job"])))
            job = await self.get(held["job"])
            if job.state is JobState.QUEUED:
                return Asked(job, joined=job.id != ours.id)
            await self._records.delete_if("turn", turn, job=job.id)
        raise DependencyDown("jobs begin faster than they can be asked for; try again", retry_after=1)

    async def give_turn_back(self, job: Job) -> None:
        """The job does not wait any more: who asks from now on waits for another one."""
        await self._records.delete_if("turn", _turn(job), job=job.id)

    async def _running(self, content_path: str, *, force: bool) -> Job | None:
        for job in await self.unfinished():
            is_same = (job.content_path, job.force, job.kind, job.dry_run) == (content_path, force, "ingest", False)
            if is_same and job.state is JobState.RUNNING and await self.wish(job.id) != "cancel":
                return job
        return None


def _turn(job: Job) -> str:
    return f"{job.content_path}\0{job.force}"
