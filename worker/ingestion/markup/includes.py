"""Puts what a page includes from other files into its text, so that words are found where visitors see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from worker.ingestion.markup import mdbook_includes, mdx_includes, mkdocs_includes
from worker.ingestion.markup.dialect import Dialect
from worker.ingestion.markup.include_targets import Found, Missing

#: Files within files; a cycle ends earlier.
MAX_DEPTH: Final = 8
#: Includes of one page, theirs counted too: a page that shows more is a bomb.
MAX_INCLUDES: Final = 2_000
#: Characters that includes may add to one page, about twice the longest page that is sensible.
MAX_CHARACTERS: Final = 2_000_000
#: Files that a fault names.
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Expanded:
    """A page's text with its includes in place."""

    text: str
    #: What could not be included, a sentence each that names the targets.
    faults: tuple[str, ...] = ()


def included_paths(text: str, path: str, dialect: Dialect, folders: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Where the files may stand that the page at `path` includes directly, relative to the content root.

    `folders` are those that the site's config names for includes, relative to the content root. A target that several
    folders may hold is named once for each; those that do not exist are no fault.
    """
    if dialect == "docusaurus":
        return mdx_includes.paths(text, path)
    if dialect == "mkdocs":
        return mkdocs_includes.paths(text, path, folders)
    return mdbook_includes.paths(text, path) if dialect == "mdbook" else ()


def expand_includes(
    text: str, path: str, dialect: Dialect, read: Callable[[str], str | None], folders: tuple[str, ...] = ()
) -> Expanded:
    """`text` of the page at `path` with its includes, and theirs, in place. `folders` as in `included_paths`.

    `read` gives the text of a file by its path relative to the content root, None if there is none. Where a target is
    missing, or one too many, its name stands in the text, and `faults` says so.
    """
    if dialect == "plain":
        return Expanded(text)
    expansion = _Expansion(dialect, read, folders)
    expanded = expansion.expand(text, path, ())
    return Expanded(expanded, tuple(expansion.faults()))


@dataclass(slots=True)
class _Expansion:
    """What one page's includes have come to so far."""

    dialect: Dialect
    read: Callable[[str], str | None]
    folders: tuple[str, ...] = ()
    texts: dict[str, str | None] = field(default_factory=dict)
    includes: int = 0
    characters: int = 0
    missing: dict[str, None] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)

    def expand(self, text: str, path: str, chain: tuple[str, ...]) -> str:
        inner = (*chain, path)

        def find(target: str, candidates: tuple[str, ...]) -> Found | Missing:
            return self._find(target, candidates, inner)

        if self.dialect == "docusaurus":
            return mdx_includes.expand(text, path, find)
        if self.dialect == "mkdocs":
            return mkdocs_includes.expand(text, path, find, self.folders)
        return mdbook_includes.expand(text, path, find)

    def _find(self, target: str, candidates: tuple[str, ...], chain: tuple[str, ...]) -> Found | Missing:
        for candidate in candidates:
            if candidate not in self.texts:
                self.texts[candidate] = self.read(candidate)
            text = self.texts[candidate]
            if text is None:
                continue
            self.includes += 1
            self.characters += len(text)
            if (
                candidate in chain
                or len(chain) > MAX_DEPTH
                or self.includes > MAX_INCLUDES
                or self.characters > MAX_CHARACTERS
            ):
                self.refused[target] = None
                return Missing(target)
            return Found(text, partial(self.expand, path=candidate, chain=chain))
        self.missing[target] = None
        return Missing(target)

    def faults(self) -> list[str]:
        found = []
        if self.missing:
            found.append(
                f"includes {_named(list(self.missing))}, not found below the content root; put the file there, or set "
                "the content root to a folder that holds it too"
            )
        if self.refused:
            found.append(
                f"includes {_named(list(self.refused))}, which was left out: a file may not include itself, and a page "
                f"may include {MAX_INCLUDES:,} files, {MAX_DEPTH} deep, of {MAX_CHARACTERS:,} characters"
            )
        return found


def _named(targets: list[str]) -> str:
    named = ", ".join(targets[:_NAMED])
    return f"{named} and {len(targets) - _NAMED} more" if len(targets) > _NAMED else named
