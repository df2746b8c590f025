"""`lectern jobs`: list the ingest jobs, and cancel, pause, resume or retry one."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from cli.client import Api
from cli.errors import OK
from cli.jobs import JobView, list_jobs
from cli.output import say, say_json
from cli.status import queue_line, show_jobs

Action = Literal["cancel", "pause", "resume", "retry"]


async def jobs(api: Api, *, as_json: bool) -> int:
    """Print the newest jobs and what waits for a worker. Returns the exit code."""
    listing = await list_jobs(api)
    if as_json:
        say_json(listing)
        return OK
    say(queue_line(listing.get("queue")))
    show_jobs([JobView.of(task) for task in listing["tasks"]])
    return OK


async def act(api: Api, job_id: str, action: Action, *, as_json: bool) -> int:
    """Ask for it and print what the job is now. Returns the exit code."""
    raw = await api.post(f"/ingest/{quote(job_id, safe='')}/{action}", {}, admin=True)
    if as_json:
        say_json(raw)
    else:
        say(acted_line(job_id, action, JobView.of(raw)))
    return OK


def acted_line(job_id: str, action: Action, job: JobView) -> str:
    """`job_1 is to cancel; `lectern status job_1` says when it is done`"""
    if action == "retry":
        return f"{job.id} does again what {job_id} was to do; `lectern status {job.id}` shows it"
    if job.wish is not None:
        return f"{job.id} is to {job.wish}; `lectern status {job.id}` shows when it is done"
    return f"{job.id} is {job.state}" + (f": {job.reason}" if job.reason else "")
