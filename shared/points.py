"""What a point holds: ids, digests and payloads of chunks and pages. Pure; `shared.vector_store` moves the points.

Points of one collection are chunks (with vectors) and pages (without), told apart by the payload field `record`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from shared.bm25 import TERMS_VERSION
from shared.models import Chunk, Page, Part, SparseVector, StoredChunk, StoredPage, Vectors

#: Namespace of every id made here, so that the same content has the same id on every machine.
NAMESPACE: Final = UUID("6f0f7c58-6f0e-5a43-9b0e-1d6f3d3c7a11")


@dataclass(frozen=True, slots=True)
class ChunkPoint:
    """A chunk with what it is found by."""

    stored: StoredChunk
    vectors: Vectors
    sparse: SparseVector


def digest_of(chunk: Chunk) -> str:
    """SHA-256 over everything that is shown of a chunk, and over what decides by which words it is found."""
    return _sha256(f"terms={TERMS_VERSION}", *(f"{name}={value!r}" for name, value in _fields(chunk).items()))


def text_hash_of(chunk: Chunk) -> str:
    """SHA-256 of what the embedding model reads."""
    return _sha256(chunk.embedded_text)


def chunk_id(path: str, digest: str, duplicate: int, since: int) -> str:
    """The id of a chunk's point. `since` is part of it: a text that comes back later is another point."""
    return str(uuid5(NAMESPACE, f"chunk\0{path}\0{digest}\0{duplicate}\0{since}"))


def page_id(path: str, since: int) -> str:
    """The id of a page's point."""
    return str(uuid5(NAMESPACE, f"page\0{path}\0{since}"))


def chunk_payload(stored: StoredChunk) -> dict[str, Any]:
    """What `chunk_of` reads."""
    return {
        "record": "chunk", **_fields(stored.chunk), "trail": list(stored.chunk.trail),
        "parts": [{**_fields(part), "trail": list(part.trail)} for part in stored.chunk.parts],
        "digest": stored.digest, "text_hash": stored.text_hash, "since": stored.since, "until": stored.until,
    }  # fmt: skip


def page_payload(stored: StoredPage) -> dict[str, Any]:
    """What `page_of` reads."""
    return {
        "record": "page", **asdict(stored.page), "chunk_ids": list(stored.chunk_ids),
        "since": stored.since, "until": stored.until,
    }  # fmt: skip


def chunk_of(id_: str, payload: Mapping[str, Any]) -> StoredChunk:
    p = payload
    chunk = Chunk(
        path=p["path"], page_title=p["page_title"], url=p["url"], anchor=p["anchor"], trail=tuple(p["trail"]),
        text=p["text"], kind=p["kind"], tokens=p["tokens"], overlap=p["overlap"],
        parts=tuple(Part(a["start"], a["anchor"], a["url"], tuple(a["trail"])) for a in p["parts"]),
        # Points that were written before pages had versions and locales hold neither.
        version=p.get("version", ""), locale=p.get("locale", ""),
    )  # fmt: skip
    return StoredChunk(id_, chunk, p["digest"], p["text_hash"], p["since"], p["until"])


def page_of(id_: str, payload: Mapping[str, Any]) -> StoredPage:
    p = payload
    page = Page(
        path=p["path"], title=p["title"], url=p["url"], revision=p["revision"],
        version=p.get("version", ""), locale=p.get("locale", ""),
    )  # fmt: skip
    return StoredPage(id_, page, tuple(p["chunk_ids"]), p["since"], p["until"])


def _fields(value: Chunk | Part) -> dict[str, Any]:
    """As `dataclasses.asdict`, which takes ten times as long: it copies what needs no copy."""
    found = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if "parts" in found:
        found["parts"] = tuple(map(_fields, found["parts"]))
    return found


def _sha256(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
