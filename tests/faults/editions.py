"""A site in editions: each changes, shortens, takes away and brings back pages of the one before. Seeded."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What every sentence of a page ends with; a page's passages must never say more than one of these.
_REVISION = re.compile(r"in revision (\d+)")

#: Which pages there are, and in which revision.
Edition = Mapping[str, int]


@dataclass(slots=True)
class Site:
    """Writes a site's pages. `editions` holds every state that a reader may ever see, the empty one aside."""

    docs: Path
    pages: int
    seed: int = 1
    #: A section is one passage of about 350 tokens.
    most_sections: int = 8
    #: Number of the first edition: sites that follow each other in one index have no passage in common.
    first: int = 1
    editions: list[Edition] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def again(self, docs: Path) -> Site:
        """A site that will have the same editions, elsewhere."""
        return Site(docs, self.pages, self.seed, self.most_sections, self.first)

    def next_edition(self) -> Edition:
        """Write the next state of the site. The first has all pages; later ones differ in about two pages of three."""
        number = self.first + len(self.editions)
        before = self.editions[-1] if self.editions else {}
        edition: dict[str, int] = {}
        for path in _paths(self.pages):
            chance = self._random.random()
            if not self.editions or (path in before and chance < 0.5) or (path not in before and chance < 0.7):
                edition[path] = number
            elif path in before and chance < 0.9:
                edition[path] = before[path]
        self.editions.append(edition)
        for path, revision in edition.items():
            if before.get(path) != revision:
                write_page(self.docs / path, text_of(path, revision, self.most_sections))
        for path in before.keys() - edition.keys():
            (self.docs / path).unlink()
        return edition

    def edit_a_page(self, chance: random.Random) -> None:
        """Write, bring back or take away one page. The edition that is being edited is the last one."""
        edition = dict(self.editions[-1])
        path = chance.choice(_paths(self.pages))
        if path in edition and chance.random() < 0.1 and len(edition) > self.pages // 2:
            del edition[path]
            (self.docs / path).unlink()
        else:
            edition[path] = max(edition.values()) + 1
            write_page(self.docs / path, text_of(path, edition[path], self.most_sections))
        self.editions[-1] = edition


def _paths(pages: int) -> list[str]:
    return [f"part-{page % 6}/page-{page:03}.md" for page in range(pages)]


def text_of(path: str, revision: int, most_sections: int) -> str:
    """The page's Markdown. Later revisions are longer or shorter; no two passages of any two are equal."""
    sections = 1 + (revision * 7 + sum(path.encode())) % most_sections
    parts = [f"# {path}\n\nA page about {path} in revision {revision}.\n\n"]
    for section in range(sections):
        sentence = f"Sentence {section} about {path} in revision {revision}. "
        parts.append(f"## Section {section}\n\n{sentence * 22}\n\n")
    return "".join(parts)


def write_page(file: Path, text: str) -> None:
    """In one step, as a site's build puts a page in its place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".fresh")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)


def revisions_in(text: str) -> set[int]:
    return {int(number) for number in _REVISION.findall(text)}


def is_passage(text: str) -> bool:
    """Whether an embedded text is a passage of a site like this: not a probe for the vectors' size, not a question."""
    return _REVISION.search(text) is not None
