"""What the files of a fetched site are: which page of the site each one was. Stands beside them, in each revision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

#: A name that is no page's: pages have an ending of their own, and hidden files are never pages.
MANIFEST: Final = ".lectern-site.json"


@dataclass(frozen=True, slots=True)
class ManifestPage:
    #: The published address, without an anchor.
    url: str
    #: Of the HTML's <title>; "" if it has none.
    title: str
    #: Of the file's bytes.
    sha256: str


Manifest = Mapping[str, ManifestPage]


def revision_of(pages: Manifest) -> str:
    """The same for the same files of the same pages, whenever and wherever they were fetched."""
    listed = sorted((path, page.url, page.sha256) for path, page in pages.items())
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def write_manifest(folder: Path, pages: Manifest) -> None:
    text = json.dumps({path: asdict(page) for path, page in sorted(pages.items())}, ensure_ascii=False, indent=0)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The pages of a revision by their files' paths; None if the folder is no fetched site."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {path: ManifestPage(**page) for path, page in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
