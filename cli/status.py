"""`lectern status`: what is live, and how the ingest jobs went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.client import Api
from cli.errors import OK
from cli.ingest import list_faults
from cli.jobs import JobView, list_jobs, read_job
from cli.output import amount, duration, say, say_json
from cli.plan import show_estimate
from cli.progress import describe


async def status(api: Api, job_id: str | None, *, as_json: bool) -> int:
    """Print one job, or what is live and every job. Returns the exit code."""
    if job_id is not None:
        job = await read_job(api, job_id)
        if as_json:
            say_json(job.raw)
        else:
            show_job(job)
        return OK
    health, listing = await api.health(), await list_jobs(api)
    if as_json:
        say_json({"health": health, **listing})
        return OK
    say(f"{api.target.url} is {health['status']}; {live_line(health)}")
    show_jobs([JobView.of(task) for task in listing["tasks"]])
    return OK


def live_line(health: Mapping[str, Any]) -> str:
    """`release 3 is live: 40 pages, 512 passages`"""
    if health["release"] is None:
        return "nothing is indexed"
    counts = f"{amount(health['documents_count'], 'page')}, {amount(health['chunks_count'], 'passage')}"
    return f"release {health['release']} is live: {counts}"


def queue_line(queue: Mapping[str, Any] | None) -> str:
    """`2 workers; 12 messages wait, the oldest for 8 s`"""
    if queue is None:
        return "Redis does not answer: nobody knows what waits"
    workers, messages = amount(queue["workers"], "worker"), queue["messages"]
    waiting = f"{amount(messages, 'message')} waiting, the oldest for {duration(queue['oldest_seconds'])}"
    return f"{workers}; {waiting if messages else 'nothing waits for a worker'}"


def show_job(job: JobView) -> None:
    say(f"{job.id} {job.state}" + (f": {job.reason}" if job.reason else ""))
    if not job.ended:
        say(": ".join(filter(None, (job.stage, describe(job, None)))))
    for name, count in job.totals.items():
        say(f"  {name.replace('_', ' ')}: {count:,}")
    if job.estimate is not None:
        show_estimate(job.estimate)
    list_faults(job)


def show_jobs(jobs: Sequence[JobView]) -> None:
    """A line for each job, the columns as wide as they have to be."""
    rows = [(job.id, job.created_at, job.state, job.reason or describe(job, None)) for job in jobs]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for *cells, last in rows:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]).rstrip())
