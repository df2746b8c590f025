"""Cuts JavaScript and TypeScript into tokens, in time that is proportional to the text's length whatever it is."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Token(NamedTuple):
    #: `name`, `string`, `number`, `template` (with values in it), `regex`, or the mark itself.
    kind: str
    text: str


_SPACE: Final = re.compile(r"\s++|//[^\n]*+")
_WORD_OR_MARK: Final = re.compile(
    r"""(?P<name>[A-Za-z_$\x80-\U0010ffff][\w$]*+)
    |(?P<number>0[xX][0-9A-Fa-f_]++|(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d[\d_]*+)(?:[eE][+-]?\d++)?)
    |\.\.\.|=>|[\s\S]""",
    re.VERBOSE,
)
_STRINGS: Final = {
    "'": re.compile(r"'((?:[^'\\\n]++|\\[\s\S])*+)'"),
    '"': re.compile(r'"((?:[^"\\\n]++|\\[\s\S])*+)"'),
}
_TEMPLATE_END: Final = re.compile(r"(?:[^`\\$]++|\\[\s\S]|\$(?!\{))*+(`|\$\{)")
_REGEX: Final = re.compile(r"/(?:[^/\\\n\[]++|\\[^\n]|\[(?:[^\]\\\n]++|\\[^\n])*+\])++/\w*+")
_LINE_REST: Final = re.compile(r"[^\n]*+")
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(\r\n|[\s\S]))")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}
#: What a value, and so a division, may end with; a slash elsewhere begins a regular expression.
_VALUE_ENDS: Final = frozenset({"name", "string", "number", "template", "regex", ")", "]", "}"})


def _unescaped(written: str) -> str:
    def meant(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            point = int(code, 16)
            return chr(point) if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF else "\ufffd"
        return _ESCAPED.get(found[4], found[4])

    return _ESCAPE.sub(meant, written) if "\\" in written else written


class Scanner:
    """Cuts a text into tokens. What is within the values of a template is left out."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        #: Braces that are open in each value of a template around here.
        self._templates: list[int] = []
        self._before = ""

    def tokens(self) -> list[Token]:
        tokens: list[Token] = []
        while (token := self._next()) is not None:
            self._before = token.kind
            if not self._templates:
                tokens.append(token)
        return tokens

    def _next(self) -> Token | None:
        self._skip_space()
        character = self._text[self._at : self._at + 1]
        if character in _STRINGS:
            return self._string(character)
        if character == "`":
            self._at += 1
            return self._template(start=self._at)
        if self._templates and character == "}" and self._templates[-1] == 0:
            self._templates.pop()
            self._at += 1
            return self._template(start=None)
        if character == "/" and self._before not in _VALUE_ENDS:
            return self._regex()
        return self._word_or_mark() if character else None

    def _word_or_mark(self) -> Token:
        found = _WORD_OR_MARK.match(self._text, self._at)
        kind, text = (found.lastgroup, found[0]) if found else (None, self._text[self._at])
        self._at += len(text)
        if self._templates:
            self._templates[-1] += (text == "{") - (text == "}")
        return Token(kind or text, text)

    def _skip_space(self) -> None:
        while True:
            if space := _SPACE.match(self._text, self._at):
                self._at = space.end()
            elif self._text.startswith("/*", self._at):
                end = self._text.find("*/", self._at + 2)
                self._at = len(self._text) if end < 0 else end + 2
            else:
                return

    def _string(self, quote: str) -> Token:
        found = _STRINGS[quote].match(self._text, self._at)
        if found is None:
            return self._broken_line()
        self._at = found.end()
        return Token("string", _unescaped(found[1]))

    def _template(self, start: int | None) -> Token:
        """Up to the template's end or its next value. `start` is None after a value."""
        begun = self._at
        found = _TEMPLATE_END.match(self._text, self._at)
        if found is None:
            self._at = len(self._text)
            return Token("template", "")
        self._at = found.end()
        if found[1] == "`":
            written = self._text[begun : found.start(1)]
            return Token("template", "") if start is None else Token("string", _unescaped(written))
        self._templates.append(0)
        return Token("template", "")

    def _regex(self) -> Token:
        found = _REGEX.match(self._text, self._at)
        if found is None:
            return self._broken_line()
        self._at = found.end()
        return Token("regex", "")

    def _broken_line(self) -> Token:
        """A string or regular expression that does not end is not looked for again in the same line."""
        rest = _LINE_REST.match(self._text, self._at)
        self._at = rest.end() if rest else len(self._text)
        return Token("template", "")
