"""A page's revision: what decides what becomes of the page, in four hashes, so that it can be said what has changed.

Equal revisions mean that there is nothing to do. Which of the parts differ says why there is. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, Literal

Part = Literal["text", "included", "place", "rules"]
#: In the order in which they stand in a revision.
PARTS: Final[tuple[Part, ...]] = ("rules", "text", "place", "included")
#: Hexadecimal digits of each. Two versions of a page must never be taken for one; 96 bits see to that.
DIGITS: Final = 24


def revision_of(*, rules: bytes, text: bytes, place: bytes = b"", included: Iterable[bytes] = ()) -> str:
    """The revision of a page.

    rules: settings and versions that shape the passages of every page. text: the file's bytes. place: what the site's
    configuration says of this page. included: the bytes of each file that it shows, in a stable order.
    """
    others = hashlib.sha256()
    for data in included:
        others.update(hashlib.sha256(data).digest())
    hashes = (_hash(rules), _hash(text), _hash(place), others.hexdigest()[:DIGITS])
    return ".".join(hashes)


def changed_parts(old: str, new: str) -> set[Part]:
    """What differs between two revisions; the text, where one was written before revisions had parts."""
    before, after = old.split("."), new.split(".")
    if len(before) != len(PARTS) or len(after) != len(PARTS):
        return set() if old == new else {"text"}
    return {part for part, one, other in zip(PARTS, before, after, strict=True) if one != other}


def same_text(revision: str) -> str:
    """A key that is equal for pages that hold the same text, wherever they stand."""
    parts = revision.split(".")
    return parts[PARTS.index("text")] if len(parts) == len(PARTS) else revision


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]
