"""Passages in any number: real texts of a docs folder under new titles and paths, with random vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from shared.bm25 import Bm25Encoder
from shared.chunk_collections import CollectionSpec
from shared.local_model import WINDOW
from shared.models import FOREVER, Chunk, Page, StoredChunk, StoredPage, Vectors
from shared.points import ChunkPoint, chunk_id, digest_of, page_id, text_hash_of
from shared.settings import LOCAL_EMBEDDING_MODEL, load_settings
from shared.windows import split_windows
from worker.ingestion.content import Content

WINDOWED = CollectionSpec(LOCAL_EMBEDDING_MODEL, 384, WINDOW)
ONE_VECTOR = CollectionSpec("text-embedding-3-small", 1536, None)
#: Of the synthetic site; docs sites have between ten and fifteen.
PASSAGES_A_PAGE = 12


@dataclass(frozen=True, slots=True)
class Corpus:
    """The passages of a docs folder, and how many windows the local model cuts each into."""

    chunks: tuple[Chunk, ...]
    windows: tuple[int, ...]
    pages: int

    @classmethod
    def of(cls, docs: Path) -> Corpus:
        content = Content.of(load_settings(None, content_root=docs, site_url="https://docs.example.org"))
        pages, _ = content.read([page.path for page in content.find(".").pages])
        chunks = tuple(chunk for page in pages for chunk in page.chunks)
        return cls(chunks, tuple(len(split_windows(c.place, c.text, WINDOW)) for c in chunks), len(pages))

    @property
    def description(self) -> str:
        tokens, letters = fmean(c.tokens for c in self.chunks), fmean(len(c.text) for c in self.chunks)
        return (
            f"{self.pages} pages, {len(self.chunks)} passages of {tokens:.0f} tokens and {letters:.0f} characters, "
            f"{fmean(self.windows):.2f} windows each"
        )

    def question(self, number: int) -> str:
        """A question with words that the docs know; the first ten thousand are all different."""
        first, second = self.chunks[number % len(self.chunks)], self.chunks[(7 * number + 3) % len(self.chunks)]
        return f"How does {first.heading} work together with {second.heading} ({number})?"


class Synthetic:
    """A site of any size, made part by part, the same at every run with the same seed."""

    def __init__(self, corpus: Corpus, spec: CollectionSpec, *, seed: int) -> None:
        self.spec = spec
        self._corpus = corpus
        self._dice = np.random.default_rng(seed)
        self._bm25 = Bm25Encoder()

    def vectors(self, rows: int) -> Vectors:
        """Random, of length one: the worst case of a graph, and all the same to a scan."""
        made = self._dice.standard_normal((rows, self.spec.dimensions), dtype=np.float32)
        found: Vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).tolist()
        return found

    def part(self, start: int, end: int) -> tuple[list[StoredPage], list[ChunkPoint]]:
        """The passages from `start` to `end`, and their pages."""
        points, pages = [], []
        for first in range(start, end, PASSAGES_A_PAGE):
            path = f"part-{first // 1000:05}/page-{first:08}.md"
            own = [self._point(path, number) for number in range(first, min(first + PASSAGES_A_PAGE, end))]
            page = Page(path, f"Page {first}", f"https://docs.example.org/{path[:-3]}", f"{first:064x}")
            pages.append(StoredPage(page_id(path, 1), page, tuple(p.stored.id for p in own), 1, FOREVER))
            points += own
        return pages, points

    def _point(self, path: str, number: int) -> ChunkPoint:
        place = number % len(self._corpus.chunks)
        real = self._corpus.chunks[place]
        chunk = replace(real, path=path, trail=(*real.trail, f"Part {number}"))
        digest = digest_of(chunk)
        stored = StoredChunk(chunk_id(path, digest, 0, 1), chunk, digest, text_hash_of(chunk), 1, FOREVER)
        rows = self._corpus.windows[place] if self.spec.window else 1
        return ChunkPoint(stored, self.vectors(rows), self._bm25.encode_document(chunk.embedded_text))
