"""Workers and the API are replaced one after the other in the middle of a job, as an update in place does it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.services import open_services
from shared.settings import Settings
from tests import by_hand
from tests.http_api import settings_on
from tests.processes import Api, running_api, running_worker
from tests.stand_in.fixtures import Provider
from tests.stores import Stores

#: Some twenty-five shards: enough for two workers to be busy until both have been replaced.
PAGES = 50
#: Passages a request. A shard is four of them, which are sent at once: it takes as long as one.
BATCH = 5
#: More than one worker has under way.
OF_BOTH = 5
JOB_SECONDS = 120
#: A worker lets a shard go on for four seconds, and is away soon after.
STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a reader of the live release sees: the ids of each page's chunks, in order, and of all chunks there are."""

    pages: dict[str, tuple[str, ...]]
    chunks: list[str]


def write_site(docs: Path) -> None:
    docs.mkdir()
    for number in range(PAGES):
        sections = "".join(
            f"## Section {s} of page {number}\n\n{f'Sentence {s} about topic {number}. ' * 90}\n\n" for s in range(10)
        )
        (docs / f"page-{number:02}.md").write_text(f"# Page {number}\n\n{sections}", encoding="utf-8")


async def clean_run(settings: Settings) -> tuple[Indexed, int]:
    """The index as one undisturbed run makes it, and the texts of its largest shard."""
    async with open_services(settings) as services:
        ours, _, _ = by_hand.by_hand(services)
        job = await by_hand.ingest(ours)
        shards = (await services.jobs.results(job.id)).values()
    return await indexed(settings), max(shard.texts_embedded for shard in shards)


async def indexed(settings: Settings) -> Indexed:
    async with open_services(settings) as services:
        live = await services.releases.live()
        assert live is not None
        pages = await by_hand.pages_at(services.store, live.collection, live.number)
        chunks = await services.store.chunks_of(live.collection, live.number, sorted(pages))
    return Indexed({path: page.chunk_ids for path, page in pages.items()}, sorted(chunk.id for chunk in chunks))


@pytest.mark.parametrize(
    ("seconds", "shards_sent_again"),
    [
        pytest.param(2, 0, id="a shard that ends before its worker has to go"),
        pytest.param(6, 2, id="a shard that does not: one for each worker that was replaced"),
    ],
)
def test_replacing_every_process_during_a_job_loses_and_doubles_nothing(
    stores: Stores, provider: Provider, tmp_path: Path, seconds: float, shards_sent_again: int
) -> None:
    docs = tmp_path / "docs"
    write_site(docs)
    models = {
        "openai_base_url": provider.base_url,
        "openai_embedding_model": "stand-in",
        "content_root": docs,
        "embed_batch_size": BATCH,
    }
    expected, largest_shard = asyncio.run(clean_run(settings_on(stores, **models)))
    settings = settings_on(stores, **models)
    variables = {
        **stores.environment, "QDRANT_COLLECTION_NAME": settings.collection, "CONTENT_ROOT": str(docs),
        "OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "EMBED_BATCH_SIZE": str(BATCH),
    }  # fmt: skip
    provider.reset()
    provider.fault("embeddings", "slow", seconds=seconds)
    with ExitStack() as stack:
        first, second = (stack.enter_context(running_worker(tmp_path, variables, name)) for name in ("one", "two"))
        api = stack.enter_context(running_api(tmp_path, variables))
        job_id = api.ingest()
        provider.wait_until(lambda stats: stats.embeddings.in_flight >= OF_BOTH, JOB_SECONDS)

        told_to_go(first)
        stack.enter_context(running_worker(tmp_path, variables, "three"))
        gone(first)
        provider.wait_until(lambda stats: stats.embeddings.in_flight >= OF_BOTH, JOB_SECONDS)
        told_to_go(second)
        stack.enter_context(running_worker(tmp_path, variables, "four"))
        gone(second)
        api = replaced(api, stack, tmp_path, variables)
        assert api.job(job_id)["status"] == "processing"
        provider.plan("embeddings")

        job = api.finished(job_id, JOB_SECONDS)
    assert job["status"] == "completed", job
    assert asyncio.run(indexed(settings)) == expected
    # Each process asks once, with a text of its own, how long the model's vectors are.
    sent = {text: times for text, times in provider.stats().embeddings.texts.items() if "topic" in text}
    sent_again = sum(times - 1 for times in sent.values())
    print(f"{sent_again} of {len(sent)} passages were sent again; the largest shard has {largest_shard}")
    assert sent_again <= shards_sent_again * largest_shard


def told_to_go(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def gone(process: subprocess.Popen[bytes]) -> None:
    process.wait(STOP_SECONDS)


def replaced(old: Api, stack: ExitStack, folder: Path, variables: dict[str, str]) -> Api:
    """Another API process, started before the old one goes."""
    new = stack.enter_context(running_api(folder, variables))
    told_to_go(old.process)
    gone(old.process)
    return new
