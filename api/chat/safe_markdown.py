"""Lets a model's Markdown through as it streams, with everything made harmless that could load, run or lead astray.

A model can be talked into writing anything by a page it reads, so images, raw HTML, link definitions and addresses
outside the site lose their effect, while code stays as it was written. To be sure that the reader's Markdown parser
sees code exactly where this module does, every fence is moved to its line's beginning, a code span ends on its line,
and backticks and tildes that open neither are escaped.

The text may be cut anywhere: what comes out is the same, and each piece of it is whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from api.chat.markdown import (
    ASCII_PUNCTUATION,
    BARE_URL,
    FENCE,
    FENCE_BEGINNING,
    LONGEST_URL,
    WAIT,
    Bracket,
    Whole,
    code_span,
    is_plain_target,
    read_bracket,
    read_code_span,
    run_together,
    target_of,
    without_trailing_punctuation,
)  # fmt: skip
from api.chat.marks import read_mark

_SPECIAL: Final = re.compile(r"\\|`|~{3}|!?\[|<|\n|\u3010|\((?=[ps])|(?:https?|ftp)://|www\.", re.IGNORECASE)
#: The end of a piece that may be the beginning of something, or a space that goes with a mark that is dropped.
_PERHAPS_SPECIAL: Final = re.compile(
    r"(?:(?<![ \t])[ \t]+[!(]?|[!(]|~{1,2}|(?<![a-z])(?:h|ht|htt|https?:?/?|f|ft|ftp:?/?|w|ww|www))\Z", re.IGNORECASE
)
#: A usual piece of a stream, and the space behind it: a word that neither ends nor begins anything, and may not become
#: an address.
_PLAIN: Final = re.compile(
    r"( ?(?!(?:h|ht|htt|https?|f|ft|ftp|w|ww|www)(?![a-z]))(?:[a-z]+|[0-9]+)[,.;:]?)( ?)", re.IGNORECASE
)
#: What would come alive if a table's row were split inside a code span.
_ALIVE_OUTSIDE_CODE: Final = re.compile(r"[\[<]|://|www\.", re.IGNORECASE)
_BARE_PIPE: Final = re.compile(r"(?<!\\)\|")
_CONTROL: Final = {code: None for code in range(32) if chr(code) not in "\n\t\r"} | {0x7F: None}
#: After these a mark's link wants a space.
_CLOSING: Final = frozenset(".,;:!?)]}\"'\u201d\u2019%`")
#: Characters that are worked on together: what is left of them is copied for each construct that they hold.
MOST_AT_ONCE: Final = 2000
#: Characters before a mark that may be what it is about; a quoted code block is longer than a sentence.
MOST_OF_A_CLAIM: Final = 1000
#: Characters of what was written last that are looked at again; the longest is "www".
_TAIL: Final = 4


class Links(Protocol):
    """Decides what a bracket may become."""

    def mark(self, content: str, claim: str) -> list[tuple[int, str]] | None:
        """The numbers that `[content]` stands for, each with its link; empty if it names nothing, None if it is no
        mark.

        claim: what was written since the last mark, at most MOST_OF_A_CLAIM characters.
        """

    def allows(self, target: str, claim: str) -> bool:
        """Whether an address may be linked to."""


@dataclass(frozen=True, slots=True)
class _OpenFence:
    run: str
    #: Characters that stood before the fence; as many are taken off its lines.
    indent: int


class SafeMarkdown:
    """Feed it a model's words; send on what it returns."""

    def __init__(self, links: Links, *, at_line_start: bool = True, other_marks: bool = True) -> None:
        self._links = links
        self._other_marks = other_marks
        self._at_line_start = at_line_start
        #: Half of a line end or of a surrogate pair.
        self._incoming = ""
        #: Taken in, not yet understood.
        self._pending = ""
        #: The character before `_pending`.
        self._before = ""
        self._written: list[str] = []
        self._tail = ""
        #: What was written since the last mark; marks side by side are about the same.
        self._claim = ""
        self._claim_ends = False
        #: Something was left out just before what is written next.
        self._joined = False
        self._fence: _OpenFence | None = None

    def feed(self, delta: str, final: bool = False) -> str:
        """What can be said for sure after `delta`; with `final` all of it, and an open code block is closed."""
        return "".join(self.pieces(delta, final))

    def pieces(self, delta: str, final: bool = False) -> list[str]:
        """The same, with what is no prose apart, as `Whole`."""
        held = self._incoming or self._joined or self._at_line_start or self._fence
        if not held and not final and self._pending in ("", " "):
            plain = _PLAIN.fullmatch(delta)
            if plain and not (self._pending and delta[0] == " "):
                text = self._pending + plain[1]
                self._pending, self._before = plain[2], text[-1]
                self._remember(text)
                return [text]
        self._read_all(delta, final)
        written, self._written = self._written, []
        return written

    def _read_all(self, delta: str, final: bool) -> None:
        for start in range(0, len(delta) - MOST_AT_ONCE, MOST_AT_ONCE):
            self._read(delta[start : start + MOST_AT_ONCE], final=False)
        self._read(delta[(max(len(delta) - 1, 0) // MOST_AT_ONCE) * MOST_AT_ONCE :], final)
        if final and self._fence:
            self._write(Whole.of(("" if self._tail.endswith("\n") else "\n") + self._fence.run, "closing"))

    def _read(self, delta: str, final: bool) -> None:
        """Read on as far as that can be done for sure."""
        self._pending += self._normalised(delta, final)
        while self._pending:
            taken = self._read_code(self._fence, final) if self._fence else self._read_prose(final)
            if taken == 0:
                break
            self._before = self._pending[taken - 1]
            self._pending = self._pending[taken:]

    def _normalised(self, delta: str, final: bool) -> str:
        """Text with \\n for every line end, without control characters and lone surrogates."""
        text, self._incoming = self._incoming + delta, ""
        if not final and text and (text[-1] == "\r" or "\ud800" <= text[-1] <= "\udbff"):
            text, self._incoming = text[:-1], text[-1]
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text if text.isprintable() else text.translate(_CONTROL).replace("\r\n", "\n").replace("\r", "\n")

    # Code blocks

    def _read_fence(self, final: bool) -> int | None:
        """Characters taken by a fence that opens this line; None if none does, 0 if it cannot be told yet."""
        found = FENCE.match(self._pending)
        if found is None:
            return 0 if FENCE_BEGINNING.fullmatch(self._pending) and not final else None
        has_line_end = found.end() < len(self._pending)
        if not has_line_end and not final:
            return 0
        run, info = found["run"], found["info"]
        if run[0] == "`" and "`" in info:
            return None
        self._fence = _OpenFence(run, len(found["prefix"]))
        self._write(Whole.of(f"{run}{info}\n", "opening"))
        return found.end() + has_line_end

    def _read_code(self, fence: _OpenFence, final: bool) -> int:
        """One whole line of a code block."""
        end = self._pending.find("\n")
        if end < 0 and not final:
            return 0
        line, line_end = (self._pending, "") if end < 0 else (self._pending[:end], "\n")
        indent = 0
        while indent < min(fence.indent, len(line)) and line[indent] in " \t>":
            indent += 1
        code = line[indent:]
        if re.fullmatch(rf" {{0,3}}{fence.run[0]}{{{len(fence.run)},}}[ \t]*", code):
            self._fence, self._at_line_start = None, True
            self._write(Whole.of(fence.run, "closing"))
            self._write(line_end)
        else:
            self._write(Whole.of(code + line_end, "line"))
        return len(line) + len(line_end)

    # Prose: every reader returns the characters it has taken, 0 to wait for more

    def _read_prose(self, final: bool) -> int:
        """Plain text up to the next construct, or the construct that begins here."""
        if self._at_line_start:
            taken = self._read_fence(final)
            if taken is not None:
                return taken
            self._at_line_start = False
        found = _SPECIAL.search(self._pending)
        if found is None:
            held = None if final else _PERHAPS_SPECIAL.search(self._pending)
            end = held.start() if held else len(self._pending)
            self._write(self._pending[:end])
            return end
        plain = self._pending[: found.start()]
        head = plain.rstrip(" \t")
        if head:
            self._write(head)
            return len(head)
        return self._read_construct(found.group(), plain, final)

    def _read_construct(self, sign: str, spaces: str, final: bool) -> int:
        """The construct that begins with `sign` after `spaces`."""
        if sign == "\n":
            self._write(f"{spaces}\n")
            self._at_line_start = True
            return len(spaces) + 1
        if sign[-1] == "[":
            return self._read_bracket(spaces, final)
        if sign in "(\u3010":
            return self._read_other_mark(sign, spaces, final)
        if sign == "`":
            return self._read_code_span(spaces, final)
        if sign in "\\<":
            return self._read_sign(sign, spaces, final)
        return self._read_tildes(spaces, final) if sign[0] == "~" else self._read_url(sign, spaces, final)

    def _read_bracket(self, spaces: str, final: bool) -> int:
        start = len(spaces)
        bang = "!" if self._pending[start] == "!" else ""
        bracket = read_bracket(self._pending, start + len(bang), final)
        if bracket is WAIT:
            return 0
        if bracket is None:
            self._write(f"{spaces}{bang}\\[")
            return start + len(bang) + 1
        defines = bracket.content[:1] == "^" and self._pending[bracket.end : bracket.end + 1] == ":"
        links = self._links.mark(bracket.content, self._claim)
        if links is not None and not (defines and self._tail[-1:] in ("", "\n")):
            return self._write_mark(bracket, links, spaces, bang)
        inner = self._inner(bracket.content)
        if bracket.target is None:
            opening = "\\[" if self._pending[bracket.end : bracket.end + 1] == ":" else "["
            self._write(f"{spaces}{bang}{opening}{inner}]")
        elif not bang and self._links.allows(target := target_of(bracket.target), self._claim):
            self._write(spaces)
            self._write(Whole.of(f"[{inner}]({target})", "link", target=target))
        else:
            self._write(spaces)
            self._write_apart(inner)
        return bracket.end

    def _read_other_mark(self, sign: str, spaces: str, final: bool) -> int:
        """`(passage 1)` and the like."""
        mark = read_mark(self._pending, len(spaces), final) if self._other_marks else None
        if mark is WAIT:
            return 0
        links = self._links.mark(mark.content, self._claim) if mark else None
        if mark is None or links is None:
            self._write(spaces + sign)
            return len(spaces) + 1
        return self._write_mark(mark, links, spaces, "")

    def _write_mark(self, bracket: Bracket, links: list[tuple[int, str]], spaces: str, bang: str) -> int:
        lead = spaces + bang
        claim = self._claim
        if links:
            touching = self._tail[-1:].isalnum() or self._tail[-1:] in _CLOSING
            self._write(lead + (" " if bang or (not spaces and self._tail and touching) else ""))
            numbers = tuple(number for number, _ in links)
            self._write(Whole.of(" ".join(link for _, link in links), "mark", numbers))
        elif bracket.content == "0" and not lead and (self._tail[-1:].isalnum() or self._tail[-1:] in "_)]"):
            self._write("\\[0]")  # an index: marks count from 1
        else:
            self._write(lead if bang else "")
            self._write_apart("")
        self._claim, self._claim_ends = claim, True
        aside = bracket.target is not None and any(map(str.isspace, bracket.target))
        return bracket.end - len(bracket.target or "") - 2 if aside else bracket.end

    def _read_code_span(self, spaces: str, final: bool) -> int:
        start = len(spaces)
        end = read_code_span(self._pending, start, final)
        if end is WAIT:
            return 0
        if end is None:
            run = len(self._pending[start:]) - len(self._pending[start:].lstrip("`"))
            self._write(spaces + "\\`" * run)
            return start + run
        code = self._pending[start:end]
        if "|" in code and _ALIVE_OUTSIDE_CODE.search(code):
            code = _BARE_PIPE.sub(r"\\|", code)  # a bare one ends a table's cell even here
        self._write(spaces)
        self._write(Whole.of(code, "code"))
        return end

    def _read_sign(self, sign: str, spaces: str, final: bool) -> int:
        """A backslash or an angle bracket, and what follows it."""
        start = len(spaces)
        following = self._pending[start + 1 : start + 2]
        if not following and not final:
            return 0
        if sign == "<":
            opens_tag = following.isalpha() or following in tuple("/!?")
            self._write(spaces + ("&lt;" if opens_tag else "<"))
            return start + 1
        if following not in ASCII_PUNCTUATION:
            self._write(spaces + sign)
            return start + 1
        self._write(spaces)
        if following in ":/" or (following != "[" and run_together(self._tail, following)):
            self._write_apart(following)  # readers look for addresses when the backslash is already gone
        else:
            self._write("&lt;" if following == "<" else sign + following)
        return start + 2

    def _read_tildes(self, spaces: str, final: bool) -> int:
        rest = self._pending[len(spaces) :].lstrip("~")
        if not rest and not final:
            return 0
        run = len(self._pending) - len(spaces) - len(rest)
        self._write(spaces + "\\~" * run)
        return len(spaces) + run

    def _read_url(self, sign: str, spaces: str, final: bool) -> int:
        """A bare address: left alone where a link to it is allowed, shown as code elsewhere."""
        start = len(spaces)
        before = spaces[-1:] or self._before
        if before.isascii() and before.isalpha():
            self._write(spaces + self._pending[start])
            return start + 1
        found = BARE_URL.match(self._pending, start)
        url = found.group()[:LONGEST_URL] if found else sign
        if start + len(url) == len(self._pending) and len(url) < LONGEST_URL and not final:
            return 0
        url = max(without_trailing_punctuation(url), sign, key=len)
        self._write(spaces)
        if is_plain_target(url) and self._links.allows(url, self._claim):
            self._write(Whole.of(url, "link", target=url))
        else:
            self._write_apart(Whole.of(code_span(url), "code"))
        return start + len(url)

    # Writing

    def _inner(self, text: str) -> str:
        """The text of a link."""
        return SafeMarkdown(self._links, at_line_start=False, other_marks=False).feed(text, final=True)

    def _write_apart(self, text: str) -> None:
        """Write what stands for a construct that was taken out, so that its neighbours do not become one."""
        self._joined = True
        self._write(text)
        self._joined = True

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._joined and run_together(self._tail, text[0]):
            self._written.append(" ")
            self._tail += " "
        self._joined = False
        self._written.append(text)
        self._remember(text)

    def _remember(self, text: str) -> None:
        """Note down what was written last."""
        self._tail = text[-_TAIL:] if len(text) >= _TAIL else (self._tail + text)[-_TAIL:]
        if self._claim_ends and any(map(str.isalnum, text)):
            self._claim, self._claim_ends = "", False
        self._claim += text
        if len(self._claim) > MOST_OF_A_CLAIM:
            self._claim = self._claim[-MOST_OF_A_CLAIM:]
