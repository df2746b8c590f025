"""`lectern up`: start everything, index the docs, and say where to go."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Final

from cli.address import HOME, Target, admin_key_file
from cli.client import Api
from cli.errors import BadInput, CommandError
from cli.ingest import result_line
from cli.jobs import JobView, follow, start_job
from cli.output import amount
from cli.progress import Lines
from cli.watch import has_pages
from embedded.console import Console
from embedded.home import Running
from embedded.parts import FLOWER_USER
from embedded.up import UpOptions
from embedded.up import up as run_parts
from shared.content import PAGE_ENDINGS
from shared.settings import load_settings

#: What nearly every site answers somewhere, for docs whose own words we do not know.
FIRST_QUESTION: Final = "How do I get started?"
#: Between two looks at the first ingest: each is a line of the API's log, which runs through the same terminal.
FOLLOW_SECONDS: Final = 2.0


async def up(options: UpOptions, *, ingest: bool) -> int:
    """Run everything until a signal asks to stop. Returns the exit code."""
    settings = load_settings()
    if ingest and not settings.remote_source:
        require_pages(options.docs or settings.content_root, settings.page_endings)
    console = Console()

    async def announce(running: Running) -> None:
        async with Api(_target(running)) as api:
            if ingest:
                # A large site takes minutes, and what was indexed before answers from now on.
                console.say(f"answering at {running.api_url}/ while the docs are indexed")
                await index(api, console)
            key_is_kept, login_is_kept = settings.admin_api_key is None, not settings.flower_basic_auth
            for line in addresses(running, key_is_kept=key_is_kept, login_is_kept=login_is_kept):
                console.say(line)

    return await run_parts(options, announce)


def require_pages(docs: Path, endings: tuple[str, ...]) -> None:
    """Raise BadInput, one line, for a folder without pages. What is not a folder is refused by the parts' own check."""
    if docs.is_dir() and not has_pages(docs, endings):
        others = ", nor one that CONTENT_FORMATS names" if set(endings) - set(PAGE_ENDINGS) else ""
        raise BadInput(f"{docs} holds no .md or .mdx file{others}; say where the Markdown of the site is with --docs")


async def index(api: Api, console: Console) -> None:
    """Index the docs and show how it goes. A failure is said and ends nothing: an older release still answers."""
    display = Lines(lambda line: console.say(f"ingest: {line}"))
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        job: JobView | None = None
        async for job in follow(api, await start_job(api, ".", force=False), FOLLOW_SECONDS):
            display.show(job)
    except CommandError as error:
        console.say(f"ingest: {error.message}")
        return
    if job is None or not job.succeeded:
        console.say(f"ingest: failed: {job.reason if job else 'no answer'}; mend it, then run `lectern ingest`")
        return
    console.say(f"ingest: {result_line(job, loop.time() - started)}")
    if job.faults:
        faults = amount(len(job.faults), "fault")
        console.say(f"ingest: {faults}, the first: {job.faults[0]}; `lectern status {job.id}` lists them")


def addresses(running: Running, *, key_is_kept: bool, login_is_kept: bool) -> list[str]:
    """Where to go, for a person. Keys are named by the file or the setting they are in, never shown."""
    secrets = running.home / "secrets"
    lines = [
        "ready",
        f"  chat      {running.api_url}/",
        f"  API docs  {running.api_url}/docs",
    ]
    if running.flower_url is not None:
        kept = f"user {FLOWER_USER}, password in {secrets / 'flower.password'}"
        lines.append(f"  Flower    {running.flower_url}  ({kept if login_is_kept else 'user in FLOWER_BASIC_AUTH'})")
    key = str(admin_key_file(running.home)) if key_is_kept else "ADMIN_API_KEY"
    return [
        *lines,
        f"  admin key in {key}",
        f'  try: {command(running.home)} "{FIRST_QUESTION}"',
        "Ctrl-C stops everything",
    ]


def command(home: Path) -> str:
    """How to ask from another terminal: the program may not be on the path, the home not the usual one."""
    installed = Path(sys.executable).parent / "lectern"
    nearby = installed.relative_to(Path.cwd()) if installed.is_relative_to(Path.cwd()) else installed
    program = "lectern" if shutil.which("lectern") else nearby
    return f"{program} ask" if home == HOME.absolute() else f"{program} ask --home {home}"


def _target(running: Running) -> Target:
    return Target(running.api_url, running.admin_key, running.content_root, "just started")
