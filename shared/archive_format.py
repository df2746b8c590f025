"""The file that `lectern export` writes: releases with their pages, passages and vectors. Written and read as a stream.

gzip around lines of JSON:

{"format": "lectern archive", "version": 1, "schema": 2, ...}                 the header: which releases, which models
{"page": [{"id": ID, ...}, ...], "collection": NAME, "chunks": N}             every kept version of one page,
{"chunk": ID, "payload": {...}, "dense": [...], "sparse": [[...], [...]]}     N times; then the next page
{"end": {"pages": N, "chunks": N, "sha256": HEX}}                             over all lines before

`dense` holds base64 of little-endian 32-bit floats, a string for each window; `sparse` the terms and their weights.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final

from shared.chunk_collections import CollectionSpec
from shared.errors import BadArchive
from shared.models import Release, SparseVector, StoredPage, Vector
from shared.points import ChunkPoint, chunk_of, chunk_payload, page_of, page_payload
from shared.schema import SCHEMA

FORMAT: Final = "lectern archive"
VERSION: Final = 1
#: Vectors hardly shrink and texts do at once: higher levels take several times as long for a tenth of the size.
COMPRESSION: Final = 1
#: Bytes. A chunk takes some tens of thousands; what has no ends of lines is not ours, and must not fill the memory.
LONGEST_LINE: Final = 64 * 2**20
LONGEST_HEADER: Final = 2**20

FOREIGN: Final = "the file is not a Lectern archive; give one that `lectern export` has written"
UNREADABLE: Final = "the file is not a Lectern archive, or it is damaged; copy it again, or give another one"
TRUNCATED: Final = "the file is cut off before its end; copy it again, or export again"
DAMAGED: Final = "the file is damaged; copy it again, or export again"


@dataclass(frozen=True, slots=True)
class Header:
    """What an archive says of itself."""

    schema: int
    #: Version of the program that wrote it.
    program: str
    created_at: str
    #: Number of the release that was live.
    live: int
    #: Oldest first.
    releases: tuple[Release, ...]
    #: What each collection was made for, by the name that the releases know it by.
    collections: Mapping[str, CollectionSpec]

    def release(self, number: int | None) -> Release:
        """The release of that number, else the one that was live. Raises BadArchive if the file does not hold it."""
        wanted = self.live if number is None else number
        for release in self.releases:
            if release.number == wanted:
                return release
        held = ", ".join(str(release.number) for release in self.releases)
        raise BadArchive(f"the file holds no release {wanted}; it holds {held}, of which {self.live} was live")


@dataclass(frozen=True, slots=True)
class PageGroup:
    """All that an archive holds of one page: its versions in several releases, and the chunks of all of them."""

    collection: str
    pages: tuple[StoredPage, ...]
    chunks: tuple[ChunkPoint, ...]


class ArchiveWriter:
    """Writes header, groups, end: in this order, or the file will be refused. `close` without an end leaves it cut."""

    def __init__(self, stream: BinaryIO) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=COMPRESSION, mtime=0)
        self._sum = hashlib.sha256()
        self.pages = 0
        self.chunks = 0

    def write_header(self, header: Header) -> None:
        # A file holds states of the docs; how they stand where they come from is no part of it.
        releases = [{k: v for k, v in asdict(release).items() if k != "state"} for release in header.releases]
        self._write({"format": FORMAT, "version": VERSION, **asdict(header), "releases": releases})

    def write_group(self, group: PageGroup) -> None:
        versions = [{"id": page.id, **page_payload(page)} for page in group.pages]
        self._write({"page": versions, "collection": group.collection, "chunks": len(group.chunks)})
        for point in group.chunks:
            self._write({
                "chunk": point.stored.id, "payload": chunk_payload(point.stored),
                "dense": [_packed(vector) for vector in point.vectors],
                "sparse": [point.sparse.indices, point.sparse.values],
            })  # fmt: skip
        self.pages += len(group.pages)
        self.chunks += len(group.chunks)

    def write_end(self) -> None:
        self._write({"end": {"pages": self.pages, "chunks": self.chunks, "sha256": self._sum.hexdigest()}})

    def close(self) -> None:
        self._gzip.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._sum.update(data)
        self._gzip.write(data)


class ArchiveReader:
    """Reads the header at once, then `groups`: who has taken the last one without BadArchive has had the whole file."""

    def __init__(self, stream: BinaryIO) -> None:
        """Raises BadArchive for a file that is not ours, or that a newer version has written."""
        self._gzip = gzip.GzipFile(fileobj=stream, mode="rb")
        self._sum = hashlib.sha256()
        self.header = self._read_header()

    def groups(self) -> Iterator[PageGroup]:
        """Page by page. Raises BadArchive where the file is cut off, damaged, or not what its end says."""
        pages = chunks = 0
        while True:
            sum_before = self._sum.hexdigest()
            line = self._read_line()
            if "end" in line:
                if line["end"] != {"pages": pages, "chunks": chunks, "sha256": sum_before} or self._read(1):
                    raise BadArchive(DAMAGED)
                return
            group = self._group(line)
            pages += len(group.pages)
            chunks += len(group.chunks)
            yield group

    def _group(self, line: Mapping[str, Any]) -> PageGroup:
        with _read_as_written():
            pages = tuple(page_of(page["id"], page) for page in line["page"])
            points = tuple(_point(self._read_line()) for _ in range(line["chunks"]))
            return PageGroup(line["collection"], pages, points)

    def _read_header(self) -> Header:
        """What is wrong before it is known whose file this is may mean that it is not ours."""
        try:
            data = self._gzip.readline(LONGEST_HEADER)
            line = json.loads(data)
        except EOFError as error:
            raise BadArchive(TRUNCATED) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadArchive(UNREADABLE) from error
        except ValueError as error:
            raise BadArchive(FOREIGN) from error
        if not isinstance(line, dict) or line.get("format") != FORMAT:
            raise BadArchive(FOREIGN)
        self._sum.update(data)
        return _header(line)

    def _read_line(self) -> dict[str, Any]:
        data = self._read(LONGEST_LINE)
        if not data.endswith(b"\n"):
            raise BadArchive(DAMAGED if len(data) == LONGEST_LINE else TRUNCATED)
        self._sum.update(data)
        try:
            line = json.loads(data)
        except ValueError as error:
            raise BadArchive(DAMAGED) from error
        if not isinstance(line, dict):
            raise BadArchive(DAMAGED)
        return line

    def _read(self, most: int) -> bytes:
        """Up to the next end of a line."""
        try:
            return self._gzip.readline(most)
        except EOFError as error:
            raise BadArchive(TRUNCATED) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadArchive(DAMAGED) from error


def _header(line: Mapping[str, Any]) -> Header:
    """Raises BadArchive for what a newer version has written."""
    with _read_as_written():
        if line["version"] > VERSION or line["schema"] > SCHEMA:
            raise BadArchive(
                f"the file was written by Lectern {line['program']}, in a format that this version does not know; "
                "update Lectern, then import it"
            )
        releases = tuple(Release(**release) for release in line["releases"])
        collections = {name: CollectionSpec(**spec) for name, spec in line["collections"].items()}
        header = Header(line["schema"], line["program"], line["created_at"], line["live"], releases, collections)
        if {release.collection for release in releases} - collections.keys():
            raise BadArchive(DAMAGED)
        return header


def _point(line: Mapping[str, Any]) -> ChunkPoint:
    indices, values = line["sparse"]
    vectors = [_unpacked(text) for text in line["dense"]]
    return ChunkPoint(chunk_of(line["chunk"], line["payload"]), vectors, SparseVector(indices, values))


def _packed(vector: Vector) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _unpacked(text: str) -> Vector:
    data = base64.b64decode(text, validate=True)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@contextmanager
def _read_as_written() -> Iterator[None]:
    """Whatever else stands in a line than what was written there is damage."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise BadArchive(DAMAGED) from error
