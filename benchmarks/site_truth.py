"""How much of a published site is found where its real build put it: pages, addresses, titles, heading ids.

    python -m benchmarks.site_truth [DATA]

DATA holds a checkout `redux/` of a Docusaurus site and `redux.routes.json`, what its build produced:
`{"site_url", "pages": [{"source", "url", "title", "headings": [{"level", "id"}]}]}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.settings import load_settings
from worker.ingestion.content import Content
from worker.ingestion.front_matter import read_front_matter
from worker.ingestion.markup.includes import expand_includes
from worker.ingestion.markup.markdown import parse_markdown
from worker.ingestion.read import decode_page
from worker.ingestion.site.detect import open_site

#: Beside the project's root, where data that is not the project's own is kept.
DEFAULT_DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Level and id of those that can be linked to; a title that the theme puts above a page has none.
Headings = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Built:
    """A page, as a build or as Lectern has it."""

    source: str
    url: str
    title: str
    headings: Headings


def published(data: Path) -> dict[str, Built]:
    """What the site's own build produced, by source."""
    truth: Mapping[str, Any] = json.loads((data / "redux.routes.json").read_text())
    return {
        page["source"]: Built(
            page["source"],
            truth["site_url"] + page["url"],
            page["title"],
            [(heading["level"], heading["id"]) for heading in page["headings"] if heading["id"]],
        )
        for page in truth["pages"]
    }


def understood(root: Path) -> dict[str, Built]:
    """What Lectern takes the same sources for, by source."""
    content = Content.of(load_settings(None, content_root=root))
    pages, _ = content.read([page.path for page in content.find(".").pages])
    return {
        parsed.page.path: Built(
            parsed.page.path, parsed.page.url, parsed.page.title, headings(root, parsed.page.path, content)
        )
        for parsed in pages
    }


def headings(root: Path, path: str, content: Content) -> Headings:
    """The headings of a page in order, with those of what it includes."""
    site = open_site(root.resolve(), content.site).page(path)
    if site is None:
        return []

    def read(included: str) -> str | None:
        file = root / included
        return file.read_text() if file.is_file() else None

    body = read_front_matter(decode_page((root / path).read_bytes())).body
    expanded = expand_includes(body, path, site.dialect, read)
    sections = parse_markdown(expanded.text, dialect=site.dialect, mdx=path.endswith(".mdx"))
    found = (heading for section in sections for heading in (section.heading, *section.nested) if heading)
    return [(heading.level, heading.anchor) for heading in found if heading.anchor]


def differing(expected: Mapping[str, Built], got: Mapping[str, Built], field: str) -> list[str]:
    """One line for each page whose `field` is not as the site has it."""
    lines: list[str] = []
    for source, page in expected.items():
        wanted = getattr(page, field)
        found = getattr(got[source], field) if source in got else None
        if wanted != found:
            lines.append(f"{source}: {_first_difference(wanted, found)}")
    return lines


def _first_difference(wanted: object, found: object) -> str:
    if isinstance(wanted, list) and isinstance(found, list):
        for at, (one, other) in enumerate(zip([*wanted, None], [*found, None], strict=False)):
            if one != other:
                return f"heading {at + 1} is {one!r}, here {other!r}"
    return f"{wanted!r}, here {found!r}"


def main(arguments: Sequence[str]) -> None:
    data = Path(arguments[0]) if arguments else DEFAULT_DATA
    expected, got = published(data), understood(data / "redux")
    differences: list[str] = []
    found = len(expected.keys() & got.keys())
    print(f"pages found       {found} of {len(expected)}, and {len(got.keys() - expected.keys())} that are none")
    for field, name in (("url", "addresses equal"), ("title", "titles equal"), ("headings", "heading ids equal")):
        wrong = differing(expected, got, field)
        differences += wrong
        print(f"{name:<18}{len(expected) - len(wrong)} of {len(expected)}")
    print(*differences, sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
