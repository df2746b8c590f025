"""When writes reach the disk.

The engine's log survives the death of the process, and so an acknowledged write survives `kill -9` without a flush.
Only power loss, or a crash of the whole machine, can take what was not flushed. A flush costs about 65 ms, too much
for every request: so collections are flushed every five seconds, which is a Qdrant server's own default
(`flush_interval_sec`), and a write with `ordering=strong` is answered only when it and everything that was
acknowledged before it, in any collection, are on the disk. Whoever publishes something writes it with that ordering.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from embedded.qdrant.collection import Collection
from embedded.qdrant.errors import is_engine_error

#: Seconds between two rounds; see above.
_INTERVAL = 5.0

log = logging.getLogger(__name__)


class Flusher:
    """A thread that flushes what `collections()` returns, until it is stopped."""

    def __init__(self, collections: Callable[[], Iterable[Collection]]) -> None:
        self._collections = collections
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return when no flush is running and none will."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            for collection in self._collections():
                self._flush(collection)

    def _flush(self, collection: Collection) -> None:
        try:
            collection.flush()
        except BaseException as error:
            if not is_engine_error(error):
                raise
            # It stays marked as not flushed, and the next round tries again.
            log.warning("cannot flush %s: %s", collection.folder, error)
