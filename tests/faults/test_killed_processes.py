"""Real processes killed in the middle of real work."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.stand_in.fixtures import Provider
from tests.system import System, until

#: Enough shards for a job to be in the middle of something whenever it is looked at.
PAGES = 60


def write_site(docs: Path) -> None:
    for number in range(PAGES):
        file = docs / f"part-{number % 6}" / f"page-{number:02}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        sections = "".join(
            f"## Section {s} of page {number}\n\n{f'Sentence {s} about topic {number}. ' * 30}\n\n" for s in range(5)
        )
        file.write_text(f"# Page {number}\n\n{sections}", encoding="utf-8")


@pytest.fixture
def embedding(provider: Provider) -> dict[str, str]:
    """The environment of a system that embeds over HTTP."""
    return {"OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in", "SITE_URL": "https://s.example"}


def clean_run(tmp_path: Path, docs: Path, embedding: dict[str, str]) -> dict[str, dict[str, Any]]:
    with System(tmp_path / "clean", docs, **embedding) as system:
        assert system.ingest()["status"] == "completed"
        return system.points()


@pytest.mark.parametrize("words", [("celery", "worker"), ("embedded.qdrant",), ("valkey",)])
def test_a_part_killed_during_a_job_leads_to_the_same_points_as_a_clean_run(
    tmp_path: Path, provider: Provider, embedding: dict[str, str], words: tuple[str, ...]
) -> None:
    docs = tmp_path / "docs"
    write_site(docs)
    expected = clean_run(tmp_path, docs, embedding)
    provider.fault("embeddings", "slow", seconds=0.4)
    with System(tmp_path / "home", docs, **embedding) as system:
        job_id = system.post_ingest()
        until(lambda: system.job(job_id)["progress"]["files_processed"] > 0, 60)
        victims = system.pids(*words)
        assert victims
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        provider.reset()
        job = system.finished(job_id)
        assert job["status"] == "completed", job
        assert system.points() == expected


def test_a_worker_process_killed_alone_goes_on_within_seconds(
    tmp_path: Path, provider: Provider, embedding: dict[str, str]
) -> None:
    docs = tmp_path / "docs"
    write_site(docs)
    provider.fault("embeddings", "slow", seconds=0.4)
    with System(tmp_path / "home", docs, **embedding) as system:
        job_id = system.post_ingest()
        until(lambda: system.job(job_id)["progress"]["files_processed"] > 0, 60)
        main, *children = system.pids("celery", "worker")
        os.kill(children[0] if children else main, signal.SIGKILL)
        provider.reset()
        assert system.finished(job_id)["status"] == "completed"
        assert system.api.get("/health").json()["documents_count"] == PAGES


def test_a_supervisor_killed_without_a_word_takes_its_parts_along(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write_site(docs)
    system = System(tmp_path / "home", docs)
    system.start()
    below = system.pids()
    assert len(below) >= 5
    system.kill()
    until(lambda: not any((Path("/proc") / str(pid)).exists() for pid in below), 10)
    with system:
        assert system.api.get("/healthz").status_code == 200
