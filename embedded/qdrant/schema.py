"""Collections: what is asked for when one is made, and what `GET /collections/{name}` shows of it."""

from __future__ import annotations

from typing import Any, TypeVar

import qdrant_edge as edge
from pydantic import BaseModel
from qdrant_client.http import models as rest

from embedded.qdrant.errors import BadRequest, NotOffered
from embedded.qdrant.names import engine_enum
from embedded.qdrant.payload_indexes import rest_info
from embedded.qdrant.payloads import require_shallow
from embedded.qdrant.state import StoredCollection
from embedded.qdrant.vectors import dense_params

# A server's own defaults. Clients refuse a collection's description without them.
_HNSW = rest.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False)
_OPTIMIZERS = rest.OptimizersConfig(
    deleted_threshold=0.2, vacuum_min_vector_number=1_000, default_segment_number=0, flush_interval_sec=5
)
_WAL = rest.WalConfig(wal_capacity_mb=32, wal_segments_ahead=0)

Hints = TypeVar("Hints", bound=BaseModel)

# Qdrant's own rules: the letters of a collection's name, the floats of a dense vector.
_LONGEST_NAME = 255
_FORBIDDEN = frozenset('<>:"/\\|?*') | {chr(code) for code in (*range(32), 127)}
_LONGEST_VECTOR = 65_536


def require_name(name: str) -> None:
    """Raise `BadRequest` unless a collection or an alias may be called so."""
    if not 0 < len(name) <= _LONGEST_NAME:
        raise BadRequest(f"Validation error: a collection's name has 1 to {_LONGEST_NAME} characters")
    if wrong := sorted(_FORBIDDEN.intersection(name)):
        raise BadRequest(f"Validation error: a collection's name cannot contain {wrong[0]!r}")
    if name in {".", ".."}:
        raise BadRequest(f"Validation error: a collection cannot be named {name!r}")


def require_offered(config: rest.CreateCollection) -> None:
    """Raise `NotOffered` for what would be promised and not kept, `BadRequest` for what makes no sense."""
    if config.sharding_method is rest.ShardingMethod.CUSTOM:
        raise NotOffered("custom sharding")
    if max(config.shard_number or 1, config.replication_factor or 1, config.write_consistency_factor or 1) > 1:
        raise NotOffered("more than one shard, replica or write consistency, because it is one node")
    if config.strict_mode_config is not None and config.strict_mode_config.enabled:
        raise NotOffered("strict mode")
    if not dense_params(config) and not config.sparse_vectors:
        raise NotOffered("collections without any vector")
    for name, params in dense_params(config).items():
        if not 1 <= params.size <= _LONGEST_VECTOR:
            raise BadRequest(f"Validation error: a vector's size is 1 to {_LONGEST_VECTOR}, and not {params.size}")
        if name in (config.sparse_vectors or {}):
            raise BadRequest(f"Wrong input: `{name}` is a dense and a sparse vector")
    require_shallow(config.metadata)


def edge_config(config: rest.CreateCollection) -> edge.EdgeConfig:
    """The engine's configuration. Index and placement hints are left out: nothing is ever indexed here."""
    return edge.EdgeConfig(
        vectors={name: _dense(params) for name, params in dense_params(config).items()},
        sparse_vectors={name: _sparse(params) for name, params in (config.sparse_vectors or {}).items()},
    )


def updated(config: rest.CreateCollection, patch: rest.UpdateCollection) -> rest.CreateCollection:
    """The configuration after `PATCH`: metadata merged key by key, where null removes a key; hints merged too."""
    for name in ("vectors", "params", "quantization_config", "sparse_vectors", "strict_mode_config"):
        if getattr(patch, name) is not None:
            raise NotOffered(f"changing `{name}` of a collection")
    require_shallow(patch.metadata)
    changes = patch.metadata or {}
    kept = {key: value for key, value in (config.metadata or {}).items() if key not in changes}
    merged = {**kept, **{key: value for key, value in changes.items() if value is not None}}
    return config.model_copy(
        update={
            "metadata": merged or None,
            "hnsw_config": _merged(config.hnsw_config, patch.hnsw_config),
            "optimizers_config": _merged(config.optimizers_config, patch.optimizers_config),
        }
    )


def collection_info(stored: StoredCollection, shard: edge.ShardInfo) -> rest.CollectionInfo:
    """Everything that a client wants to know of a collection; vectors are never indexed, and all of them found."""
    indexed = shard.payload_schema
    return rest.CollectionInfo(
        status=rest.CollectionStatus.GREEN,
        optimizer_status=rest.OptimizersStatusOneOf.OK,
        indexed_vectors_count=shard.indexed_vectors_count,
        points_count=shard.points_count,
        segments_count=shard.segments_count,
        config=_shown_config(stored.config),
        created_at=stored.created_at,
        payload_schema={
            field: rest_info(schema, indexed[field].points if field in indexed else 0)
            for field, schema in stored.indexes.items()
        },
    )


def _shown_config(config: rest.CreateCollection) -> rest.CollectionConfig:
    return rest.CollectionConfig(
        params=rest.CollectionParams(
            vectors=config.vectors or {},
            sparse_vectors=config.sparse_vectors,
            shard_number=config.shard_number or 1,
            replication_factor=config.replication_factor or 1,
            write_consistency_factor=config.write_consistency_factor or 1,
            on_disk_payload=config.on_disk_payload is not False,
        ),
        hnsw_config=_HNSW.model_copy(update=_given(config.hnsw_config)),
        optimizer_config=_OPTIMIZERS.model_copy(update=_given(config.optimizers_config)),
        wal_config=_WAL.model_copy(update=_given(config.wal_config)),
        quantization_config=config.quantization_config,
        metadata=config.metadata,
    )


def _dense(params: rest.VectorParams) -> edge.EdgeVectorParams:
    multivector = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim) if params.multivector_config else None
    return edge.EdgeVectorParams(
        size=params.size,
        distance=engine_enum(edge.Distance, params.distance),
        multivector_config=multivector,
        datatype=engine_enum(edge.VectorStorageDatatype, params.datatype) if params.datatype else None,
    )


def _sparse(params: rest.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    datatype = params.index.datatype if params.index else None
    return edge.EdgeSparseVectorParams(
        modifier=edge.Modifier.Idf if params.modifier is rest.Modifier.IDF else None,
        datatype=engine_enum(edge.VectorStorageDatatype, datatype) if datatype else None,
    )


def _given(hints: BaseModel | None) -> dict[str, Any]:
    """The hints that were set; "auto" is the same as not set, and the shown model has no word for it."""
    auto = rest.MaxOptimizationThreadsSetting.AUTO
    return {name: value for name, value in hints or () if value is not None and value is not auto}


def _merged(old: Hints | None, new: Hints | None) -> Hints | None:
    return new if old is None else old.model_copy(update=_given(new))
