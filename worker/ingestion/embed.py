"""Vectors for the chunks that need them: read back where the text was embedded before, else made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.bm25 import Bm25Encoder
from shared.embeddings import Embedder
from shared.errors import EmbeddingRejected, PageError
from shared.models import Chunk, StoredChunk
from shared.points import ChunkPoint
from shared.vector_store import VectorStore
from shared.windows import split_windows


@dataclass(frozen=True, slots=True)
class Embedded:
    """Chunks ready to be stored, and what making them so has cost."""

    points: tuple[ChunkPoint, ...]
    texts_embedded: int
    texts_reused: int
    requests: int
    tokens: int


class PassageRejected(PageError):
    """Raised when the model refuses a passage's text: its page is named, the others can go on."""

    def __init__(self, chunk: Chunk, reason: str) -> None:
        super().__init__(f"the passage under {chunk.heading!r} cannot be embedded: {reason}")
        self.path = chunk.path


async def embed_chunks(
    chunks: Sequence[StoredChunk], collection: str, store: VectorStore, embedder: Embedder, bm25: Bm25Encoder
) -> Embedded:
    """Give each chunk its vectors. A text that any kept release holds is never sent to the model again.

    Raises PassageRejected for the first passage that the model refuses.
    """
    wanted = {chunk.text_hash: chunk for chunk in chunks}
    vectors = await store.vectors_by_text(collection, list(wanted)) if wanted else {}
    missing = [chunk for text_hash, chunk in wanted.items() if text_hash not in vectors]
    windows = [_windows(chunk, embedder.window) for chunk in missing]
    try:
        batch = await embedder.embed([text for texts in windows for text in texts])
    except EmbeddingRejected as error:
        owners = [chunk for chunk, texts in zip(missing, windows, strict=True) for _ in texts]
        raise PassageRejected(owners[error.index].chunk, error.message) from error
    made = iter(batch.vectors)
    for chunk, texts in zip(missing, windows, strict=True):
        vectors[chunk.text_hash] = [next(made) for _ in texts]
    points = tuple(
        ChunkPoint(chunk, vectors[chunk.text_hash], bm25.encode_document(chunk.chunk.embedded_text)) for chunk in chunks
    )
    return Embedded(points, len(missing), len(wanted) - len(missing), batch.requests, batch.tokens)


def _windows(chunk: StoredChunk, window: int | None) -> list[str]:
    if window is None:
        return [chunk.chunk.embedded_text]
    return split_windows(chunk.chunk.place, chunk.chunk.text, window)
