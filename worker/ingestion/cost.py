"""What embedding the changed pages of a job would take, found out by reading and cutting them: nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.changes import MOVES_COMPARED, Sketch, sketch_of
from shared.embedding_batches import size_of
from shared.embeddings import Embedder
from shared.errors import JobFailed
from shared.models import PageFault
from shared.points import text_hash_of
from shared.services import Services
from worker.ingestion.content import Content
from worker.ingestion.embed import windows_of
from worker.ingestion.pages import ParsedPage
from worker.ingestion.plan import FoundPage

Report = Callable[[int, int], Awaitable[None]]

#: Markdown that is read, cut and counted at a time: what it becomes takes some ten times the memory.
READ_BYTES: Final = 256 * 1024


@dataclass(slots=True)
class Cost:
    """What reading the changed pages has shown so far."""

    #: Passages of the changed pages, and those of their texts that have to be embedded, each once.
    passages: int = 0
    to_embed: int = 0
    #: Tokens of those texts as Lectern counts them, which is near to what providers count and seldom below.
    tokens: int = 0
    #: Pages that no visitor may be shown, or that have no text.
    hidden: set[str] = field(default_factory=set)
    #: Pages whose text cannot be read: their last good versions stay.
    unreadable: set[str] = field(default_factory=set)
    #: What an ingest would find wrong.
    faults: list[PageFault] = field(default_factory=list)
    #: Sketches of pages that may have moved.
    sketches: dict[str, Sketch] = field(default_factory=dict)
    #: Texts that are to be embedded, by their hash.
    texts: set[bytes] = field(default_factory=set)

    @property
    def to_reuse(self) -> int:
        return self.passages - self.to_embed


async def cost_of(
    services: Services,
    content: Content,
    changed: Sequence[FoundPage],
    collection: str | None,
    *,
    sketched: Collection[str] = (),
    report: Report | None = None,
) -> Cost:
    """Read the changed pages a few at a time, and count what the collection's vectors do not cover.

    collection: None where there is none yet. sketched: pages whose sketch is wanted, the first MOVES_COMPARED of them.
    report: told now and then how many pages have been read, and how many passages they have.
    """
    cost = Cost()
    wanted = set(sorted(sketched)[:MOVES_COMPARED])
    read = 0
    for paths in batches(changed):
        pages, faults = await asyncio.to_thread(content.read, paths)
        measured = await asyncio.to_thread(_measure, pages, services.embedder)
        hashes = [text_hash for text_hash in measured if bytes.fromhex(text_hash) not in cost.texts]
        known = await services.store.known_texts(collection, hashes) if collection and hashes else set()
        for text_hash in hashes:
            if text_hash not in known:
                cost.texts.add(bytes.fromhex(text_hash))
                cost.tokens += measured[text_hash]
        cost.passages += sum(len(page.chunks) for page in pages)
        cost.unreadable |= {fault.path for fault in faults}
        cost.faults += [*faults, *(fault for page in pages for fault in page.faults)]
        cost.hidden |= {page.page.path for page in pages if not page.chunks}
        for page in pages:
            if page.page.path in wanted:
                cost.sketches[page.page.path] = sketch_of(chunk.text[chunk.overlap :] for chunk in page.chunks)
        read += len(paths)
        if report is not None:
            await report(read, cost.passages)
    cost.to_embed = len(cost.texts)
    return cost


async def require_affordable(
    services: Services, content: Content, changed: Sequence[FoundPage], collection: str | None
) -> None:
    """Raise JobFailed if embedding the changed pages would take more tokens than MAX_EMBED_TOKENS_PER_JOB."""
    most = services.settings.max_embed_tokens_per_job
    if most is None:
        return
    cost = await cost_of(services, content, changed, collection)
    if cost.tokens > most:
        raise JobFailed(
            f"{cost.tokens:,} tokens in {cost.to_embed:,} passages of {len(changed):,} changed pages would have to be "
            f"embedded, over MAX_EMBED_TOKENS_PER_JOB={most}; nothing was sent and nothing was changed. Raise that "
            "setting, or ingest a folder at a time; `lectern ingest --plan` shows what an ingest would cost"
        )


def batches(pages: Sequence[FoundPage]) -> Iterator[list[str]]:
    """Pages that are read together, by their paths: READ_BYTES of Markdown, and at least one page."""
    paths: list[str] = []
    size = 0
    for page in pages:
        if paths and size + page.size > READ_BYTES:
            yield paths
            paths, size = [], 0
        paths.append(page.path)
        size += page.size
    if paths:
        yield paths


def _measure(pages: Sequence[ParsedPage], embedder: Embedder) -> dict[str, int]:
    """Tokens of each text of the pages by its hash: of all that would be sent for it, windows and places included."""
    tokens: dict[str, int] = {}
    for chunk in (chunk for page in pages for chunk in page.chunks):
        text_hash = text_hash_of(chunk)
        if text_hash not in tokens:
            tokens[text_hash] = sum(map(size_of, windows_of(chunk, embedder)))
    return tokens
