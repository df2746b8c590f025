"""A small site with a provider that embeds it and a pipeline that is run message by message, for tests of releases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.models import Job, Release
from shared.rollback import Activated, activate
from shared.services import Services
from tests.by_hand import CountingStore, HandQueue, by_hand, deliver_all, ingest
from tests.conftest import OpenServices
from tests.stand_in.control import Provider

PAGES = {
    "intro.md": "# Intro\n\nLectern answers questions about a book.\n\n## Install\n\nRun make up and wait a moment.\n",
    "guide/run.md": "# Running\n\nStart it with one command.\n\n## Ports\n\nThe port is 7860 unless you change it.\n",
    "guide/stop.md": "# Stopping\n\nPress Ctrl-C and every process ends in order.\n",
}


@dataclass(frozen=True, slots=True)
class Docs:
    """A content folder, the services that index it, and the provider that embeds it."""

    root: Path
    services: Services
    queue: HandQueue
    store: CountingStore
    provider: Provider

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Site(Docs):
    """Docs with what tests of releases do to them."""

    def move(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def embedded(self) -> int:
        """Texts that were sent to the provider so far."""
        return self.provider.stats().embedded_texts

    def having(self, **settings: Any) -> Site:
        """The same site with other settings in force."""
        changed = self.services.settings.model_copy(update=settings)
        return replace(self, services=replace(self.services, settings=changed))

    async def ingest(self, content_path: str = ".", *, force: bool = False) -> Job:
        return await ingest(self.services, content_path, force=force)

    async def plan(self, content_path: str = ".", *, force: bool = False) -> Job:
        """Run a dry run to its end."""
        job = await self.services.jobs.create(content_path, force=force, dry_run=True)
        await self.services.queue.plan(job.id)
        await deliver_all(self.services)
        return await self.services.jobs.get(job.id)

    async def activate(self, number: int) -> Activated:
        return await activate(self.store, self.services.releases, number)

    async def live(self) -> Release:
        release = await self.services.releases.live()
        assert release is not None
        return release

    async def numbers(self) -> list[int]:
        return [release.number for release in await self.services.releases.all()]

    async def texts(self, release: Release | None = None) -> set[str]:
        """What a reader of a release, else of the live one, can find."""
        shown = release or await self.live()
        paths = [page.path async for page in self.store.page_facts(shown.collection, shown.number)]
        chunks = await self.store.chunks_of(shown.collection, shown.number, paths)
        return {stored.chunk.text for stored in chunks}

    async def changes(self, number: int) -> dict[str, list[tuple[str, str]]]:
        """The lists of a release's record, as pairs of path and reason."""
        record = await self.services.releases.changes(number)
        assert record is not None
        kinds = ("added", "changed", "moved", "removed")
        return {kind: [(page["path"], page["reason"]) for page in record[kind]] for kind in kinds if record[kind]}


@asynccontextmanager
async def open_site(opened: OpenServices, provider: Provider, root: Path, **settings: Any) -> AsyncIterator[Site]:
    """The site on the running stores, its pages as they stand in `root`. `settings` go before what is usual here."""
    usual = {
        "openai_base_url": provider.base_url, "openai_embedding_model": "stand-in",
        "site_url": "https://site.example/", "content_root": root,
    }  # fmt: skip
    async with opened(**{**usual, **settings}) as real:
        services, queue, store = by_hand(real)
        yield Site(root, services, queue, store, provider)
