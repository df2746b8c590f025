"""`lectern up` with its parts killed in the middle of a job, and at last itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.clean import clean_run
from tests.faults.cluster import SITE_URL
from tests.faults.editions import Site
from tests.faults.oracle import by_id
from tests.faults.recoveries import recovered, slowness
from tests.stand_in.fixtures import Provider
from tests.stores import Stores
from tests.system import System, until

#: A whole worker is started again, its claim runs out, and the reconciler looks: at the settings that everybody has.
WORKER_SECONDS = 15.0


def kill(system: System, *words: str) -> bool:
    """Everything below the supervisor whose command line holds these words. False if there is nothing."""
    victims = system.pids(*words)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    return bool(victims)


def at_work(provider: Provider) -> None:
    provider.wait_until(lambda stats: stats.embeddings.in_flight >= 1, 30)


@pytest.fixture
def embedding(provider: Provider) -> dict[str, str]:
    """The environment of a system that embeds over HTTP."""
    return {"OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "SITE_URL": SITE_URL}


def test_each_part_is_started_again_and_the_index_is_the_same(
    tmp_path: Path, stores: Stores, provider: Provider, embedding: dict[str, str]
) -> None:
    docs = tmp_path / "docs"
    site = Site(docs, pages=120)
    undisturbed = by_id(asyncio.run(clean_run(stores, provider, docs, [site.next_edition])).index.live)
    provider.reset()
    provider.fault("embeddings", "slow", per_text=0.05)
    with System(tmp_path / "home", docs, **embedding) as system:
        job_id = system.post_ingest()
        took = recovered(provider, partial(kill, system, "celery", "worker"), 60)
        print("seconds to the same text again:", round(took, 2))
        for words in (("embedded.qdrant",), ("valkey",)):
            assert kill(system, *words)
            time.sleep(1)
            at_work(provider)
        assert system.job(job_id)["status"] == "processing"
        provider.plan("embeddings")
        assert system.finished(job_id)["status"] == "completed"
        assert system.points() == undisturbed

        below = system.pids()
        assert len(below) >= 5
        system.api.close()
        system.kill()
        until(lambda: not any((Path("/proc") / str(pid)).exists() for pid in below), 10)
        system.start()
        assert system.points() == undisturbed
    assert took <= WORKER_SECONDS * slowness()
