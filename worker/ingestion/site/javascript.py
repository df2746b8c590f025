"""Reads the object that a JavaScript or TypeScript config exports, as far as it is written out, without running it.

What would have to be computed (calls, operators, imports, templates with values in them) is UNKNOWN; of an environment
variable with an alternative that is written out, the alternative is read. Nothing but NotReadable is raised, whatever
the text is, and reading takes time in proportion to its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from worker.ingestion.site.javascript_tokens import Scanner, Token

#: Configs are a few KiB; one with everything written into it some tens.
MAX_CHARACTERS: Final = 512 * 1024
#: Values within each other, and names that stand for names: what lies deeper is UNKNOWN.
MAX_DEPTH: Final = 60
#: Values that spreads may copy, all together.
MAX_COPIES: Final = 10_000


class NotReadable(Exception):
    """Raised with the reason, if a text exports no object that is written out."""


class Unknown:
    """The value of what would have to be run."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class Object(dict[str, "Value"]):
    """An object literal. A key that is not there is UNKNOWN rather than missing if `partial`."""

    partial: bool = False

    def value(self, key: str) -> Value:
        """The value of a key; None if it is missing, `null` or `undefined`."""
        return self.get(key, UNKNOWN if self.partial else None)


Value = str | int | float | bool | None | list["Value"] | Object | Unknown


def read_exported(text: str) -> Object:
    """The object that a module exports as its default: named directly, by a constant, or returned by a function."""
    if len(text) > MAX_CHARACTERS:
        raise NotReadable(f"it is larger than {MAX_CHARACTERS // 1024} KiB")
    reader = _Reader(list(Scanner(text).tokens()))
    start = reader.exported()
    if start is None:
        raise NotReadable("it exports nothing: neither `export default` nor `module.exports =`")
    if reader.is_cut_off:
        raise NotReadable("a bracket in it is not closed")
    exported = reader.value_at(start)
    if not isinstance(exported, Object):
        raise NotReadable("what it exports is not an object that is written out")
    return exported


_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(")]}")
_ENDS: Final = frozenset({",", ";", *_CLOSING})
#: After a value, these make an expression of it. Names do not: a statement may follow without a semicolon.
_OPERATORS: Final = frozenset(".([?|&=+*/%<>^!-") | {"=>", "template", "string", "number", "regex"}
_WORD_OPERATORS: Final = frozenset({"in", "instanceof", "of"})
_CASTS: Final = frozenset({"satisfies", "as"})
_CONSTANTS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None, "undefined": None}
_DECLARATIONS: Final = frozenset({"const", "let", "var"})


@dataclass(slots=True)
class _Constant:
    """A name and where the tokens of its value begin."""

    start: int
    value: Value = UNKNOWN
    is_read: bool = False


class _Reader:
    """Reads values from tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._copies = 0
        self.is_cut_off = False
        #: The position of the mark that closes each opening one; of an unclosed one, the end.
        self._partners = self._matched()
        self._constants: dict[str, _Constant] = {}
        self._declare(0, len(tokens))

    def exported(self) -> int | None:
        """Where the value begins that the module exports as its default; the last one, if there are several."""
        found: int | None = None
        for at, token in enumerate(self._tokens):
            if token == ("name", "export") and self._text(at + 1) == "default":
                found = at + 2
            elif token == ("name", "module") and self._marks(at + 1, ".", "exports", "="):
                found = at + 4
            elif token == ("name", "export") and self._marks(at + 1, "="):
                found = at + 2
        return found

    def value_at(self, start: int) -> Value:
        """The value, or what the function returns that stands there."""
        value, _ = self._expression(start, 0)
        body = self._function_body(start) if value is UNKNOWN else None
        if body is None:
            return value
        self._declare(body + 1, self._partners[body])
        returned = self._returned(body)
        return UNKNOWN if returned is None else self._expression(returned, 0)[0]

    def _matched(self) -> dict[int, int]:
        partners: dict[int, int] = {}
        waiting: list[int] = []
        for at, token in enumerate(self._tokens):
            if token.kind in _OPENING:
                waiting.append(at)
            elif waiting and _OPENING[self._tokens[waiting[-1]].kind] == token.kind:
                partners[waiting.pop()] = at
        self.is_cut_off = bool(waiting)
        return {**{at: len(self._tokens) for at in waiting}, **partners}

    def _declare(self, start: int, end: int) -> None:
        """Note the constants between two positions, outside of all brackets: `const a = 1, b = 2`."""
        at = start
        while at < end:
            is_further = self._kind(at) == "," and self._kind(at + 2) in ("=", ":")
            if self._kind(at + 1) == "name" and (is_further or self._text(at) in _DECLARATIONS):
                value = self._declared_value(at + 2, end)
                if value is not None:
                    self._constants[self._tokens[at + 1].text] = _Constant(value)
            at = self._partners.get(at, at) + 1

    def _declared_value(self, at: int, end: int) -> int | None:
        """Behind the `=` of a declaration, past the type that may stand before it."""
        angles = 0
        while at < end:
            kind = self._kind(at)
            if kind == "=":
                return at + 1
            if kind == ";" or (kind == "," and angles <= 0) or self._text(at) in _DECLARATIONS:
                return None
            angles += (kind == "<") - (kind == ">")
            at = self._partners.get(at, at) + 1
        return None

    def _function_body(self, start: int) -> int | None:
        """The brace or parenthesis that opens the body of the function at `start`, or that its name stands for."""
        token = self._token(start)
        constant = self._constants.get(token.text) if token and token.kind == "name" else None
        at = constant.start if constant else start
        named = self._text(at)
        if constant is None and named not in ("async", "function") and self._kind(at) not in ("(", "name"):
            return self._declared_function(named)
        arrow = named != "function" and not (named == "async" and self._text(at + 1) == "function")
        while at < len(self._tokens) and self._kind(at) not in (";", "{", *_CLOSING):
            if arrow and self._kind(at) == "=>":
                return at + 1 if self._kind(at + 1) in ("{", "(") else None
            at = self._partners.get(at, at) + 1
        if not arrow and self._kind(at) == "{":
            return at
        return self._declared_function(named)

    def _declared_function(self, name: str) -> int | None:
        """The body of `function name(...) {...}`."""
        starts = (at for at, token in enumerate(self._tokens) if token == ("name", "function"))
        at = next((start for start in starts if self._text(start + 1) == name), len(self._tokens))
        while at < len(self._tokens) and self._kind(at) != "{":
            at = self._partners.get(at, at) + 1
        return at if at < len(self._tokens) else None

    def _returned(self, body: int) -> int | None:
        """What a function's body returns at its end: `{... return x}` or `({...})`."""
        if self._kind(body) == "(":
            return body + 1
        found: int | None = None
        at = body + 1
        while at < self._partners[body]:
            if self._tokens[at] == ("name", "return"):
                found = at + 1
            at = self._partners.get(at, at) + 1
        return found

    def _expression(self, at: int, depth: int) -> tuple[Value, int]:
        """The value that begins at a position, and where it ends: at a mark that no expression goes on over."""
        value, at = self._primary(at, depth)
        follows = self._token(at)
        if follows is None or follows.kind in _ENDS:
            return value, at
        if follows.kind in _OPERATORS or (follows.kind == "name" and follows.text in _WORD_OPERATORS):
            return UNKNOWN, self._end(at)
        if follows.kind == "name" and follows.text in _CASTS:
            return value, self._end(at, types=True)
        return value, at

    def _end(self, at: int, *, types: bool = False) -> int:
        """The next mark that ends an expression, outside of all brackets; of types, `<` and `>` are brackets too."""
        angles = 0
        while (token := self._token(at)) is not None and (angles > 0 or token.kind not in _ENDS):
            if angles > 0 and token.kind in (";", *_CLOSING):
                break
            if types:
                angles += (token.kind == "<") - (token.kind == ">")
            at = self._partners.get(at, at) + 1
        return min(at, len(self._tokens))

    def _primary(self, at: int, depth: int) -> tuple[Value, int]:
        token = self._token(at)
        if token is None or token.kind in _ENDS:
            return UNKNOWN, at
        if token.kind in _OPENING:
            return self._enclosed(at, depth + 1)
        if token.kind == "name":
            return self._name(at, depth)
        sign = token.kind == "-"
        if self._kind(at + sign) == "number":
            number = _number(self._text(at + sign))
            return -number if sign and isinstance(number, int | float) else number, at + sign + 1
        return (token.text, at + 1) if token.kind == "string" else (UNKNOWN, self._end(at + 1))

    def _enclosed(self, at: int, depth: int) -> tuple[Value, int]:
        """An object, an array or an expression in parentheses, and where it ends."""
        closed = self._partners[at]
        value: Value = UNKNOWN
        if depth > MAX_DEPTH:
            pass
        elif self._kind(at) == "{":
            value = self._object(at + 1, closed, depth)
        elif self._kind(at) == "[":
            value = self._array(at + 1, closed, depth)
        else:
            inner, end = self._expression(at + 1, depth)
            value = inner if end == closed else UNKNOWN
        return value, min(closed + 1, len(self._tokens))

    def _name(self, at: int, depth: int) -> tuple[Value, int]:
        name = self._tokens[at].text
        if name == "require" and self._marks(at + 1, ".", "resolve", "(") and self._kind(at + 5) == ")":
            # The name of a module, which is all that anybody wants to know of it here.
            return self._tokens[at + 4].text if self._kind(at + 4) == "string" else UNKNOWN, at + 6
        if name == "process" and self._marks(at + 1, ".", "env", ".") and self._is_alternative(at + 5):
            # What a build takes where nobody sets the variable.
            return self._expression(at + 7, depth + 1) if depth < MAX_DEPTH else (UNKNOWN, self._end(at + 1))
        if name in _CONSTANTS:
            return _CONSTANTS[name], at + 1
        if name in self._constants and self._kind(at + 1) not in _OPERATORS:
            return self._constant(name, depth), at + 1
        return UNKNOWN, self._end(at + 1) if name in ("async", "function", "new", "class", "await") else at + 1

    def _is_alternative(self, at: int) -> bool:
        """Whether `||` or `??` stands there."""
        return self._kind(at) in ("|", "?") and self._kind(at + 1) == self._kind(at)

    def _constant(self, name: str, depth: int) -> Value:
        constant = self._constants[name]
        if not constant.is_read and depth < MAX_DEPTH:
            constant.is_read = True
            constant.value, _ = self._expression(constant.start, depth + 1)
        return constant.value

    def _array(self, at: int, closed: int, depth: int) -> list[Value]:
        values: list[Value] = []
        while at < closed:
            value, at = (UNKNOWN, self._end(at + 1)) if self._kind(at) == "..." else self._expression(at, depth)
            values.append(value)
            at = self._behind_comma(at, closed)
        return values

    def _object(self, at: int, closed: int, depth: int) -> Object:
        made = Object()
        while at < closed:
            at = self._behind_comma(self._property(made, at, depth), closed)
        return made

    def _behind_comma(self, at: int, closed: int) -> int:
        while at < closed and self._kind(at) != ",":
            at = self._partners.get(at, at) + 1
        return at + 1

    def _property(self, made: Object, at: int, depth: int) -> int:
        """Read one `key: value`, `key`, `...spread`, `key() {}` or `[key]: value` into the object."""
        token = self._tokens[at]
        if token.kind == "...":
            value, end = self._expression(at + 1, depth)
            self._spread(made, value)
            return end
        if token.kind not in ("name", "string", "number"):
            made.partial = True
            return self._end(at + 1)
        if self._kind(at + 1) == ":":
            made[token.text], end = self._expression(at + 2, depth)
            return end
        if token.kind == "name" and self._kind(at + 1) in (",", "}", ""):
            made[token.text], _ = self._name(at, depth)
            return at + 1
        # A method, by its name: `async load() {}` has two.
        while self._kind(at + 1) == "name":
            at += 1
        made[self._tokens[at].text] = UNKNOWN
        return at + 1

    def _spread(self, made: Object, value: Value) -> None:
        if not isinstance(value, Object) or self._copies + len(value) > MAX_COPIES:
            made.partial = True
            return
        self._copies += len(value)
        made.update(value)
        made.partial = made.partial or value.partial

    def _token(self, at: int) -> Token | None:
        return self._tokens[at] if at < len(self._tokens) else None

    def _kind(self, at: int) -> str:
        return self._tokens[at].kind if at < len(self._tokens) else ""

    def _text(self, at: int) -> str:
        return self._tokens[at].text if at < len(self._tokens) else ""

    def _marks(self, at: int, *texts: str) -> bool:
        return all(self._text(at + offset) == text for offset, text in enumerate(texts))


def _number(written: str) -> Value:
    try:
        plain = written.replace("_", "")
        return (
            int(plain, 0)
            if plain[:2].lower() == "0x" or (plain.isdigit() and plain == str(int(plain)))
            else float(plain)
        )
    except ValueError:
        return UNKNOWN
