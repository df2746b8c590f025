"""What a site comes to where nothing breaks: ingested in this process, message by message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.services import open_services
from tests import by_hand
from tests.faults.cluster import SITE_URL
from tests.faults.editions import is_passage
from tests.faults.oracle import Index, index_of, qdrant
from tests.http_api import settings_on
from tests.stand_in.control import Provider
from tests.stores import Stores


@dataclass(frozen=True, slots=True)
class Clean:
    """The index after undisturbed runs, and how many passages were paid for by the end of each."""

    index: Index
    paid: Sequence[int]


async def clean_run(stores: Stores, provider: Provider, docs: Path, editions: Sequence[Callable[[], object]]) -> Clean:
    """Write each edition and ingest it, in a new collection."""
    models = {"openai_base_url": provider.base_url, "openai_embedding_model": "stand-in"}
    settings = settings_on(stores, **models, content_root=docs, site_url=SITE_URL)
    paid: list[int] = []
    async with open_services(settings) as services:
        ours, _, _ = by_hand.by_hand(services)
        for write in editions:
            write()
            await by_hand.ingest(ours)
            paid.append(sum(passages_paid(provider).values()))
    with qdrant(stores.qdrant_url, stores.qdrant_api_key) as client:
        return Clean(index_of(client, settings.collection), paid)


def passages_paid(provider: Provider) -> Counter[str]:
    """How often each passage was sent and not refused. Not counted: the text that each process sends once to learn the
    vectors' size, and visitors' questions."""
    stats = provider.stats().embeddings
    return Counter(
        {text: times - stats.refused.get(text, 0) for text, times in stats.texts.items() if is_passage(text)}
    )
