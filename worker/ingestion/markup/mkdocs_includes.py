"""Includes of MkDocs sites: snippets (`--8<-- "file"`) and code files (`{* ../src/app.py ln[1:10] *}`)."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from worker.ingestion.markup.include_targets import Find, Missing, above, beside, indented, listing

_SNIPPET: Final = re.compile(
    r"^(?P<lead>[ \t]*+)(?P<escape>;*+)-+8<-+"
    r"(?:[ \t]++(?P<quote>[\"'])(?P<path>[^\"'\n]++)(?P=quote)[ \t]*+"
    r"|[ \t]*+(?P<block>\n(?:(?!^[ \t]*+-+8<-)[^\n]*+\n){1,200}?)[ \t]*+-+8<-+[ \t]*+)$",
    re.MULTILINE,
)
_CODE: Final = re.compile(
    r"^(?P<lead>[ \t]*+)\{\*[ \t]*+(?P<path>[^\s*{}]++)(?P<options>[^\n{}]*?)\*\}[ \t]*+$", re.MULTILINE
)
_LINES_OPTION: Final = re.compile(r"(?<!\w)ln\[(?P<lines>[\d,:\s-]*+)\]")
_TITLE_OPTION: Final = re.compile(r"(?<!\w)title\[(?P<title>[^\[\]]*+)\]")
#: `:3`, `:1:3`, `::5`, `:1:3,6:8` or `:name` behind a path.
_SELECTION: Final = re.compile(
    r"(?P<path>.+?)(?::(?P<lines>-?\d*(?::-?\d*)?(?:,-?\d*(?::-?\d*)?)*)|:(?P<section>[A-Za-z][\w-]*))?\Z"
)
_SECTION_MARK: Final = re.compile(
    r"-+8<-+[ \t]++\[[ \t]*(?P<type>start|end)[ \t]*:[ \t]*(?P<name>[\w-]++)[ \t]*\]", re.IGNORECASE
)


def paths(text: str, path: str, folders: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Where the files may stand that a page includes directly; `folders` are those that the config names."""
    found: list[tuple[str, ...]] = []
    if "-8<-" in text:
        found += (
            _places(_split(target)[0], path, folders)
            for snippet in _SNIPPET.finditer(text)
            for target in _targets(snippet)
        )
    if "{*" in text:
        found += (above(path, code["path"]) for code in _CODE.finditer(text))
    return tuple(dict.fromkeys(chain.from_iterable(found)))


def expand(text: str, path: str, find: Find, folders: tuple[str, ...] = ()) -> str:
    """`text` with its includes in place, in listings too, as snippets do it."""

    def snippet(match: re.Match[str]) -> str:
        if match["escape"]:
            return match[0].replace(";", "", 1)
        parts = [_snippet(target, path, find, folders) for target in _targets(match)]
        return indented("\n".join(parts), match["lead"])

    def code(match: re.Match[str]) -> str:
        return indented(_code(match, path, find), match["lead"])

    if "-8<-" in text:
        text = _SNIPPET.sub(snippet, text)
    return _CODE.sub(code, text) if "{*" in text else text


def _targets(snippet: re.Match[str]) -> list[str]:
    if snippet["escape"]:
        return []
    written = [snippet["path"]] if snippet["path"] else snippet["block"].split("\n")
    return [line.strip() for line in written if line.strip() and not line.strip().startswith(";")]


def _split(target: str) -> tuple[str, str, str]:
    """A snippet's path, its lines and its section."""
    found = _SELECTION.match(target)
    return (found["path"], found["lines"] or "", found["section"] or "") if found else (target, "", "")


def _snippet(target: str, path: str, find: Find, folders: tuple[str, ...]) -> str:
    name, lines, section = _split(target)
    found = find(name, _places(name, path, folders))
    if isinstance(found, Missing):
        return name
    text = found.text.removesuffix("\n")
    if section:
        text = _section(text, section)
    elif lines:
        text = "\n".join(_ranges(text.split("\n"), lines))
    marked = (
        text if "-8<-" not in text else "\n".join(line for line in text.split("\n") if not _SECTION_MARK.search(line))
    )
    return found.expand(marked)


def _places(target: str, path: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Where a snippet may stand: in the folders of the config, else in those above the page."""
    named = (place for folder in folders for place in beside(f"{folder}/_" if folder else "_", target))
    return tuple(dict.fromkeys((*named, *above(path, target))))


def _section(text: str, name: str) -> str:
    kept: list[str] = []
    inside = False
    for line in text.split("\n"):
        mark = _SECTION_MARK.search(line)
        if mark and mark["name"] == name:
            inside = mark["type"].lower() == "start"
        elif inside:
            kept.append(line)
    return "\n".join(kept)


def _ranges(lines: list[str], wanted: str) -> list[str]:
    """Lines by numbers: `3`, `1:3`, `:5`, `4:`; negative ones count from the end."""
    kept: list[str] = []
    for part in wanted.replace(" ", "").split(","):
        first, colon, last = part.partition(":")
        start = _number(first, 1, len(lines))
        end = _number(last, len(lines), len(lines)) if colon else start
        kept += lines[max(start, 1) - 1 : end]
        if len(kept) > len(lines):
            # The same lines over and over are a bomb.
            break
    return kept


def _number(written: str, default: int, count: int) -> int:
    try:
        number = int(written)
    except ValueError:
        return default
    return number if number >= 0 else count + 1 + number


def _code(match: re.Match[str], path: str, find: Find) -> str:
    target, options = match["path"], match["options"]
    found = find(target, above(path, target))
    if isinstance(found, Missing):
        return target
    wanted = _LINES_OPTION.search(options)
    code = found.text
    if wanted:
        code = "\n".join(_ranges(code.split("\n"), wanted["lines"]))
    title = _TITLE_OPTION.search(options)
    return listing(code, target, title=title["title"] if title else "")
