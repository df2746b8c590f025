"""Readers that never stop looking while everything breaks: at Qdrant, as the API reads it, and at the API."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from tests.faults.cluster import COLLECTION, Cluster
from tests.faults.editions import Edition, revisions_in
from tests.faults.oracle import live_release, qdrant, view_of
from tests.qdrant_server import API_KEY

#: Between two looks of one reader.
PAUSE_SECONDS = 0.15
#: Nobody waits longer for an answer.
PATIENCE_SECONDS = 10


@dataclass(slots=True)
class Seen:
    """What readers have met so far."""

    reads: int = 0
    #: Reads that got no answer, or a 503: a store was away.
    unavailable: int = 0
    #: Answers that no reader may ever get: each says what was wrong.
    faults: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Readers:
    """`editions` are the states that may be seen; None: pages of any revision, each of one."""

    cluster: Cluster
    editions: Callable[[], Sequence[Edition] | None]
    index: Seen = field(default_factory=Seen)
    api: Seen = field(default_factory=Seen)
    _over: threading.Event = field(default_factory=threading.Event)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def faults(self) -> list[str]:
        return [*self.index.faults, *self.api.faults]

    @contextmanager
    def reading(self) -> Iterator[Readers]:
        """Look from two threads. A release has to be live when it begins."""
        threads = [threading.Thread(target=look, daemon=True) for look in (self._read_index, self._read_api)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(2 * PATIENCE_SECONDS)

    def _read_index(self) -> None:
        with ExitStack() as stack:
            client = stack.enter_context(qdrant(self.cluster.qdrant_url, API_KEY))
            while not self._over.wait(PAUSE_SECONDS):
                try:
                    faults = list(self._faults_of_index(client))
                except (ApiException, QdrantException, UnexpectedResponse, OSError):
                    self.index.unavailable += 1
                else:
                    self.index.reads += 1
                    self.index.faults += faults

    def _faults_of_index(self, client: QdrantClient) -> Iterator[str]:
        # Before the view: a state that is written later cannot be in a release that is live already.
        release = live_release(client, COLLECTION)
        if release is None:
            yield "no release is live"
            return
        view = view_of(client, release)
        yield from view.faults(self.editions())

    def _read_api(self) -> None:
        with httpx.Client(base_url=self.cluster.client.base_url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
            while not self._over.wait(PAUSE_SECONDS):
                look = self._random.choice((self._faults_of_search, self._faults_of_page))
                started = time.monotonic()
                try:
                    faults = list(look(client))
                except httpx.TransportError as error:
                    self.api.unavailable += 1
                    if time.monotonic() - started > PATIENCE_SECONDS:
                        self.api.faults.append(f"the API did not answer within {PATIENCE_SECONDS} s: {error}")
                else:
                    self.api.reads += 1
                    self.api.faults += faults

    def _faults_of_search(self, client: httpx.Client) -> Iterator[str]:
        response = client.get("/search", params={"q": f"Sentence about part {self._random.randrange(6)}", "k": 20})
        if (found := self._answer(response)) is None:
            yield from self._refusal(response)
            return
        if not (results := found["results"]):
            yield f"/search found nothing at release {found['release']}"
            return
        spoken: dict[str, set[int]] = {}
        for passage in results:
            spoken.setdefault(passage["path"], set()).update(revisions_in(passage["text"]))
        editions = self.editions()
        if editions is None:
            editions = [{path: next(iter(revisions)) for path, revisions in spoken.items()}]
        if not any(_belong_to(edition, spoken) for edition in editions):
            yield f"/search mixed editions at release {found['release']}: {spoken}"

    def _faults_of_page(self, client: httpx.Client) -> Iterator[str]:
        editions = self.editions()
        paths = sorted(set.intersection(*(set(edition) for edition in editions))) if editions else []
        if not paths:
            return
        path = self._random.choice(paths)
        response = client.get(f"/documents/{path}")
        if response.status_code != 200:
            yield from self._refusal(response)
        elif len(revisions_in(response.text)) != 1:
            yield f"/documents/{path} shows revisions {sorted(revisions_in(response.text))}"

    def _answer(self, response: httpx.Response) -> Any:
        return response.json() if response.status_code == 200 else None

    def _refusal(self, response: httpx.Response) -> Iterator[str]:
        """A 503 is honest while a store is away; any other refusal is a fault."""
        if response.status_code == 503:
            self.api.unavailable += 1
        else:
            yield f"{response.request.url.path} answered {response.status_code}: {response.text[:200]}"


def _belong_to(edition: Edition, spoken: dict[str, set[int]]) -> bool:
    return all(revisions == {edition.get(path)} for path, revisions in spoken.items())
