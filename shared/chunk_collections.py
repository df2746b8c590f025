"""Collections of chunks and pages in Qdrant: one for each embedding model, beside each other, switched by release."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from qdrant_client import AsyncQdrantClient
from qdrant_client import models as q
from qdrant_client.http.exceptions import UnexpectedResponse

from shared.models import SERVERS_CHOICE, Placement
from shared.qdrant_errors import qdrant_errors
from shared.schema import SCHEMA, SCHEMA_KEY, is_ours, records_name

DENSE: Final = "dense"
SPARSE: Final = "bm25"
#: What is filtered on, hence indexed. Without an index a filter reads every payload.
INDEXES: Final[Mapping[str, q.PayloadSchemaType | q.KeywordIndexParams]] = {
    "record": q.PayloadSchemaType.KEYWORD,
    "path": q.KeywordIndexParams(type=q.KeywordIndexType.KEYWORD, prefix=True),
    "url": q.PayloadSchemaType.KEYWORD,
    "version": q.PayloadSchemaType.KEYWORD,
    "locale": q.PayloadSchemaType.KEYWORD,
    "text_hash": q.PayloadSchemaType.KEYWORD,
    "since": q.PayloadSchemaType.INTEGER,
    "until": q.PayloadSchemaType.INTEGER,
}


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What makes the vectors of one collection comparable. Another value of any field means another collection."""

    model: str
    dimensions: int
    #: Tokens a vector, where the model reads less than a chunk holds; None where a chunk has one vector.
    window: int | None

    def name(self, alias: str) -> str:
        """`lectern__all-minilm-l6-v2-384-w144`: readable, unique a spec."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.model.lower()).strip("-")
        return f"{alias}__{slug}-{self.dimensions}" + (f"-w{self.window}" if self.window else "")


class ChunkCollections:
    """Makes, finds and drops them. Every method raises DependencyDown if Qdrant does not answer."""

    def __init__(self, client: AsyncQdrantClient, alias: str, placement: Placement = SERVERS_CHOICE) -> None:
        self._client = client
        self.alias = alias
        self._placement = placement
        #: What collections were made for; it never changes, so it is asked once.
        self._specs: dict[str, CollectionSpec] = {}

    async def ensure_collection(self, spec: CollectionSpec) -> str:
        """Create the collection of this spec with its payload indexes unless it is there. Returns its name."""
        name = spec.name(self.alias)
        with qdrant_errors():
            if not await self._client.collection_exists(name):
                await self._create(name, spec)
            indexed = (await self._client.get_collection(name)).payload_schema
            for field, schema in INDEXES.items():
                if not _serves(indexed.get(field), schema):  # making one that is there is a write all the same
                    await self._client.create_payload_index(name, field, field_schema=schema)
        return name

    async def _create(self, name: str, spec: CollectionSpec) -> None:
        windows = q.MultiVectorConfig(comparator=q.MultiVectorComparator.MAX_SIM) if spec.window else None
        dense = q.VectorParams(size=spec.dimensions, distance=q.Distance.COSINE, multivector_config=windows)
        try:
            await self._client.create_collection(
                name,
                vectors_config={DENSE: dense},
                sparse_vectors_config={SPARSE: q.SparseVectorParams(modifier=q.Modifier.IDF)},
                metadata={**asdict(spec), SCHEMA_KEY: SCHEMA},
                shard_number=self._placement.shards,
                replication_factor=self._placement.replicas,
                write_consistency_factor=self._placement.write_consistency,
            )
        except UnexpectedResponse as error:
            if error.status_code != 409:  # another worker was first
                raise

    async def spec_of(self, name: str) -> CollectionSpec:
        """What a collection was made for."""
        if name not in self._specs:
            with qdrant_errors():
                metadata = (await self._client.get_collection(name)).config.metadata or {}
            self._specs[name] = CollectionSpec(metadata["model"], metadata["dimensions"], metadata.get("window"))
        return self._specs[name]

    async def point_alias(self, name: str) -> None:
        """Let the alias name this collection, for people and other tools; readers go by the live record."""
        with qdrant_errors():
            aliases = (await self._client.get_aliases()).aliases
            current = next((a.collection_name for a in aliases if a.alias_name == self.alias), None)
            if current == name:
                return
            create = q.CreateAliasOperation(create_alias=q.CreateAlias(collection_name=name, alias_name=self.alias))
            delete = q.DeleteAliasOperation(delete_alias=q.DeleteAlias(alias_name=self.alias))
            await self._client.update_collection_aliases([delete, create] if current else [create])

    async def collections(self) -> list[str]:
        """Every collection of chunks and pages, whether or not a release is in it."""
        with qdrant_errors():
            names = [each.name for each in (await self._client.get_collections()).collections]
        return [name for name in names if is_ours(self.alias, name) and name != records_name(self.alias)]

    async def is_empty(self, name: str) -> bool:
        with qdrant_errors():
            return (await self._client.count(name, exact=True)).count == 0

    async def drop_collection(self, name: str) -> None:
        """Delete a collection that no kept release is in, or that is gone already."""
        with qdrant_errors():
            await self._client.delete_collection(name)

    async def ping(self) -> None:
        """Raise DependencyDown unless Qdrant answers."""
        with qdrant_errors():
            await self._client.get_collections()


def _serves(index: q.PayloadIndexInfo | None, schema: q.PayloadSchemaType | q.KeywordIndexParams) -> bool:
    """Whether the index that a field has is the wanted one: earlier versions made paths one without prefixes."""
    if index is None or isinstance(schema, q.PayloadSchemaType):
        return index is not None
    return isinstance(index.params, q.KeywordIndexParams) and index.params.prefix == schema.prefix
