"""Globs over paths, in time that grows with the path and not with what a pattern could mean.

`**` is any number of folders, `*` and `?` stay within a name, `[a-z]` is one character, `{a,b/c}` is one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

#: Characters of all globs that the braces of one stand for; a site's own come to a few hundred.
MAX_EXPANDED: Final = 32 * 1024
#: Characters of one glob: as long as a path may be.
MAX_GLOB: Final = 4096

_PART: Final = re.compile(r"\*+|\?|\[[!^]?\]?[^\]/]*\]|[^*?\[]+|\[")
#: None stands for `**`.
_Segment = re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Globs:
    """A choice of paths: those that one of the patterns fits. Fits nothing if there are none."""

    patterns: tuple[tuple[_Segment, ...], ...]

    def match(self, path: str) -> bool:
        """Whether a POSIX path fits as a whole."""
        names = path.split("/")
        return any(_fits(pattern, names) for pattern in self.patterns)


@cache
def floating(globs: tuple[str, ...]) -> Globs:
    """A glob without a slash fits at any depth; one that ends in a slash fits everything in that folder. Brackets are
    plain text, since files are called `[slug].md`."""
    plain = (glob.replace("[", "[[]") for glob in globs)
    return _compiled(glob if "/" in glob.rstrip("/") or glob.startswith("/") else f"**/{glob}" for glob in plain)


@cache
def anchored(globs: tuple[str, ...]) -> Globs:
    """Every glob fits from the top folder down."""
    return _compiled(globs)


def _compiled(globs: Iterable[str]) -> Globs:
    return Globs(tuple(_segments(choice) for glob in globs for choice in _alternatives(glob[:MAX_GLOB])))


def _segments(glob: str) -> tuple[_Segment, ...]:
    glob = glob.removeprefix("./").lstrip("/")
    if glob.endswith("/"):
        glob += "**"
    segments: list[_Segment] = []
    for segment in glob.split("/"):
        if segment != "**":
            segments.append(re.compile(_name(segment), re.DOTALL))
        elif segments[-1:] != [None]:
            segments.append(None)
    # Below a folder, not the folder itself.
    return tuple([*segments, re.compile(".*", re.DOTALL)] if segments[-1] is None else segments)


def _name(segment: str) -> str:
    """One name's pattern as a regular expression that never goes back over what a `*` has taken."""
    parts: list[str] = []
    pending: list[str] | None = None
    for part in _PART.findall(segment):
        if part.startswith("*"):
            if pending is not None:
                parts.append(f"(?>.*?{''.join(pending)})")
            pending = []
        else:
            (parts if pending is None else pending).append(_translated(part))
    if pending is not None:
        parts.append(f".*{''.join(pending)}")
    return "".join(parts)


def _translated(part: str) -> str:
    if part == "?":
        return "."
    if len(part) > 2 and part.startswith("["):
        inner = part[1:-1]
        negated = inner[0] in "!^"
        characters = re.sub(r"([\\\[\]^&|~])", r"\\\1", inner[negated:])
        try:
            re.compile(f"[{characters}]")
        except re.error:
            return re.escape(part)
        return f"[{'^' if negated else ''}{characters}]"
    return re.escape(part)


def _fits(pattern: tuple[_Segment, ...], names: list[str]) -> bool:
    """Greedy, going back to the last `**` alone: that one can take whatever those before it could."""
    at = name = 0
    star: int | None = None
    resume = 0
    while name < len(names):
        if at < len(pattern) and pattern[at] is None:
            star, resume = at, name
            at += 1
        elif at < len(pattern) and (segment := pattern[at]) is not None and segment.fullmatch(names[name]):
            at += 1
            name += 1
        elif star is not None:
            resume += 1
            at, name = star + 1, resume
        else:
            return False
    return all(segment is None for segment in pattern[at:])


def _alternatives(glob: str) -> list[str]:
    """The globs that a glob with braces stands for; braces beyond the limit, or unclosed ones, are plain text."""
    done: list[str] = []
    waiting = [glob]
    while waiting:
        current = waiting.pop()
        expanded = (len(done) + len(waiting)) * len(current)
        choices = _outermost(current) if expanded < MAX_EXPANDED else None
        if choices is None:
            done.append(current)
        else:
            waiting.extend(reversed(choices))
    return done


def _outermost(glob: str) -> list[str] | None:
    """The glob once for each choice of its first braces; None if it has none."""
    start = glob.find("{")
    depth, cuts = 0, [start]
    for position in range(max(start, 0), len(glob)):
        character = glob[position]
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 1:
            cuts.append(position)
        elif depth == 0:
            cuts.append(position)
            break
    if start < 0 or depth:
        return None
    head, tail = glob[:start], glob[cuts[-1] + 1 :]
    return [f"{head}{glob[a + 1 : b]}{tail}" for a, b in pairwise(cuts)]
