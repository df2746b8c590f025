"""mdBook's includes: `{{#include file:2:10}}`, `{{#rustdoc_include file:anchor}}`, `{{#playground file.rs}}`."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from worker.ingestion.markup.include_targets import Find, Missing, beside, listing

_INCLUDE: Final = re.compile(
    r"(?P<escape>\\?)\{\{\s*+#(?P<kind>include|rustdoc_include|playground|playpen|title)\s++(?P<what>[^{}\n]++)\}\}"
)
_ANCHOR: Final = re.compile(r"ANCHOR(?P<end>_END)?:\s*+(?P<name>[\w-]++)")


def paths(text: str, path: str) -> tuple[str, ...]:
    """Where the files may stand that a page includes directly."""
    if "{{" not in text:
        return ()
    found = (beside(path, _target(include)) for include in _INCLUDE.finditer(text) if _reads(include))
    return tuple(dict.fromkeys(chain.from_iterable(found)))


def expand(text: str, path: str, find: Find) -> str:
    """`text` with its includes in place, in listings too, as mdBook does it."""

    def replace(include: re.Match[str]) -> str:
        if include["escape"]:
            return include[0][1:]
        if not _reads(include):
            return ""
        target = _target(include)
        found = find(target, beside(path, target))
        if isinstance(found, Missing):
            return target
        if include["kind"] in ("playground", "playpen"):
            return listing(found.text, target, "rust")
        return found.expand(_selected(found.text, include["what"].split()[0].partition(":")[2]))

    return _INCLUDE.sub(replace, text) if "{{" in text else text


def _reads(include: re.Match[str]) -> bool:
    return not include["escape"] and include["kind"] != "title" and bool(include["what"].strip())


def _target(include: re.Match[str]) -> str:
    return include["what"].split()[0].partition(":")[0]


def _selected(text: str, wanted: str) -> str:
    """The lines from and to a number, or between the marks of an anchor."""
    lines = text.split("\n")
    if not wanted:
        return text.removesuffix("\n")
    first, colon, last = wanted.partition(":")
    if first and not first.isdecimal():
        return "\n".join(_anchored(lines, first))
    start = max(int(first or 1), 1)
    end = int(last) if last.isdecimal() else (len(lines) if colon else start)
    return "\n".join(lines[start - 1 : end]).removesuffix("\n")


def _anchored(lines: list[str], name: str) -> list[str]:
    kept: list[str] = []
    inside = False
    for line in lines:
        mark = _ANCHOR.search(line)
        if mark and mark["name"] == name:
            inside = not mark["end"]
        elif inside and not mark:
            kept.append(line)
    return kept
