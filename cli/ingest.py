"""`lectern ingest`: index what has changed, once or whenever it changes."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli import watch as watching
from cli.address import Target
from cli.client import Api
from cli.errors import FAILED, OK, BadInput, CommandError, Unreachable
from cli.jobs import JobView, follow, start_job
from cli.output import amount, complain, duration, say, say_json
from cli.plan import show_estimate
from cli.progress import open_display
from shared.settings import load_settings

#: The reason of a job that found the live release to be what it would have made.
UNCHANGED: Final = "nothing has changed"
#: Faults that are listed; a folder of the wrong encoding has one for every page.
FAULTS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Request:
    """What the person at the terminal wants indexed."""

    path: str
    force: bool
    as_json: bool
    #: Only say what the ingest would do.
    plan: bool = False


async def ingest(api: Api, request: Request, *, watch: bool) -> int:
    """Index once, or for ever. Returns the exit code."""
    content_path = relative_to_root(request.path, api.target.content_root)
    if watch and request.plan:
        raise BadInput("--plan looks once; leave out --watch")
    if watch:
        return await ingest_on_changes(api, request, content_path)
    job = await ingest_once(api, request, content_path)
    return OK if job.succeeded and not job.held else FAILED


async def ingest_once(api: Api, request: Request, content_path: str) -> JobView:
    """Start a job, show it until it has ended, and say what it did."""
    started = time.monotonic()
    job_id = await start_job(api, content_path, force=request.force, dry_run=request.plan)
    with closing(open_display(silent=request.as_json)) as display:
        async for job in follow(api, job_id):
            display.show(job)
    if request.as_json:
        say_json(job.raw)
    else:
        report(job, time.monotonic() - started)
    return job


async def ingest_on_changes(api: Api, request: Request, content_path: str) -> int:
    """Index now and after each change, until Ctrl-C. A job that fails does not end it: the next change may mend it."""
    folder = watched_folder(api.target, content_path)
    known = await asyncio.to_thread(watching.snapshot, folder)
    try:
        while True:
            await ingest_once_it_answers(api, request, content_path)
            complain(f"watching {folder} (Ctrl-C ends)")
            known = await watching.changed(folder, known)
    except asyncio.CancelledError:
        return OK  # by Ctrl-C: the only way in which a watch ends well


async def ingest_once_it_answers(api: Api, request: Request, content_path: str) -> None:
    """Index, however long the API is away: a change must not be forgotten because it came during a restart."""
    is_said = False
    while True:
        try:
            await ingest_once(api, request, content_path)
        except BadInput:
            raise
        except CommandError as error:
            if not isinstance(error, Unreachable) and error.retry_after is None:
                complain(error.message)
                return
            if not is_said:
                complain(f"{error.message}; waiting until it does (Ctrl-C ends)")
            is_said = True
            await asyncio.sleep(error.retry_after or watching.AWAY_SECONDS)
        else:
            return


def relative_to_root(path: str, root: Path) -> str:
    """A path as the API wants it, relative to the content root. One that starts at the current folder will do too."""
    here = Path(path).absolute()
    if path != "." and here.exists() and here.resolve().is_relative_to(root.resolve()):
        return here.resolve().relative_to(root.resolve()).as_posix()
    return path


def watched_folder(target: Target, content_path: str) -> Path:
    """The folder or page on this machine that the path names. Raises BadInput if there is none."""
    if load_settings().remote_source:
        raise BadInput(
            "--watch follows a folder on this machine, and the docs are fetched from elsewhere (SOURCE_GIT_URL or "
            "SOURCE_SITEMAP_URL); let the webhook start an ingest after each push"
        )
    folder = target.content_root / content_path
    if not folder.exists():
        raise BadInput(
            f"--watch looks at the files on this machine, and there is no {folder}; set CONTENT_ROOT to the folder "
            f"that the API at {target.url} reads"
        )
    if not target.is_local:
        complain(
            f"the API at {target.url} reads the docs on its own machine: it sees changes to {folder} if both share it"
        )
    return folder


def report(job: JobView, seconds: float) -> None:
    """The job's end in a line, and what it left out."""
    if not job.succeeded:
        complain(f"{job.id} {job.state}: {job.reason or 'no reason is known'}")
    elif job.estimate is not None:
        show_estimate(job.estimate)
    elif job.held:
        complain(job.reason or f"release {job.release} is held back")
    else:
        say(result_line(job, seconds))
    list_faults(job)


def result_line(job: JobView, seconds: float) -> str:
    live = f"{amount(job.totals.get('documents', 0), 'page')}, {amount(job.totals.get('chunks', 0), 'passage')}"
    if job.release is None and job.reason not in (None, UNCHANGED):
        return str(job.reason)
    if job.release is None:
        return f"{UNCHANGED}: {live} (looked at {amount(job.totals.get('pages_found', 0), 'page')})"
    changed = amount(job.totals.get("pages_changed", 0), "page")
    embedded = amount(job.totals.get("texts_embedded", 0), "passage")
    return f"release {job.release} is live: {live}; {changed} changed, {embedded} embedded, {duration(seconds)}"


def list_faults(job: JobView) -> None:
    for fault in job.faults[:FAULTS_SHOWN]:
        complain(f"fault: {fault}")
    if len(job.faults) > FAULTS_SHOWN:
        complain(f"and {len(job.faults) - FAULTS_SHOWN} more; `lectern status {job.id} --json` lists them all")
