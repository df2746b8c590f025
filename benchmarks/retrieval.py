"""Retrieval quality on question sets in BEIR's layout: `python -m benchmarks.retrieval DATA_FOLDER`.

Each subfolder with corpus.jsonl, queries.jsonl and qrels.tsv is indexed as it is (one passage a document) into a real
Qdrant engine with the local embedding model, then asked every question the way the product asks: through
`api.chat.retrieve.find`. Where there is a dialogs.jsonl, questions come with the exchanges before them. Every set is
asked once more with slips of the finger. A set is shown in two halves, told apart by a hash of the question's id:
choices are made on `tune`, and `held out` says what they are worth.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from api.chat.events import Question, Turn
from api.chat.overlap import topic_of
from api.chat.retrieve import find
from shared.bm25 import Bm25Encoder
from shared.chunk_collections import CollectionSpec
from shared.diff import diff_page
from shared.models import Chunk, Page, Release, StoredChunk, StoredPage
from shared.points import ChunkPoint
from shared.services import Services, open_services
from shared.settings import load_settings
from shared.tokens import count_tokens
from tests.stores import running_stores
from worker.ingestion.embed import point_of, windows_of

#: Passages embedded and stored at a time.
BATCH: Final = 64
#: Passages that are asked for: as many as the measures look at.
K: Final = 10
#: Exchanges that a question comes with, as the product's default has it.
EXCHANGES: Final = 3
HALVES: Final = ("tune", "held out")
#: Letters of a word that a slip is put into.
LEAST_LETTERS: Final = 5
_WORD: Final = re.compile(rf"[A-Za-z]{{{LEAST_LETTERS},}}")


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A corpus, its questions, and which documents answer which question."""

    name: str
    documents: dict[str, tuple[str, str]]
    questions: dict[str, Question]
    relevant: dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over the questions."""

    ndcg_at_10: float
    mrr_at_3: float
    recall_at_3: float
    recall_at_5: float


def read_set(folder: Path, most: int | None = None) -> QuestionSet:
    """Read a folder in BEIR's layout; keep the questions that have a judgement, the first `most` of them."""
    documents = {row["_id"]: (row.get("title", ""), row["text"]) for row in _rows(folder / "corpus.jsonl")}
    relevant: dict[str, set[str]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        question, document, score = line.split("\t")
        if int(score) > 0:
            relevant.setdefault(question, set()).add(document)
    history = {row["task_id"]: turns_of(row["input"]) for row in _rows(folder / "dialogs.jsonl")}
    questions = {
        row["_id"]: Question(row["text"], history=history.get(row["_id"], ()), k=K)
        for row in _rows(folder / "queries.jsonl")
        if row["_id"] in relevant
    }
    return QuestionSet(folder.name, documents, dict(list(questions.items())[:most]), relevant)


def turns_of(messages: Sequence[dict[str, Any]]) -> tuple[Turn, ...]:
    """The exchanges before the last message, which is the question."""
    before = messages[:-1]
    return tuple(Turn(asked["text"], said["text"]) for asked, said in zip(before[::2], before[1::2], strict=False))[
        -EXCHANGES:
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line)


def half_of(question_id: str) -> str:
    return HALVES[hashlib.sha256(question_id.encode()).digest()[0] % 2]


def mistyped(question_id: str, text: str, bm25: Bm25Encoder) -> str:
    """The question with one slip in one or two of the words that say what it is about, the same every time."""
    chance = random.Random(question_id)
    words = [word for word in _WORD.finditer(text) if topic_of(word[0], bm25)]
    for word in sorted(chance.sample(words, min(len(words), chance.choice((1, 2)))), key=lambda w: -w.start()):
        text = text[: word.start()] + slip(word[0], chance) + text[word.end() :]
    return text


def slip(word: str, chance: random.Random) -> str:
    """The word with a letter missing, too many, wrong, or swapped with its neighbour; never at either end."""
    at = chance.randrange(1, len(word) - 1)
    letter = chance.choice([each for each in "abcdefghijklmnopqrstuvwxyz" if each != word[at].lower()])
    middle = chance.choice(("", letter + word[at], letter, word[at + 1] + word[at]))
    return word[:at] + middle + word[at + (2 if middle == word[at + 1] + word[at] else 1) :]


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


def score(rankings: Sequence[tuple[list[str], set[str]]]) -> Scores:
    """Means of the usual measures over (ranking, relevant documents)."""
    ndcg = mrr = recall3 = recall5 = 0.0
    for ranking, relevant in rankings:
        gains = [1.0 if id_ in relevant else 0.0 for id_ in ranking[:10]]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(len(relevant), 10)))
        ndcg += sum(gain / math.log2(place + 2) for place, gain in enumerate(gains)) / ideal
        mrr += next((1 / (place + 1) for place, gain in enumerate(gains[:3]) if gain), 0.0)
        recall3 += len(relevant.intersection(ranking[:3])) / len(relevant)
        recall5 += len(relevant.intersection(ranking[:5])) / len(relevant)
    count = len(rankings)
    return Scores(ndcg / count, mrr / count, recall3 / count, recall5 / count)


async def measure(services: Services, questions: QuestionSet, table: Table) -> None:
    release = Release(1, await index(services, questions), len(questions.documents), len(questions.documents), "", "")
    for asked in ("as asked", "with slips"):
        found: dict[str, list[tuple[list[str], set[str]]]] = {half: [] for half in HALVES}
        seconds = []
        for id_, question in questions.questions.items():
            text = question.text if asked == "as asked" else mistyped(id_, question.text, services.bm25)
            began = time.perf_counter()
            findings = await find(replace(question, text=text), release, services)
            seconds.append(time.perf_counter() - began)
            ranking = [passage.chunk.chunk.path for passage in findings.passages]
            found[half_of(id_)].append((ranking, questions.relevant[id_]))
        for half, rankings in found.items():
            if rankings:
                name = f"{questions.name} ({len(questions.documents)} docs)"
                values = (f"{value:.4f}" for value in astuple(score(rankings)))
                middle = f"{1000 * sorted(seconds)[len(seconds) // 2]:.1f}"
                table.add_row(name, asked, half, str(len(rankings)), *values, middle)


async def run(data: Path, only: str, most: int | None) -> None:
    table = Table(title="Retrieval quality, local embedding model")
    for column in ("set", "questions", "half", "count", "nDCG@10", "MRR@3", "R@3", "R@5", "ms a question"):
        table.add_column(column)
    folders = [each for each in sorted(data.iterdir()) if (each / "qrels.tsv").exists() and only in each.name]
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
                await measure(services, read_set(folder, most), table)
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of question sets in BEIR's layout")
    parser.add_argument("--only", default="", help="the sets whose folder's name has this in it")
    parser.add_argument("--most", type=int, help="the first so many questions of each set; all without it")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder; nothing to measure")
    asyncio.run(run(arguments.data, arguments.only, arguments.most))


if __name__ == "__main__":
    main()
