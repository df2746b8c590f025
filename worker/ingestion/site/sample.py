"""Tells by a few of its pages which generator a folder without a config was written for."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import PageError
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.read import decode_page, read_page

#: Pages that are read, entries that are looked at to find them, and bytes of a page that is not too large to be one.
MOST_PAGES: Final = 24
MOST_ENTRIES: Final = 2000
MOST_BYTES: Final = 256 * 1024
#: Folders within each other above the first pages: `docs/en/docs`.
MOST_FOLDERS: Final = 5
#: One page alone may be about another generator.
FEWEST_SIGNS: Final = 2

_FENCED: Final = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[^\n]*+\n(?:(?!^[ \t]*+\1)[^\n]*+\n)*+[^\n]*+", re.MULTILINE)
_MKDOCS: Final = re.compile(
    r'^[ \t]*+(?:///[ \t]+[a-z]|(?:!!!|\?\?\?\+?)[ \t]+[a-z]|===[ \t]+"|-{1,10}8<-{1,10}[ \t]|\{[*!][ \t])',
    re.MULTILINE,
)
_DOCUSAURUS: Final = re.compile(
    r"^(?::::[ \t]*(?:note|tip|info|warning|danger|caution)\b|import [^\n]{1,200} from ['\"]@(?:theme|site)\b"
    r"|sidebar_(?:position|label):)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Signs:
    """What the first pages of a folder look like."""

    dialect: Dialect
    #: The folder that holds all pages, relative to the content root; "" for the root.
    folder: str


def look_at(root: Path) -> Signs:
    """A guess that costs a few small reads; "plain" where nothing speaks for a generator."""
    folder = _folder_of_pages(root)
    mkdocs = docusaurus = 0
    for path in _first_pages(root, folder):
        try:
            text = _FENCED.sub("", decode_page(read_page(root, path, MOST_BYTES)))
        except PageError:
            continue
        docusaurus += path.endswith(".mdx") or bool(_DOCUSAURUS.search(text))
        mkdocs += bool(_MKDOCS.search(text))
    if mkdocs >= FEWEST_SIGNS and mkdocs > docusaurus:
        return Signs("mkdocs", folder)
    return Signs("docusaurus" if docusaurus >= FEWEST_SIGNS else "plain", folder)


def _folder_of_pages(root: Path) -> str:
    """Down from the root as long as there is one folder and no page beside it."""
    folder = ""
    for _ in range(MOST_FOLDERS):
        pages, folders = _listed(root, folder)
        if pages or len(folders) != 1:
            return folder
        folder = folders[0]
    return folder


def _first_pages(root: Path, folder: str) -> list[str]:
    """Pages of upper folders first, in order of their names."""
    found: list[str] = []
    waiting = [folder]
    seen = 0
    while waiting and len(found) < MOST_PAGES and seen < MOST_ENTRIES:
        pages, folders = _listed(root, waiting.pop(0))
        seen += len(pages) + len(folders) + 1
        found += pages
        waiting += folders
    return found[:MOST_PAGES]


def _listed(root: Path, folder: str) -> tuple[list[str], list[str]]:
    """Pages and folders right below a folder, without hidden ones and links, in order of their names."""
    pages: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.name.startswith(".") or entry.name == "node_modules":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.name.endswith((".md", ".mdx")) and entry.is_file(follow_symlinks=False):
                    pages.append(path)
    except OSError:
        return [], []
    return sorted(pages)[:MOST_ENTRIES], sorted(folders)[:MOST_ENTRIES]
