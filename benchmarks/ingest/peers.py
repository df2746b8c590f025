"""Peers do the same work in a process of their own: `peers.py NAME DOCS PROVIDER_URL EDITS DELAY`, lines of JSON.

NAME is `llamaindex` or `langchain`. Both cut to the sizes that Lectern cuts to, embed in batches as large as they make
them, keep what they need to know what changed, and write dense vectors to Qdrant's client in memory,
which is their cheapest path: no keyword search, nothing on disk, nothing to look at while they work. Run by the
interpreter of an environment with the packages of the group `bench`.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import corpora
import results

SIZE = 384
TOKENS, OVERLAP = 600, 100
#: As large as OpenAI takes; one of them hands on a hundred passages at a time all the same.
BATCH = 2048

#: Brings the store up to date with the docs. Returns how many passages it holds, and how many were written.
Ingest = Callable[[Path], tuple[int, int]]


def llamaindex(provider: str) -> Ingest:
    from llama_index.core import Document
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    from llama_index.vector_stores.qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    client = QdrantClient(":memory:")
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=TOKENS, chunk_overlap=OVERLAP),
            OpenAILikeEmbedding(model_name="stand-in", api_base=provider, api_key="none", embed_batch_size=BATCH),
        ],
        vector_store=QdrantVectorStore(collection_name="docs", client=client),
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )

    def ingest(docs: Path) -> tuple[int, int]:
        documents = [
            Document(text=file.read_text(encoding="utf-8"), id_=str(file), metadata={"path": str(file)})
            for file in corpora.pages_of(docs)
        ]
        written = len(pipeline.run(documents=documents))
        return client.count("docs").count, written

    return ingest


def langchain(provider: str) -> Ingest:
    from langchain_classic.indexes import SQLRecordManager, index
    from langchain_core.documents import Document
    from langchain_openai import OpenAIEmbeddings
    from langchain_qdrant import QdrantVectorStore
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection("docs", models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    embeddings = OpenAIEmbeddings(
        model="stand-in", base_url=provider, api_key="none", check_embedding_ctx_length=False, chunk_size=BATCH
    )
    store = QdrantVectorStore(client=client, collection_name="docs", embedding=embeddings)
    records = SQLRecordManager("docs", db_url="sqlite:///:memory:")
    records.create_schema()
    # Characters, as its own examples cut: counting tokens would make it fourteen times as slow.
    splitter = RecursiveCharacterTextSplitter.from_language(
        Language.MARKDOWN, chunk_size=TOKENS * 4, chunk_overlap=OVERLAP * 4
    )

    def ingest(docs: Path) -> tuple[int, int]:
        documents = [
            Document(page_content=file.read_text(encoding="utf-8"), metadata={"source": str(file)})
            for file in corpora.pages_of(docs)
        ]
        done: Any = index(
            splitter.split_documents(documents), records, store, cleanup="incremental", source_id_key="source",
            key_encoder="sha1",
        )  # fmt: skip
        return client.count("docs").count, int(done["num_added"] + done["num_updated"])

    return ingest


def ask(provider: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(provider.removesuffix("/v1") + path) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def main(name: str, docs: Path, provider: str, edits: int, delay: float) -> None:
    ingest = {"llamaindex": llamaindex, "langchain": langchain}[name](provider)
    pages = len(corpora.pages_of(docs))
    for phase in ("first", "unchanged", "edited"):
        if phase == "edited":
            corpora.edit(docs, edits)
        ask(provider, f"/reset?delay={delay}")
        wall, cpu = time.perf_counter(), time.process_time()
        chunks, written = ingest(docs)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        counts = ask(provider, "/counts")
        # Not by getrusage, which begins with the peak of whoever started this process.
        status = Path("/proc/self/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
        run = results.Run(
            phase,
            wall,
            cpu,
            pages,
            chunks,
            written,
            counts["requests"],
            counts["texts"],
            counts["most_in_flight"],
            peak,
        )
        print(json.dumps(asdict(run)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
