"""Reads tags of HTML and JSX, and what JSX has in braces, in time that grows with the page whatever is in it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

#: How often over a page may be read in vain, for what is opened and never closed.
_PATIENCE: Final = 8

_NAME: Final = re.compile(r"<(?P<close>/?)(?P<name>(?:[A-Za-z][\w.:-]*+|(?=>)))")
#: Blank lines are none of a tag's: what goes on behind one is text.
_SPACE: Final = r"(?:[ \t]|\n(?![ \t]*+\n))"
_ATTRIBUTE: Final = re.compile(
    rf"{_SPACE}*+(?:(?P<end>/?)>"
    rf"|(?P<spread>\{{)"
    r"|(?<=[\s\"'}])(?P<name>[A-Za-z_:@#*][\w:.@-]*+)"
    rf"(?:{_SPACE}*+={_SPACE}*+"
    r"(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<brace>\{)|(?P<bare>[^\s\"'=<>`{}]++)))?+"
    r")"
)
_BRACES: Final = re.compile(r"[{}]|\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'|`(?:[^`\\]|\\.)*+`", re.DOTALL)
_LITERAL: Final = re.compile(
    r"\s*+(?:\"(?P<double>(?:[^\"\\\n]|\\.)*+)\"|'(?P<single>(?:[^'\\\n]|\\.)*+)'|`(?P<template>(?:[^`\\$]|\\.|\$(?!\{))*+)`)"
    r"\s*+\Z",
    re.DOTALL,
)
#: An image that the build looks up: `{require('./a.png').default}`.
_REQUIRED: Final = re.compile(r"\s*+require\(\s*+['\"]([^'\"\n]++)['\"]\s*+\)(?:\.default)?\s*+\Z")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_WRITTEN_ESCAPES: Final = {"n": "\n", "t": "\t"}


class Tag(NamedTuple):
    """One tag; `attributes` has those whose values are plain text."""

    kind: Literal["open", "close", "alone"]
    #: Empty for a fragment.
    name: str
    attributes: Mapping[str, str]
    start: int
    end: int


class TagReader:
    """Reads tags and braces of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._patience = _PATIENCE * len(text) + 10_000

    def tag(self, start: int, limit: int) -> Tag | None:
        """The tag whose `<` stands at `start` and which ends before `limit`; None if it is text after all."""
        if self._patience < 0:
            return None
        opened = _NAME.match(self._text, start, limit)
        if opened is None:
            return None
        attributes: dict[str, str] = {}
        position = opened.end()
        while found := _ATTRIBUTE.match(self._text, position, limit):
            position = found.end()
            if found["end"] is not None:
                kind: Literal["open", "close", "alone"] = "close" if opened["close"] else "open"
                if found["end"] and not opened["close"]:
                    kind = "alone"
                return Tag(kind, opened["name"], attributes, start, position)
            if found["spread"] or found["brace"]:
                closed = self.closing_brace(position - 1, limit)
                if closed is None:
                    break
                value = literal(self._text[position : closed - 1])
                position = closed
            else:
                raw = found["double"] or found["single"] or found["bare"]
                value = html.unescape(raw) if raw else ""
            if found["name"] and value is not None:
                attributes.setdefault(found["name"], value)
        self._patience -= position - start + 1
        return None

    def closing_brace(self, start: int, limit: int) -> int | None:
        """Behind the brace that closes the one at `start`; None if none does before `limit`."""
        if self._patience < 0:
            return None
        depth = 0
        for brace in _BRACES.finditer(self._text, start, limit):
            mark = brace[0]
            if mark == "{":
                depth += 1
            elif mark == "}":
                depth -= 1
                if depth == 0:
                    return brace.end()
        self._patience -= limit - start
        return None


def literal(expression: str) -> str | None:
    """The text that an expression of JavaScript stands for, if it is nothing but a string."""
    found = _LITERAL.match(expression)
    if found is None:
        required = _REQUIRED.match(expression)
        return required[1] if required else None
    raw = next(value for value in found.groups() if value is not None)
    return _ESCAPE.sub(lambda escape: _WRITTEN_ESCAPES.get(escape[1], escape[1]), raw) if "\\" in raw else raw
