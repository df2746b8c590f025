"""Vectors for new passages, while their pages are still being read: looked up where the text was embedded before, else
made, and in either case written at once. What is written is found again by its text's hash, so that nothing that has
been paid for is lost with the process, and nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from shared.bm25 import Bm25Encoder
from shared.claims import Claim
from shared.embedding_batches import BatchLimits, size_of
from shared.embedding_replies import NOTHING, Matrix, rows
from shared.embeddings import EmbeddedPart, Embedder
from shared.errors import JobFailed, MustWait
from shared.models import Chunk, StoredChunk, Vectors
from shared.plans import Plan
from shared.points import ChunkPoint
from shared.services import Services
from shared.windows import split_windows
from worker.ingestion.text_claims import TextClaims

#: After this, in seconds, no new batch is begun and the task is given back: what is in flight then has time to end well
#: before the task's own limit, and what is left goes on from the vectors that were written.
HOLD_SECONDS: Final = 100.0
#: Texts in flight at a time, for the memory that their vectors take: of 3,072 numbers each, some 100 MB while the
#: replies are read.
MOST_IN_FLIGHT: Final = 4096
#: Longest wait for a text that another process has in work, in seconds: longer than a good request takes by far.
OTHERS_SECONDS: Final = 60.0
LOOK_AGAIN_SECONDS: Final = 0.25
#: Points a write.
WRITE_BATCH: Final = 100


@dataclass(slots=True)
class Spent:
    """What a shard's vectors have cost so far."""

    texts_embedded: int = 0
    texts_reused: int = 0
    requests: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Batch:
    """Texts on their way to the model. A passage may be several texts, where the model's window is short."""

    hashes: list[str] = field(default_factory=list)
    #: Where each passage's texts end.
    ends: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tokens: int = 0

    def fits(self, count: int, tokens: int, room: BatchLimits) -> bool:
        return not self.texts or (len(self.texts) + count <= room.items and self.tokens + tokens <= room.tokens)

    def put(self, text_hash: str, texts: Sequence[str], tokens: int) -> None:
        self.hashes.append(text_hash)
        self.texts += texts
        self.ends.append(len(self.texts))
        self.tokens += tokens


class Embedding:
    """One shard's way from passages to points. Use it as a context: its end leaves nothing running."""

    def __init__(self, services: Services, plan: Plan, claim: Claim) -> None:
        self.spent = Spent()
        #: Why a text cannot be embedded, by its hash.
        self.refused: dict[str, str] = {}
        self._services = services
        self._plan = plan
        self._claim = claim
        self._texts = TextClaims(services.redis, plan.collection, claim)
        #: Passages whose text has no vectors yet, by its hash.
        self._waiting: dict[str, list[StoredChunk]] = {}
        self._theirs: dict[str, StoredChunk] = {}
        self._batch = Batch()
        self._in_flight: dict[asyncio.Task[None], int] = {}
        self._has_sent = False
        self._hold_until = time.monotonic() + HOLD_SECONDS

    async def __aenter__(self) -> Embedding:
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        # What is put off goes on later: what is on its way is paid for, and written for then.
        if not isinstance(error, MustWait):
            for task in self._in_flight:
                task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        await self._texts.let_go()

    async def add(self, chunks: Sequence[StoredChunk]) -> None:
        """Take passages in. Waits while too many are on their way; raises what one of the requests has raised."""
        new: dict[str, list[StoredChunk]] = {}
        for chunk in chunks:
            if chunk.text_hash in self._waiting:
                self._waiting[chunk.text_hash].append(chunk)
            elif chunk.text_hash not in self.refused:
                new.setdefault(chunk.text_hash, []).append(chunk)
        if not new:
            return
        self._waiting |= new
        # Before they are looked up: who lets go of a text has written its vectors.
        held = await self._texts.take(list(new))
        known = await self._look_up(list(new))
        self.spent.texts_reused += len(known)
        missing = {text_hash: group[0] for text_hash, group in new.items() if text_hash not in known}
        self._theirs |= {text_hash: chunk for text_hash, chunk in missing.items() if text_hash in held}
        await self._embed([chunk for text_hash, chunk in missing.items() if text_hash not in held])

    async def finish(self) -> None:
        """Wait until every passage is written, or its text refused."""
        await self._send()
        await self._await_all()
        wait_until = time.monotonic() + OTHERS_SECONDS
        while self._theirs:
            await self._give_back_if_late()
            theirs = list(self._theirs)
            held = await self._texts.take(theirs) if time.monotonic() < wait_until else frozenset[str]()
            known = await self._look_up(theirs)
            self.spent.texts_reused += len(known)
            ours = [self._theirs.pop(text_hash) for text_hash in theirs if text_hash not in held | known]
            for text_hash in known:
                del self._theirs[text_hash]
            await self._embed(ours)
            await self._send()
            await self._await_all()
            if self._theirs:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _look_up(self, text_hashes: Sequence[str]) -> frozenset[str]:
        """Write the passages whose texts have vectors already; their hashes."""
        found = await self._services.store.vectors_by_text(self._plan.collection, text_hashes)
        await self._write(found)
        return frozenset(found)

    async def _embed(self, chunks: Sequence[StoredChunk]) -> None:
        embedder = self._services.embedder
        for chunk in chunks:
            texts = windows_of(chunk.chunk, embedder)
            tokens = sum(map(size_of, texts))
            if not self._batch.fits(len(texts), tokens, embedder.room):
                await self._send()
            self._batch.put(chunk.text_hash, texts, tokens)

    async def _send(self) -> None:
        """Send what has been collected, once there is room for it in flight."""
        batch, self._batch = self._batch, Batch()
        if not batch.texts:
            return
        while self._in_flight and sum(self._in_flight.values()) + len(batch.texts) > MOST_IN_FLIGHT:
            await self._await_one()
        self._raise_failures()
        await self._give_back_if_late()
        self._has_sent = True
        self._in_flight[asyncio.create_task(self._run(batch))] = len(batch.texts)

    async def _give_back_if_late(self) -> None:
        """Raise MustWait once the task is held for long. One batch is sent before, so that each task gets further."""
        if self._has_sent and time.monotonic() > self._hold_until:
            raise MustWait("the shard's task has run for long and goes on with the next one", until=time.time())

    async def _run(self, batch: Batch) -> None:
        """Have a batch embedded, and write each part of it as soon as it is there."""
        vectors: list[Matrix] = []
        done = 0
        async with aclosing(self._services.embedder.embed_parts(batch.texts)) as parts:
            async for part in parts:
                self._account(part)
                vectors.extend([NOTHING] if part.refused else part.vectors[:, None])
                made: list[tuple[str, Matrix]] = []
                while done < len(batch.ends) and batch.ends[done] <= len(vectors):
                    start = batch.ends[done - 1] if done else 0
                    found = [vector for vector in vectors[start : batch.ends[done]] if len(vector)]
                    if len(found) == batch.ends[done] - start:
                        made.append((batch.hashes[done], np.concatenate(found)))
                    else:
                        self._refuse(batch.hashes[done], part.refused)
                    done += 1
                self.spent.texts_embedded += len(made)
                # As lists they take eight times the memory: only those that are written next.
                for place in range(0, len(made), WRITE_BATCH):
                    await self._write(listed(made[place : place + WRITE_BATCH]))

    def _account(self, part: EmbeddedPart) -> None:
        """Raises JobFailed for vectors that the collection cannot hold."""
        self.spent.requests += part.requests
        self.spent.tokens += part.tokens
        embedder, expected = self._services.embedder, self._plan.dimensions
        if not part.refused and part.vectors.shape[1] != expected:
            raise JobFailed(
                f"{embedder.model} now makes vectors of {part.vectors.shape[1]} numbers, and the index holds "
                f"{expected}; set EMBEDDING_DIMENSIONS={expected}, or name another collection with "
                "QDRANT_COLLECTION_NAME"
            )

    def _refuse(self, text_hash: str, reason: str) -> None:
        self.refused[text_hash] = reason
        self._waiting.pop(text_hash, None)

    async def _write(self, vectors: Mapping[str, Vectors]) -> None:
        """Store the passages that wait for these texts' vectors, and those that join them meanwhile: a text that is
        neither waited for nor stored would be embedded again."""
        left = dict(vectors)
        while left:
            groups = {text_hash: tuple(self._waiting[text_hash]) for text_hash in left}
            await self._store([(chunk, left[text_hash]) for text_hash, group in groups.items() for chunk in group])
            for text_hash, group in groups.items():
                if len(self._waiting[text_hash]) == len(group):
                    del self._waiting[text_hash], left[text_hash]
                else:
                    del self._waiting[text_hash][: len(group)]

    async def _store(self, chunks: Sequence[tuple[StoredChunk, Vectors]]) -> None:
        bm25 = self._services.bm25
        for start in range(0, len(chunks), WRITE_BATCH):
            points = [point_of(chunk, vectors, bm25) for chunk, vectors in chunks[start : start + WRITE_BATCH]]
            # A process that has lost its claim must not write over what its successor has written.
            await self._services.jobs.renew(self._claim)
            await self._services.store.write(self._plan.collection, points, [])

    async def _await_one(self) -> None:
        await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        self._raise_failures()

    async def _await_all(self) -> None:
        while self._in_flight:
            await self._await_one()

    def _raise_failures(self) -> None:
        for task in [task for task in self._in_flight if task.done()]:
            del self._in_flight[task]
            task.result()


def listed(made: Sequence[tuple[str, Matrix]]) -> dict[str, Vectors]:
    """Vectors as they are written, by the hash of their text."""
    every = iter(rows(np.concatenate([found for _, found in made])))
    return {text_hash: [next(every) for _ in found] for text_hash, found in made}


def windows_of(chunk: Chunk, embedder: Embedder) -> list[str]:
    """The texts whose vectors stand for a passage."""
    if embedder.window is None:
        return [chunk.embedded_text]
    return split_windows(chunk.place, chunk.text, embedder.window)


def point_of(chunk: StoredChunk, vectors: Vectors, bm25: Bm25Encoder) -> ChunkPoint:
    return ChunkPoint(chunk, vectors, bm25.encode_document(chunk.chunk.embedded_text))
