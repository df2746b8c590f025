"""What is kept of a site between two fetches: each page's last good copy, and what its server called that version.

SOURCES_DIR/web-<id>/state.json        by address: validators, where the page was found, its title, its body's hash
SOURCES_DIR/web-<id>/bodies/<sha256>   the pages themselves
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from worker.ingestion.sources.copies import staging_folder
from worker.ingestion.sources.manifest import ManifestPage, write_manifest
from worker.ingestion.sources.web import Validators

STATE: Final = "state.json"


@dataclass(frozen=True, slots=True)
class KeptPage:
    """The last good copy of a page."""

    #: Where it was found in the end, after redirects.
    url: str
    title: str
    sha256: str
    #: Bytes.
    size: int
    etag: str = ""
    modified: str = ""

    @property
    def validators(self) -> Validators:
        return Validators(self.etag, self.modified)


class SiteStore:
    """The pages kept of one site, by the addresses that its sitemap lists. Used by one fetch at a time; blocking."""

    def __init__(self, folder: Path, pages: dict[str, KeptPage]) -> None:
        self._folder = folder
        self._bodies = folder / "bodies"
        self.pages = pages

    @classmethod
    def open(cls, folder: Path) -> SiteStore:
        """What the last fetch has left; nothing, if it left nothing that can be read."""
        store = cls(folder, {})
        store._bodies.mkdir(exist_ok=True)
        try:
            raw = json.loads((folder / STATE).read_text(encoding="utf-8"))
            pages = {url: KeptPage(**page) for url, page in raw.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return store
        store.pages = {url: page for url, page in pages.items() if store._has(page)}
        return store

    def put(self, found: str, title: str, body: bytes, validators: Validators) -> KeptPage:
        """Keep the body of a page's new copy; the caller sets it in `pages`, where nobody else is at work on them."""
        sha256 = hashlib.sha256(body).hexdigest()
        page = KeptPage(found, title, sha256, len(body), validators.etag, validators.modified)
        if not self._has(page):
            _write_whole(self._bodies / sha256, body)
        return page

    def save(self) -> None:
        """Write down what is kept. After a kill without it, pages are fetched again that need not be."""
        text = json.dumps({url: asdict(page) for url, page in self.pages.items()}, ensure_ascii=False, indent=0)
        _write_whole(self._folder / STATE, text.encode())

    def forget_all_but(self, urls: Iterable[str]) -> int:
        """Remove the pages that the site does not list any more. Returns how many there were."""
        listed = set(urls)
        gone = [url for url in self.pages if url not in listed]
        for url in gone:
            del self.pages[url]
        wanted = {page.sha256 for page in self.pages.values()}
        for body in self._bodies.iterdir():
            if body.name not in wanted:
                body.unlink(missing_ok=True)
        return len(gone)

    def write_out(self, pages: Mapping[str, ManifestPage]) -> Path:
        """A staging folder with these pages' files and their manifest."""
        staging = staging_folder(self._folder)
        for path, page in pages.items():
            target = staging / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(self._bodies / page.sha256, target)
        write_manifest(staging, pages)
        return staging

    def _has(self, page: KeptPage) -> bool:
        try:
            return (self._bodies / page.sha256).stat().st_size == page.size
        except OSError:
            return False


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there with all of its bytes, or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links, or with a file that has as many as it can
        shutil.copyfile(source, target)
