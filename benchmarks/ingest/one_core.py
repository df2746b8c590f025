"""What one core does by itself: read and cut a site, and embed passages with the local model."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from shared.local_model import LocalEmbedder
from shared.settings import load_settings
from worker.ingestion.content import Content

#: Passages that the local model is timed with: about twenty seconds of it.
TEXTS = 600


def megabytes_per_second(docs: Path, times: int) -> list[float]:
    """Read, parse and chunk all pages, so many times in a row: the first knows no word yet."""
    content = Content.of(load_settings(None, content_root=docs))
    pages = content.find(".").pages
    megabytes = sum(page.size for page in pages) / 1e6
    rates = []
    for _ in range(times):
        began = time.process_time()
        content.read([page.path for page in pages])
        rates.append(megabytes / (time.process_time() - began))
    return rates


def texts_per_second(docs: Path, threads: int) -> float:
    """Passages that the local model embeds in a second of the clock."""
    content = Content.of(load_settings(None, content_root=docs))
    read, _ = content.read([page.path for page in content.find(".").pages])
    texts = [chunk.embedded_text for page in read for chunk in page.chunks][:TEXTS]

    async def embed() -> float:
        embedder = LocalEmbedder(threads=threads)
        await embedder.open()
        began = time.perf_counter()
        await embedder.embed(texts)
        await embedder.close()
        return len(texts) / (time.perf_counter() - began)

    return asyncio.run(embed())
