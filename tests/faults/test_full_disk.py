"""Qdrant's disk runs full in the middle of a job."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.lab import Lab

#: Fewer than the engine wants to stay free.
LEFT = 64 << 20


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - LEFT)
    try:
        yield
    finally:
        filler.unlink()


def test_readers_notice_nothing_of_a_full_disk_and_the_job_ends_well_once_there_is_room(lab: Lab) -> None:
    if lab.disk is None:
        pytest.skip("this user may not mount a file system to fill")
    with lab.site(pages=20) as site:
        site.next_edition()
        lab.completed(lab.cluster.post_ingest())
        job_id = lab.begin(site)
        starts = lab.cluster.qdrant.starts
        with filled(lab.disk):
            time.sleep(3)
            assert lab.cluster.search("Sentence about part 1")["total"]
        assert lab.cluster.qdrant.starts == starts, "the full disk has killed Qdrant"
        job = lab.cluster.finished(job_id)
        if job["status"] == "failed":  # nothing is asked of the owner but to ask again
            assert "room" in job["reason"] or "disk" in job["reason"], job
            job_id = lab.cluster.post_ingest()
        lab.completed(job_id)
        lab.judge(site)
