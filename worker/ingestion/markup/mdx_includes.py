"""Docusaurus's partials (`import Part from './_part.mdx'`, `<Part />`) and code files that a page imports as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from worker.ingestion.markup.include_targets import Find, Missing, above, beside, indented, listing
from worker.ingestion.markup.tags import Tag, TagReader

_IMPORT: Final = re.compile(
    r"^import[ \t]++(?P<name>[A-Z]\w*+)(?:[ \t]*+,[ \t]*+\{[^{}\n]*+\})?[ \t]++from[ \t]++(?P<quote>['\"])"
    r"(?P<raw>!!raw-loader!)?(?P<target>[^'\"\n!]++)(?P=quote)",
    re.MULTILINE,
)
_PARTIAL: Final = (".md", ".mdx")
_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_PROP: Final = re.compile(r"\{props\.(\w+)\}")
#: A listing, a piece of code, or a component.
_MARKS: Final = re.compile(
    r"^(?P<quote>[ \t>]*+)(?:[-*+][ \t]++|\d{1,9}[.)][ \t]++)?+(?P<fence>`{3,}+|~{3,}+)[^\n]*+"
    r"|(?P<ticks>`++)"
    r"|<(?P<name>[A-Z]\w*+)",
    re.MULTILINE,
)


def paths(text: str, path: str) -> tuple[str, ...]:
    """Where the files may stand that a page includes directly."""
    if "import " not in text:
        return ()
    found = (_candidates(path, imported["target"]) for imported in _IMPORT.finditer(text) if _is_text(imported))
    return tuple(dict.fromkeys(chain.from_iterable(found)))


def _is_text(imported: re.Match[str]) -> bool:
    return bool(imported["raw"]) or imported["target"].endswith(_PARTIAL)


def _candidates(path: str, target: str) -> tuple[str, ...]:
    if target.startswith("@site/"):
        return above(path, target.removeprefix("@site/"))
    return beside(path, target) if target.startswith((".", "/")) else ()


def expand(text: str, path: str, find: Find) -> str:
    """`text` with the partials and files that it imports in the place of the components that show them."""
    if "import " not in text:
        return text
    page = _Page(text, path, find)
    return "".join(page.pieces()) if page.imports else text


class _Page:
    """A page, what it imports as text, and where that goes."""

    def __init__(self, text: str, path: str, find: Find) -> None:
        self._text = text
        self._path = path
        self._find = find
        self._tags = TagReader(text)
        found = [imported for imported in _IMPORT.finditer(text) if _is_text(imported)]
        self.imports = {imported["name"]: imported for imported in found if _candidates(path, imported["target"])}

    def pieces(self) -> Iterator[str]:
        """The page's own text and what it includes, in turn."""
        text = self._text
        position = at = 0
        while mark := _MARKS.search(text, at):
            at = mark.end()
            if mark["fence"]:
                at = _end_of_listing(text, mark)
            elif mark["ticks"]:
                closing = text.find(mark["ticks"], at, _line_end(text, at))
                at = closing + len(mark["ticks"]) if closing >= 0 else at
            elif placed := self._component(mark):
                yield text[position : mark.start()]
                yield placed[0]
                position = at = placed[1]
        yield text[position:]

    def _component(self, mark: re.Match[str]) -> tuple[str, int] | None:
        """What stands in the place of a component, and where it ends; None if it stays."""
        tag = self._tags.tag(mark.start(), len(self._text)) if self._is_known(mark["name"]) else None
        if tag is None:
            return None
        end, name = tag.end, tag.name
        if tag.kind == "open":
            closing = re.compile(rf"\s*+(?:\{{[ \t]*+(?P<shown>\w++)[ \t]*+\}})?\s*+</{re.escape(name)}>")
            shows = closing.match(self._text, end)
            if shows is None:
                return None
            end = shows.end()
            name = shows["shown"] or name
        if name not in self.imports:
            return None
        return _placed(self._text, mark.start(), self._content(self.imports[name], tag)), end

    def _is_known(self, name: str) -> bool:
        return name in self.imports or name == "CodeBlock"

    def _content(self, imported: re.Match[str], tag: Tag) -> str:
        target = imported["target"]
        found = self._find(target, _candidates(self._path, target))
        if isinstance(found, Missing):
            return ""
        if imported["raw"] or tag.name == "CodeBlock":
            return listing(found.text, target, tag.attributes.get("language", ""), tag.attributes.get("title", ""))
        content = found.expand(_FRONT_MATTER.sub("", found.text, count=1)).strip("\n")
        return _PROP.sub(lambda prop: tag.attributes.get(prop[1], prop[0]), content)


def _placed(text: str, start: int, content: str) -> str:
    """`content` as deep as the component that it stands for, and apart from text in front of it."""
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if not line.strip():
        return indented(content, line).removeprefix(line)
    return content if "\n" not in content else f"\n\n{content}\n\n"


def _end_of_listing(text: str, opened: re.Match[str]) -> int:
    closing = re.compile(rf"^[ \t>]*+{opened['fence']}[`~]*+[ \t]*+$", re.MULTILINE).search(text, opened.end())
    return closing.end() if closing else len(text)


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)
