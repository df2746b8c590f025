"""Workers that are killed while a long queue waits behind what they do, and how soon it is done by somebody else."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from functools import partial

from tests.faults.cluster import Part
from tests.faults.injections import strike
from tests.faults.lab import Lab
from tests.faults.recoveries import recovered, slowness
from tests.system import until

#: The same text is asked for again within this after a worker's child was killed: the broker hands the message on.
CHILD_SECONDS = 1.0
#: And after a whole worker was: its claim runs out, and the reconciler looks.
WORKER_SECONDS = 15.0
#: Where somebody is never at it again.
PATIENCE_SECONDS = 60.0
#: An ingest is taken while Redis is frozen: it is the record that counts.
POST_SECONDS = 5.0
#: Slow enough, with so many pages, that most of the queue still waits when the last kill has been recovered from.
PER_TEXT = 0.2
PAGES = 80


def kill_children_of(worker: Part) -> bool:
    children = worker.children()
    for child in children:
        os.kill(child, signal.SIGKILL)
    return bool(children)


def test_what_a_killed_child_did_is_done_again_within_a_second(lab: Lab) -> None:
    with lab.site(pages=PAGES, per_text=PER_TEXT) as site:
        job_id = lab.begin(site)
        took = [
            recovered(lab.cluster.provider, partial(kill_children_of, worker), PATIENCE_SECONDS, requests=3)
            for worker in (*lab.cluster.workers, lab.cluster.workers[0])
        ]
        print("seconds to the same text again:", [round(seconds, 2) for seconds in took])
        lab.cluster.provider.plan("embeddings")
        lab.completed(job_id)
        lab.judge(site)
    assert statistics.median(took) <= CHILD_SECONDS * slowness()


def test_what_a_killed_worker_did_is_done_again_within_fifteen_seconds(lab: Lab) -> None:
    with lab.site(pages=PAGES, per_text=PER_TEXT) as site:
        job_id = lab.begin(site, requests=3)
        took = recovered(lab.cluster.provider, lab.cluster.workers[0].kill, PATIENCE_SECONDS, requests=3)
        print("seconds to the same text again:", round(took, 2))
        assert not lab.cluster.has_ended(job_id)
        lab.cluster.provider.plan("embeddings")
        lab.completed(job_id)
        lab.judge(site)
    assert took <= WORKER_SECONDS * slowness()


def test_a_job_of_which_nothing_is_left_but_its_record_is_done_when_everybody_is_back(lab: Lab) -> None:
    cluster = lab.cluster
    with lab.site(pages=4) as site:
        with cluster.held_down(*cluster.workers):
            site.next_edition()
            # Redis does not take the message, and whoever would send it again is killed.
            cluster.valkey.send(signal.SIGSTOP)
            asked_at = time.monotonic()
            job_id = cluster.post_ingest()
            took = time.monotonic() - asked_at
            assert strike(cluster, "API killed", random.Random(1)).struck
            cluster.valkey.send(signal.SIGCONT)
            with cluster.redis() as redis:
                redis.flushall()
            until(lambda: cluster.job(job_id).get("status") == "pending", 30)
        lab.completed(job_id)
        lab.judge(site)
    assert took <= POST_SECONDS
