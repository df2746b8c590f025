"""Searching a release for texts: their embeddings, which are remembered, and their words."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from api.chat.spending import spending
from shared.chunk_search import ANYWHERE, Query, Where
from shared.embeddings import Embedder
from shared.errors import ProviderError
from shared.models import Passage, Release, Vector
from shared.services import Services
from shared.tokens import count_tokens

log = structlog.get_logger(__name__)

#: Characters of a question, selection or earlier answer that are searched for. Embedding models read little more, and
#: keyword search takes time for each word.
SEARCHED: Final = 2000
#: Vectors of questions that are remembered: about 12 MB of a provider's largest.
REMEMBERED: Final = 256


async def search(
    texts: Sequence[str], release: Release, services: Services, limit: int, where: Where = ANYWHERE
) -> list[list[Passage]]:
    """For each text the passages that fit it, best first; what one of them brings up is in the lists of all it fits."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_vector(text, release, services)) for text in texts]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # they ask the same index: one failure says it all
    queries = [Query(task.result(), services.bm25.encode_query(text)) for text, task in zip(texts, tasks, strict=True)]
    return await services.store.search_all(release.collection, release.number, queries, limit, where)


def clipped(text: str) -> str:
    """The beginning and the end of a text that is too long to search for: a question stands at either."""
    text = text.strip()
    return text if len(text) <= SEARCHED else f"{text[: SEARCHED // 2]}\n{text[-SEARCHED // 2 :]}"


async def _vector(text: str, release: Release, services: Services) -> Vector | None:
    """The text's vector; None, so that words alone decide, if there is none that the release could be compared with."""
    spec = await services.store.spec_of(release.collection)
    if spec.model != services.embedder.model:
        log.warning("the release was made with another embedding model", made_with=spec.model)
        return None
    remembered = _vectors.setdefault(services.embedder, OrderedDict())
    if text not in remembered:
        try:
            remembered[text] = await services.embedder.embed_query(text)
        except ProviderError as error:
            log.warning("the question could not be embedded", reason=error.message)
            return None
        spending().embedding += count_tokens(text)
    remembered.move_to_end(text)
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
    return remembered[text] if len(remembered[text]) == spec.dimensions else None


#: Vectors of recent questions, the latest last. A follow-up asks for its predecessor's again, a retry for its own.
_vectors: WeakKeyDictionary[Embedder, OrderedDict[str, Vector]] = WeakKeyDictionary()
