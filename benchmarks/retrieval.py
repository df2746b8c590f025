"""Retrieval quality on question sets in BEIR's layout: `python -m benchmarks.retrieval DATA_FOLDER`.

Each subfolder with corpus.jsonl, queries.jsonl and qrels.tsv is indexed as it is (one passage a document) into a real
Qdrant engine with the local embedding model, then asked every question. The rows are the same index asked three ways:
dense vectors alone, BM25 alone, and the fusion of both that the product uses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from shared.chunk_collections import CollectionSpec
from shared.diff import diff_page
from shared.models import Chunk, Page, Passage, StoredChunk, StoredPage
from shared.points import ChunkPoint
from shared.services import Services, open_services
from shared.settings import load_settings
from shared.tokens import count_tokens
from tests.stores import running_stores
from worker.ingestion.embed import point_of, windows_of

#: Questions a set: enough for a standard error under 0.02.
MOST_QUESTIONS = 400
#: Passages embedded and stored at a time.
BATCH = 64


#: The scores of a passage that rankings go by.
SIDES: Mapping[str, Callable[[Passage], float | None]] = {
    "dense": lambda passage: passage.cosine,
    "BM25": lambda passage: passage.bm25,
    "fusion (DBSF)": lambda passage: passage.score,
}


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A corpus, its questions, and which documents answer which question."""

    name: str
    documents: dict[str, tuple[str, str]]
    questions: dict[str, str]
    relevant: dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the questions."""

    ndcg_at_10: float
    mrr_at_10: float
    recall_at_3: float
    recall_at_5: float


def read_set(folder: Path) -> QuestionSet:
    """Read a folder in BEIR's layout; keep the questions that have a judgement."""
    documents = {row["_id"]: (row.get("title", ""), row["text"]) for row in _rows(folder / "corpus.jsonl")}
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        question, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(question, set()).add(document)
    questions = {row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl") if row["_id"] in relevant}
    return QuestionSet(folder.name, documents, dict(list(questions.items())[:MOST_QUESTIONS]), relevant)


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


async def index(services: Services, questions: QuestionSet) -> str:
    """Store every document as one passage of release 1. Returns the collection."""
    await services.embedder.open()
    spec = CollectionSpec(services.embedder.model, services.embedder.dimensions, services.embedder.window)
    collection = await services.store.ensure_collection(spec)
    chunks = [
        Chunk(id_, title or id_, f"/{id_}", None, (), text, "prose", count_tokens(text))
        for id_, (title, text) in questions.documents.items()
    ]
    for start in range(0, len(chunks), BATCH):
        new = [
            stored
            for chunk in chunks[start : start + BATCH]
            for stored in diff_page(Page(chunk.path, "", "", ""), [chunk], None, [], 1).new
        ]
        no_pages: list[StoredPage] = []
        await services.store.write(collection, await embedded(services, collection, new), no_pages)
    return collection


async def embedded(services: Services, collection: str, chunks: Sequence[StoredChunk]) -> list[ChunkPoint]:
    """Points of these passages; what an earlier run has embedded is read back."""
    vectors = await services.store.vectors_by_text(collection, [chunk.text_hash for chunk in chunks])
    missing = [chunk for chunk in chunks if chunk.text_hash not in vectors]
    windows = [windows_of(chunk.chunk, services.embedder) for chunk in missing]
    made = iter((await services.embedder.embed([text for texts in windows for text in texts])).vectors)
    for chunk, texts in zip(missing, windows, strict=True):
        vectors[chunk.text_hash] = [next(made) for _ in texts]
    return [point_of(chunk, vectors[chunk.text_hash], services.bm25) for chunk in chunks]


async def ask(services: Services, collection: str, question: str) -> list[Passage]:
    """Fused passages, best first, with both sides' own scores."""
    vector = await services.embedder.embed_query(question)
    return await services.store.search(collection, 1, vector, services.bm25.encode_query(question), limit=50)


def score(rankings: Sequence[tuple[list[str], set[str]]]) -> Scores:
    """Means of the usual measures over (ranking, relevant documents)."""
    ndcg = mrr = recall3 = recall5 = 0.0
    for ranking, relevant in rankings:
        gains = [1.0 if id_ in relevant else 0.0 for id_ in ranking[:10]]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), 10)))
        ndcg += sum(gain / math.log2(place + 2) for place, gain in enumerate(gains)) / ideal
        mrr += next((1 / (place + 1) for place, gain in enumerate(gains) if gain), 0.0)
        recall3 += len(relevant.intersection(ranking[:3])) / len(relevant)
        recall5 += len(relevant.intersection(ranking[:5])) / len(relevant)
    count = len(rankings)
    return Scores(ndcg / count, mrr / count, recall3 / count, recall5 / count)


async def measure(services: Services, questions: QuestionSet, table: Table) -> None:
    started = time.perf_counter()
    collection = await index(services, questions)
    indexing = time.perf_counter() - started
    found: dict[str, list[tuple[list[str], set[str]]]] = {name: [] for name in SIDES}
    seconds = []
    for id_, text in questions.questions.items():
        began = time.perf_counter()
        passages = await ask(services, collection, text)
        seconds.append(time.perf_counter() - began)
        for name, key in SIDES.items():
            ranked = sorted((p for p in passages if key(p) is not None), key=lambda p: key(p) or 0.0, reverse=True)
            found[name].append(([p.chunk.chunk.path for p in ranked], questions.relevant[id_]))
    for name, rankings in found.items():
        scores = score(rankings)
        table.add_row(
            f"{questions.name} ({len(questions.documents)} docs, {len(rankings)} questions)",
            name,
            *(f"{value:.3f}" for value in astuple(scores)),
            f"{1000 * sorted(seconds)[len(seconds) // 2]:.1f}",
            f"{len(questions.documents) / indexing:.0f}",
        )


async def run(data: Path) -> None:
    table = Table(title="Retrieval quality, local embedding model")
    for column in ("set", "ranking", "nDCG@10", "MRR@10", "R@3", "R@5", "ms a question", "docs/s indexed"):
        table.add_column(column)
    folders = [folder for folder in sorted(data.iterdir()) if (folder / "qrels.tsv").exists()]
    with tempfile.TemporaryDirectory() as scratch, running_stores(Path(scratch)) as stores:
        for folder in folders:
            settings = load_settings(
                None,
                redis_url=stores.redis_url,
                qdrant_url=stores.qdrant_url,
                qdrant_api_key=stores.qdrant_api_key,
                collection=f"bench-{uuid4().hex[:6]}",
                embedding_threads=2,
            )
            async with open_services(settings) as services:
                await measure(services, read_set(folder), table)
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of question sets in BEIR's layout")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder; nothing to measure")
    asyncio.run(run(arguments.data))


if __name__ == "__main__":
    main()
