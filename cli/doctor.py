"""`lectern doctor`: is every part well, and if not, what to do."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cli.address import Target, find_api
from cli.client import Api
from cli.errors import FAILED, OK, CommandError, Unreachable
from cli.output import amount, say, say_json
from cli.watch import has_pages
from shared.errors import ConfigurationError
from shared.settings import load_settings

OLDEST_PYTHON: Final = (3, 11)
#: Twice what the embedded Qdrant leaves free.
LEAST_FREE_BYTES: Final = 512 * 2**20
#: Any words will do: what counts is that they are embedded and searched for.
TEST_QUESTION: Final = "How do I get started?"
MODEL_MEND: Final = (
    "check the provider's key and the models' names; after a change of EMBEDDING_MODEL run `lectern ingest`; "
    "the API's log has the reason"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One part's state. `mend` says what to do, and is empty where nothing is to be done."""

    part: str
    ok: bool
    found: str
    mend: str = ""


async def doctor(api: str | None, home: Path, *, as_json: bool) -> int:
    """Print a line for each check, as soon as it is known. Returns the exit code."""
    done: list[Check] = []
    async for check in checks(api, home):
        done.append(check)
        if not as_json:
            say_check(check)
    if as_json:
        say_json([asdict(check) for check in done])
    return OK if all(check.ok for check in done) else FAILED


def say_check(check: Check) -> None:
    say(f"{'OK  ' if check.ok else 'FAIL'}  {check.part:<9}  {check.found}")
    if check.mend:
        say(f"                 {check.mend}")


async def checks(api: str | None, home: Path) -> AsyncIterator[Check]:
    """From the ground up. What cannot be looked at because of something below it is left out."""
    yield check_python()
    yield check_disk(home)
    try:
        target = find_api(api, home)
    except ConfigurationError as error:
        for line in error.message.splitlines():
            yield Check("settings", False, line, "mend it in the environment or in .env")
        return
    yield Check("settings", True, "every variable has a value that can be used")
    if target.is_local:
        yield await asyncio.to_thread(check_content, target)
    async with Api(target) as client:
        async for check in check_api(client):
            yield check


async def check_api(client: Api) -> AsyncIterator[Check]:
    """What the API knows of itself and its neighbours, then one search through all of them."""
    try:
        health = await client.health()
    except Unreachable:
        found = f"nothing answers at {client.target.url} ({client.target.found_by})"
        yield Check("api", False, found, "start Lectern with `lectern up`, or give its address with --api")
        return
    except CommandError as error:
        yield Check("api", False, error.message)
        return
    yield Check("api", True, f"{client.target.url} is {health['status']}, version {health['version']}")
    for check in check_health(health):
        yield check
    if health["release"] is not None:
        yield await check_search(client, health)


def check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    ok = sys.version_info >= OLDEST_PYTHON
    return Check("python", ok, version, "" if ok else f"Lectern needs Python {wanted} or later")


def check_disk(home: Path) -> Check:
    """Of the home's disk, or of the nearest folder above it that is there."""
    folder = next(place for place in (home.absolute(), *home.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(folder).free
    ok = free >= LEAST_FREE_BYTES
    mend = "" if ok else f"make room: below {LEAST_FREE_BYTES >> 20} MB, writing to the index stops soon"
    return Check("disk", ok, f"{free >> 20:,} MB free at {folder}", mend)


def check_content(target: Target) -> Check:
    settings = load_settings()
    if settings.remote_source:
        return Check("content", True, f"fetched from {settings.source_git_url or settings.source_sitemap_url}")
    root = target.content_root
    if root.is_dir() and has_pages(root, settings.page_endings):
        return Check("content", True, f"pages in {root}")
    fault = "no .md or .mdx file in it" if root.is_dir() else "no such folder"
    return Check("content", False, f"{root}: {fault}", "set CONTENT_ROOT to the folder with the site's Markdown")


def check_health(health: Mapping[str, Any]) -> Iterator[Check]:
    """Redis, Qdrant, worker, release, as the health report has them."""
    redis, qdrant = health["redis_connected"], health["qdrant_connected"]
    yield Check("redis", redis, _answers(redis), "" if redis else "start Redis, or set REDIS_URL to where it is")
    yield Check("qdrant", qdrant, _answers(qdrant), "" if qdrant else "start Qdrant, or set QDRANT_URL to where it is")
    if redis:
        workers = health["services"]["task_manager"]["details"]["workers"]
        mend = "" if workers else "start a worker; until then, jobs wait"
        yield Check("worker", workers > 0, f"{amount(workers, 'worker')} at work", mend)
    if qdrant:
        release = health["release"]
        counts = f"{amount(health['documents_count'], 'page')}, {amount(health['chunks_count'], 'passage')}"
        found = "nothing is indexed" if release is None else f"release {release}: {counts}"
        yield Check("release", release is not None, found, "run `lectern ingest`" if release is None else "")


async def check_search(client: Api, health: Mapping[str, Any]) -> Check:
    """Embeds a question with the model in use and looks for it: what every answer begins with."""
    model = health["services"]["openai"]["details"]
    where = f" at {model['host']}" if model.get("host") else ""
    used = f"embeds with {model['embedding_model']}, answers with {model['model']}{where}"
    try:
        found = (await client.get("/search", q=TEST_QUESTION, k=1))["results"]
    except CommandError as error:
        return Check("model", False, f"{used}: {error.message}", MODEL_MEND)
    # Without a vector of the question the API goes by words alone, and has no similarity to show.
    if found and not any(passage["score"] for passage in found):
        return Check("model", False, f"{used}: the question could not be embedded", MODEL_MEND)
    return Check("model", True, used)


def _answers(ok: bool) -> str:
    return "answers" if ok else "does not answer"
