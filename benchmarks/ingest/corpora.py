"""What is ingested: real docs, and a made site of any size; and the edits between runs."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

#: What the made pages are written with.
VOCABULARY = (
    "heron mast sail rope anchor harbour tide wind keel rudder deck cabin chart compass buoy lantern storm reef hoist "
    "lower fasten check repair paint store launch the a of with before after when until beside under splice furl tack"
)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Docs to ingest: a folder of Markdown, or a number of pages to make."""

    name: str
    folder: Path | None = None
    pages: int = 0

    @contextmanager
    def copy(self) -> Iterator[Path]:
        """A copy that may be edited, and is gone afterwards."""
        with TemporaryDirectory() as scratch:
            docs = Path(scratch) / "docs"
            if self.folder is None:
                write_site(docs, self.pages)
            else:
                shutil.copytree(self.folder, docs)
            yield docs


def write_site(folder: Path, pages: int) -> None:
    """A site of pages with four sections each, a listing in one of them, about 600 words a page, always the same."""
    dice, words = random.Random(7), VOCABULARY.split()
    for number in range(pages):
        sections = []
        for section in range(4):
            sentences = (" ".join(dice.choices(words, k=12)).capitalize() + "." for _ in range(11))
            sections.append(f"## Section {section} of page {number}\n\n{' '.join(sentences)}\n")
        listing = "\n".join(f"{word}({dice.randrange(1000)})" for word in dice.choices(words, k=12))
        sections.append(f"```python\n{listing}\n```\n")
        file = folder / f"part-{number // 50:03}" / f"page-{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Page {number}\n\n" + "\n".join(sections), encoding="utf-8")


def pages_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in (".md", ".mdx"))


def edit(folder: Path, pages: int) -> None:
    """Add one line to the ends of so many pages, spread over the site."""
    found = pages_of(folder)
    for page in found[:: max(1, len(found) // pages)][:pages]:
        page.write_text(page.read_text(encoding="utf-8") + "\nOne more line than before.\n", encoding="utf-8")
