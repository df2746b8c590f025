"""Breaks everything at random while a site is ingested edition by edition, and checks after each what must hold."""

from __future__ import annotations

import asyncio
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.clean import clean_run, passages_paid
from tests.faults.cluster import COLLECTION, Cluster
from tests.faults.editions import Site
from tests.faults.injections import FAULTS, KILLS, Injection, steadily, strike
from tests.faults.oracle import View, by_content, by_id, index_of, live_release, qdrant, settled_index, wrong_vectors
from tests.faults.readers import Readers, Seen
from tests.faults.recoveries import recoveries
from tests.qdrant_server import API_KEY
from tests.stand_in.control import Provider
from tests.stand_in.fixtures import provider_process
from tests.stores import running_stores

#: A job that has not ended after so long is stuck, whatever was broken: faults stop, and it has as long again.
JOB_SECONDS: Final = 180
#: Tries of one edition while things break; then it is ingested in peace.
MOST_TRIES: Final = 3
#: Faults whose victim is at work on a text.
OF_WORKERS: Final = ("worker's child killed", "worker killed")
SHARE_OF_KILLS: Final = 0.5
#: Where something is killed every second for ever, nothing is ever done: after these a job is left alone.
FAULTS_A_JOB: Final = 8
#: A part that was killed is back within this.
AFTERMATH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Chaos:
    """How bad it gets."""

    seed: int
    #: Processes to kill before it is enough.
    kills: int
    #: Faults that may strike.
    names: Sequence[str] = tuple(FAULTS)
    share_of_kills: float = SHARE_OF_KILLS
    #: Seconds between the end of one fault and the next one, at least and at most.
    pause: tuple[float, float] = (0.5, 3.0)
    #: Faults that strike while one job runs, at most.
    faults_a_job: int = FAULTS_A_JOB


@dataclass(slots=True)
class Outcome:
    """What a run has met."""

    seed: int
    seconds: float = 0.0
    injections: list[Injection] = field(default_factory=list)
    #: Why each job ended, by its end.
    jobs: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    editions: int = 0
    #: What must never happen, in words.
    faults: list[str] = field(default_factory=list)
    lost: int = 0
    duplicates: int = 0
    orphans: int = 0
    wrong_vectors: int = 0
    index: Seen = field(default_factory=Seen)
    api: Seen = field(default_factory=Seen)
    #: Passages that the provider was paid for, and how many there were to embed; in all, and before anything broke.
    sent: int = 0
    needed: int = 0
    sent_in_peace: int = 0
    needed_in_peace: int = 0
    #: Seconds from a kill until the same text was asked for again.
    recoveries: dict[str, list[float]] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        return sum(injection.struck for injection in self.injections if injection.name in KILLS)

    @property
    def spend(self) -> float:
        return self.sent / self.needed if self.needed else 1.0


def run_chaos(cluster: Cluster, site: Site, settings: Chaos) -> Outcome:
    """Ingest edition after edition until so many processes were killed."""
    outcome = Outcome(settings.seed)
    chance = random.Random(settings.seed)
    started = time.monotonic()
    has_history = _live_number(cluster) > 0
    cluster.provider.reset()
    steadily(cluster)
    site.next_edition()
    # The first edition is ingested in peace, so that there is something to read and a cost to compare with.
    _ingest(cluster, outcome, settings, None)
    _judge(cluster, outcome)
    outcome.sent_in_peace = sum(passages_paid(cluster.provider).values())
    readers = Readers(cluster, lambda: site.editions)
    with readers.reading():
        while outcome.kills < settings.kills:
            site.next_edition()
            _ingest(cluster, outcome, settings, chance)
            cluster.wait_until_well()
            _judge(cluster, outcome)
    outcome.index, outcome.api = readers.index, readers.api
    outcome.faults += readers.faults
    _compare_with_clean_run(cluster, site, outcome, by=by_content if has_history else by_id)
    _count_recoveries(cluster.provider, outcome)
    outcome.sent = sum(passages_paid(cluster.provider).values())
    outcome.editions = len(site.editions)
    outcome.seconds = time.monotonic() - started
    return outcome


def _live_number(cluster: Cluster) -> int:
    with qdrant(cluster.qdrant_url, API_KEY) as client:
        live = live_release(client, COLLECTION)
    return live.number if live else 0


def _ingest(cluster: Cluster, outcome: Outcome, settings: Chaos, chance: random.Random | None) -> None:
    """Ingest the content as it is until a job has indexed all of it. Faults strike meanwhile if there is a `chance`."""
    for attempt in range(MOST_TRIES + 1):
        job_id = _posted_three_times(cluster, outcome)
        with _striking(cluster, outcome, settings, chance if attempt < MOST_TRIES else None):
            deadline = time.monotonic() + JOB_SECONDS
            while not (ended := cluster.has_ended(job_id)) and time.monotonic() < deadline:
                time.sleep(0.1)
        if not ended:
            outcome.faults.append(f"{job_id} had not ended after {JOB_SECONDS} s")
        job = cluster.finished(job_id, JOB_SECONDS)
        outcome.jobs[job["status"]] += 1
        if not job["reason"]:
            outcome.faults.append(f"{job_id} {job['status']} without a reason")
        if job["status"] == "completed" and not job["errors"]:
            return
        outcome.reasons[f"{job['reason']} {'; '.join(job['errors'][1:])}".strip()] += 1
    outcome.faults.append(f"an edition could not be ingested in peace: {job['reason']} {job['errors']}")


def _posted_three_times(cluster: Cluster, outcome: Outcome) -> str:
    """As an impatient client does, with one key. The one job that comes of it."""
    key = f"key-{time.monotonic_ns()}"
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(cluster.post_ingest(key))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) != 1:
        outcome.faults.append(f"three posts with one key made the jobs {sorted(found)}")
    return min(found)


@contextmanager
def _striking(cluster: Cluster, outcome: Outcome, settings: Chaos, chance: random.Random | None) -> Iterator[None]:
    """Let faults strike from a thread, one after the other, in an order that the seed decides."""
    over = threading.Event()

    def keep_striking(chance: random.Random) -> None:
        for _ in range(settings.faults_a_job):
            if over.wait(chance.uniform(*settings.pause)):
                return
            kills = chance.random() < settings.share_of_kills
            names = [name for name in settings.names if (name in KILLS) == kills]
            outcome.injections.append(strike(cluster, chance.choice(names), chance))

    thread = threading.Thread(target=keep_striking, args=(chance,), daemon=True)
    if chance is not None:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if chance is not None:
            thread.join()
        steadily(cluster)


def _judge(cluster: Cluster, outcome: Outcome) -> None:
    """Look for what an ingest may have left behind."""
    with qdrant(cluster.qdrant_url, API_KEY) as client:
        index = settled_index(client, COLLECTION)
    outcome.orphans += len(index.orphans)
    outcome.duplicates += len(index.duplicates)
    if index.orphans:
        numbers = Counter((point.payload["since"], point.payload["until"]) for point in index.orphans)
        kept = [release.number for release in index.kept]
        outcome.faults.append(f"{len(index.orphans)} points that none of {kept} shows; since and until: {numbers}")


def _compare_with_clean_run(
    cluster: Cluster, site: Site, outcome: Outcome, by: Callable[[View], Mapping[Any, Any]]
) -> None:
    """Hold what is live against what the same editions come to where nothing breaks: points, payloads and vectors."""
    with qdrant(cluster.qdrant_url, API_KEY) as client:
        dirty = index_of(client, COLLECTION)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clean-")))
        stores = stack.enter_context(running_stores(folder))
        provider, _ = stack.enter_context(provider_process())
        again = site.again(folder / "docs")
        clean = asyncio.run(clean_run(stores, provider, again.docs, [again.next_edition] * len(site.editions)))
    outcome.needed, outcome.needed_in_peace = clean.paid[-1], clean.paid[0]
    expected, found = by(clean.index.live), by(dirty.live)
    outcome.lost += len(expected.keys() - found.keys())
    outcome.wrong_vectors += len(wrong_vectors(dirty.live, clean.index.live))
    if found != expected:
        differing = sum(found[key] != expected[key] for key in expected.keys() & found.keys())
        outcome.faults.append(
            f"the index differs from a clean run's: {outcome.lost} points lack, "
            f"{len(found.keys() - expected.keys())} are too many, {differing} differ"
        )
    if outcome.wrong_vectors:
        outcome.faults.append(f"{outcome.wrong_vectors} passages have another text's vector")


def _count_recoveries(provider: Provider, outcome: Outcome) -> None:
    abandoned = provider.stats().embeddings.abandoned
    for kill in outcome.injections:
        if kill.name not in OF_WORKERS or not kill.struck:
            continue
        others = [other.at - kill.at for other in outcome.injections if other is not kill and other.struck]
        for seconds in recoveries(abandoned, kill.at):
            disturbed = any(-AFTERMATH_SECONDS < at < seconds for at in others)
            name = f"{kill.name}, {'other faults around' if disturbed else 'no other fault around'}"
            outcome.recoveries.setdefault(name, []).append(seconds)
