"""What an owner may do with a job: cancel, pause, resume, try again. Which of it is possible depends on its state."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Final, Literal

from shared.errors import DependencyDown, WrongState
from shared.models import Job, JobState
from shared.services import Services
from shared.wishes import Wish

Action = Literal["cancel", "pause", "resume", "retry"]
CANCELLED: Final = "cancelled before it began"
PAUSED: Final = "paused before it began; the jobs behind it do not wait for it"
_DONE: Final[dict[Action, str]] = {
    "cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "tried again",
}  # fmt: skip
_POSSIBLE: Final[dict[JobState, tuple[Action, ...]]] = {
    JobState.QUEUED: ("cancel", "pause"),
    JobState.RUNNING: ("cancel", "pause"),
    JobState.PAUSED: ("cancel", "resume"),
    JobState.FAILED: ("retry",),
    JobState.CANCELLED: ("retry",),
    JobState.SUCCEEDED: (),
}


def possible(job: Job, wish: Wish | None) -> tuple[Action, ...]:
    """What can be done with the job, whose owner may have a wish that is not granted yet."""
    if job.kind == "import":
        return ()
    if job.dry_run:
        return tuple(action for action in _POSSIBLE[job.state] if action in ("cancel", "retry"))
    if wish == "pause" and job.state is JobState.RUNNING:
        return ("cancel", "pause", "resume")
    if wish == "cancel" and not job.state.terminal:
        return ("cancel",)
    return _POSSIBLE[job.state]


async def require(services: Services, job: Job, action: Action) -> None:
    """Raise WrongState, with what is possible, if the action is not."""
    allowed = possible(job, None if job.state.terminal else await services.jobs.wish(job.id))
    if action in allowed:
        return
    if job.kind == "import":
        raise WrongState(f"{job.id} is an import: it is stopped with Ctrl-C where it runs, and run again from its file")
    can = " and ".join(f"POST /ingest/{job.id}/{possibly}" for possibly in allowed)
    mend = f"possible: {can}" if can else "start another ingest instead"
    raise WrongState(f"{job.id} is {job.state.value}, and cannot be {_DONE[action]}; {mend}")


async def cancel(services: Services, job_id: str) -> Job:
    """Cancel a job: at once if it has not begun, else as soon as those who work on it have let go."""
    jobs = services.jobs
    job = await jobs.get(job_id)
    await require(services, job, "cancel")
    if job.started_at is None and (ended := await jobs.cancel_queued(job, CANCELLED)):
        return ended
    return await _wish(services, job_id, "cancel")


async def pause(services: Services, job_id: str) -> Job:
    """Keep a job from beginning, or from going on."""
    jobs = services.jobs
    job = await jobs.get(job_id)
    await require(services, job, "pause")
    if job.started_at is None:
        paused = replace(job, state=JobState.PAUSED, reason=PAUSED)
        if await jobs.move(paused, JobState.QUEUED):
            await jobs.give_turn_back(paused)
            with suppress(DependencyDown):
                await jobs.event(job_id, "paused")
            return paused
    return await _wish(services, job_id, "pause")


async def _wish(services: Services, job_id: str, wish: Wish) -> Job:
    """Write down what is to be done with a job that runs, and tell those who work on it."""
    job = await services.jobs.get(job_id)
    await require(services, job, wish)
    await services.jobs.save_wish(job_id, wish)
    with suppress(DependencyDown):  # the reconciler says it when Redis is back
        await services.jobs.say_stop(job_id, wish)
    return job


async def resume(services: Services, job_id: str) -> Job:
    """Let a paused job go on, or begin; one that was only to be paused goes on as if nothing had been said."""
    jobs = services.jobs
    job = await jobs.get(job_id)
    await require(services, job, "resume")
    await jobs.forget_wish(job_id, "pause")
    if job.state is JobState.PAUSED:
        state = JobState.QUEUED if job.started_at is None else JobState.RUNNING
        await jobs.move(replace(job, state=state, reason=None), JobState.PAUSED)
    with suppress(DependencyDown):  # whoever plans the job looks at the wishes, not at the word
        await jobs.unsay_stop(job_id)
        await jobs.event(job_id, "resumed")
    return await jobs.get(job_id)
