"""The one place where clients are made: the API's lifespan and each worker process open the same services."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from qdrant_client import AsyncQdrantClient
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

from shared.bm25 import Bm25Encoder
from shared.embeddings import OPENAI_BASE_URL, Embedder, OpenAIEmbedder, make_client
from shared.jobs import Jobs
from shared.local_model import LocalEmbedder
from shared.pacing import Pacer, name_of
from shared.pacing_rules import MINUTE, PaceLimits
from shared.qdrant_reads import QdrantReads
from shared.queue import Queue, make_celery
from shared.redis_clients import async_redis, close_redis
from shared.releases import Records, Releases
from shared.schema import Schema
from shared.settings import Settings
from shared.vector_store import VectorStore

#: Longest wait for one answer of Qdrant, in seconds: an upsert of a hundred points on a busy disk.
QDRANT_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a process talks to."""

    settings: Settings
    redis: Redis
    schema: Schema
    store: VectorStore
    releases: Releases
    jobs: Jobs
    queue: Queue
    embedder: Embedder
    #: How fast the embeddings' provider may be asked; with the local model nothing asks for it.
    pacer: Pacer
    bm25: Bm25Encoder


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open every client for the running event loop; close them in reverse order. Connects lazily: nothing is asked
    here, so a process starts while its neighbours are still starting."""
    async with AsyncExitStack() as stack:
        redis = open_redis(settings)
        stack.push_async_callback(close_redis, redis)
        qdrant = open_qdrant(settings)
        stack.push_async_callback(qdrant.close)
        reads = open_reads(settings)
        stack.push_async_callback(reads.close)
        pacer = open_pacer(settings, redis)
        embedder = open_embedder(settings, pacer)
        stack.push_async_callback(embedder.close)
        queue = Queue(make_celery(settings))
        stack.callback(queue.close)
        schema = Schema(qdrant, settings.collection)
        records = Records(qdrant, reads, settings.collection, schema, settings.placement)
        yield Services(
            settings=settings,
            redis=redis,
            schema=schema,
            store=VectorStore(qdrant, reads, settings.collection, settings.placement),
            releases=Releases(records),
            jobs=Jobs(records, redis),
            queue=queue,
            embedder=embedder,
            pacer=pacer,
            bm25=Bm25Encoder(),
        )


def open_redis(settings: Settings) -> Redis:
    """A client that gives up within a second, because somebody is waiting for an answer."""
    return async_redis(
        settings.redis_address,
        decode_responses=True,
        socket_timeout=2,
        socket_connect_timeout=1,
        health_check_interval=15,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2),
    )


def open_qdrant(settings: Settings) -> AsyncQdrantClient:
    """A client of the configured Qdrant; asks nothing yet."""
    with warnings.catch_warnings():
        # On loopback and inside a container network the key travels no further than the machine.
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=settings.qdrant_url,
            api_key=settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None,
            timeout=QDRANT_TIMEOUT,
            # The check asks the server from a thread, at a moment when it may not be up yet.
            check_compatibility=False,
            # The client switches keep-alive off on loopback addresses unless limits are given.
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
        )


def open_reads(settings: Settings) -> QdrantReads:
    """The short way to the same Qdrant, for what visitors wait for; asks nothing yet."""
    return QdrantReads(
        settings.qdrant_url, settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    )


def open_pacer(settings: Settings, redis: Redis) -> Pacer:
    """The pace that all processes with these settings share."""
    key = settings.model_api_key.get_secret_value()
    return Pacer(
        redis,
        name=name_of(settings.model_base_url or OPENAI_BASE_URL, settings.embedding_model, key),
        limits=PaceLimits(
            settings.embed_requests_per_minute, settings.embed_tokens_per_minute, settings.embed_items_per_minute
        ),
        patience_seconds=settings.embed_patience_minutes * MINUTE,
    )


def open_embedder(settings: Settings, pacer: Pacer | None = None) -> Embedder:
    """The embedder that the settings name. Neither loads its model nor asks its provider yet."""
    if settings.embedding_provider == "local":
        return LocalEmbedder(threads=settings.embedding_threads)
    client = make_client(
        api_key=settings.model_api_key.get_secret_value(),
        base_url=settings.model_base_url,
        connections=settings.max_concurrent_requests,
    )
    return OpenAIEmbedder(
        client,
        model=settings.embedding_model,
        dimensions=settings.embedding_dimensions,
        batch_size=settings.embed_batch_size,
        concurrency=settings.max_concurrent_requests,
        key_variable="GEMINI_API_KEY" if settings.provider == "gemini" else "OPENAI_API_KEY",
        pacer=pacer,
    )
