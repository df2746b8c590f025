"""Content that changes while it is read, and ingests that are asked for all at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults.editions import Site
from tests.faults.lab import Lab


@contextmanager
def edited(site: Site) -> Iterator[None]:
    """Write, bring back and take away pages all the time, as an author with a generator does."""
    over = threading.Event()
    chance = random.Random(site.seed)

    def write() -> None:
        while not over.wait(0.02):
            site.edit_a_page(chance)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def completed_but_for_what_vanished(lab: Lab, job_id: str) -> None:
    """A page that is gone by the time it is read is named among the errors, and is no reason to fail."""
    job = lab.cluster.finished(job_id)
    assert job["status"] == "completed", job
    assert all("vanished" in error for error in job["errors"]), job


def test_pages_that_change_under_a_job_are_each_of_one_revision_and_the_next_job_has_the_last(lab: Lab) -> None:
    with lab.site(pages=30, per_text=0.05) as site:
        site.next_edition()
        with edited(site):
            for _ in range(2):
                completed_but_for_what_vanished(lab, lab.cluster.post_ingest())
        lab.completed(lab.cluster.post_ingest())
        lab.judge(site)


def test_posts_at_once_are_one_job_by_key_run_one_after_the_other_and_pay_for_nothing_twice(lab: Lab) -> None:
    with lab.site(pages=12, per_text=0.05) as site, ThreadPoolExecutor(20) as posting:
        site.next_edition()
        with_one_key = set(posting.map(lambda _: lab.cluster.post_ingest("the-same-key"), range(20)))
        assert len(with_one_key) == 1
        without_key = list(posting.map(lambda _: lab.cluster.post_ingest(), range(3)))
        site.next_edition()
        last = lab.cluster.post_ingest()
        for job_id in (*with_one_key, *without_key):
            completed_but_for_what_vanished(lab, job_id)
        lab.completed(last)
        lab.judge(site)
        assert lab.paid_again() == 0
