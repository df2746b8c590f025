"""One cluster that all tests of this folder break, one after the other, and what each of them asks of it."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.clean import clean_run, passages_paid
from tests.faults.cluster import COLLECTION, REQUEST_PASSAGES, Cluster
from tests.faults.editions import Site
from tests.faults.injections import SECONDS_PER_TEXT, steadily
from tests.faults.oracle import View, by_content, live_release, qdrant, settled_index, view_of, wrong_vectors
from tests.faults.readers import Readers
from tests.faults.recoveries import slowness
from tests.qdrant_server import API_KEY
from tests.stand_in.control import Provider
from tests.stores import Stores

#: After any fault somebody is at work again within this, or the job is over: a claim runs out, the reconciler looks.
BACK_AT_WORK_SECONDS = 25
#: Editions are told apart by their numbers; no site of this folder's tests has as many.
EDITIONS_PER_SITE = 1000
#: Passages that both workers have in hand, which is the most that one fault can make them pay for again: each has a
#: shard of four requests.
IN_HAND = 2 * 4 * REQUEST_PASSAGES


@dataclass(slots=True)
class Lab:
    """`stores` are others than the cluster's: what undisturbed runs come to is made there."""

    cluster: Cluster
    stores: Stores
    clean_provider: Provider
    #: Where Qdrant's data is, on a file system that can be filled; None where there can be none.
    disk: Path | None
    sites: int = 0

    def new_site(self, pages: int) -> Site:
        """A site in the place of the last one's, in a cluster that is well."""
        self.cluster.wait_until_well()
        shutil.rmtree(self.cluster.docs)
        self.sites += 1
        self.cluster.provider.reset()
        return Site(self.cluster.docs, pages, seed=self.sites, first=self.sites * EDITIONS_PER_SITE)

    @contextmanager
    def site(self, pages: int, *, per_text: float = SECONDS_PER_TEXT) -> Iterator[Site]:
        """A new site, with readers who never stop."""
        site = self.new_site(pages)
        steadily(self.cluster, per_text=per_text)
        readers = Readers(self.cluster, lambda: None)
        with readers.reading():
            yield site
        assert not readers.faults, readers.faults
        assert readers.index.reads
        assert readers.api.reads

    def begin(self, site: Site, requests: int = 1) -> str:
        """The next edition's job, once so many embedding requests are under way."""
        site.next_edition()
        job_id = self.cluster.post_ingest()
        self.back_at_work(job_id, requests)
        return job_id

    def back_at_work(self, job_id: str, requests: int = 1) -> bool:
        """Wait until somebody works for the job; False if it is over."""
        deadline = time.monotonic() + BACK_AT_WORK_SECONDS * slowness()
        while self.cluster.provider.stats().embeddings.in_flight < requests:
            if self.cluster.has_ended(job_id):
                return False
            assert time.monotonic() < deadline, f"nobody was at work for {BACK_AT_WORK_SECONDS} s"
            time.sleep(0.05)
        return True

    def completed(self, job_id: str) -> None:
        """Wait for its end, which must be a good one."""
        job = self.cluster.finished(job_id)
        assert (job["status"], job["errors"]) == ("completed", []), job

    def live(self) -> View:
        """What readers see now."""
        with qdrant(self.cluster.qdrant_url, API_KEY) as client:
            release = live_release(client, COLLECTION)
            assert release is not None
            return view_of(client, release)

    def judge(self, site: Site) -> None:
        """The index is what an undisturbed run makes of the content, and holds nothing besides.

        Compared are all points by what they hold; not their ids and release numbers, which tell how many releases
        there were before.
        """
        with qdrant(self.cluster.qdrant_url, API_KEY) as client:
            index = settled_index(client, COLLECTION)
        clean = asyncio.run(clean_run(self.stores, self.clean_provider, self.cluster.docs, [_as_it_is])).index
        assert list(index.live.faults(site.editions[-1:])) == []
        assert by_content(index.live) == by_content(clean.live)
        assert wrong_vectors(index.live, clean.live) == []
        assert index.duplicates == ()
        assert [(point.payload["since"], point.payload["until"]) for point in index.orphans] == []

    def paid_again(self) -> int:
        """Passages that were paid for since the site began, beyond once each."""
        paid = passages_paid(self.cluster.provider)
        return sum(paid.values()) - len(paid)


def _as_it_is() -> None:
    """The content is there already."""
