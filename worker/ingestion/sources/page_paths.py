"""The file that a page of a fetched site is kept in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

_ENDINGS: Final = (".html", ".htm", ".xhtml")
#: A name that every file system takes, and that no rule about hidden or partial files leaves out.
_PLAIN: Final = re.compile(r"[^\W_][\w .~@+=,()!'-]{0,150}")
_MOST_LEVELS: Final = 30


def page_paths(urls: Iterable[str]) -> dict[str, str]:
    """A path for each address, POSIX and relative: `https://h/docs/intro/` is kept in `docs/intro/index.html`.

    The same address has the same path whatever others there are, unless two of them would share it.
    """
    paths: dict[str, str] = {}
    taken: set[str] = set()
    for url in sorted(set(urls)):
        path = _path(url)
        # Names that differ in case only are one file on some machines.
        if path.lower() in taken or urlsplit(url).query:
            path = f"{path.removesuffix('.html')}-{_hash(url)}.html"
        taken.add(path.lower())
        paths[url] = path
    return paths


def _path(url: str) -> str:
    names = [unquote(name) for name in urlsplit(url).path.split("/")[1:]]
    *folders, last = names or [""]
    folders = [name for name in folders if name]
    if len(folders) > _MOST_LEVELS:
        folders = [_hash("/".join(folders))]
    stem = last or "index"
    for ending in _ENDINGS:
        stem = stem[: -len(ending)] if stem.lower().endswith(ending) and len(stem) > len(ending) else stem
    return "/".join([*map(_name, folders), f"{_name(stem)}.html"])


def _name(name: str) -> str:
    # A folder that is called like a page would stand in that page's way.
    fits = _PLAIN.fullmatch(name) and name != "node_modules" and not name.lower().endswith(_ENDINGS)
    return name if fits else f"page-{_hash(name)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
