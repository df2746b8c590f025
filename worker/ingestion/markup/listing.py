"""A fenced listing as a reader sees it: its language and title, and the code without marks for the highlighter."""

from __future__ import annotations

import html
import re
from typing import Final

from worker.ingestion.markup.dialect import Dialect

_OPENING: Final = re.compile(
    r"(?P<fence>\n[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++)*+(?:`{3,}+|~{3,}+))[ \t]*+(?P<info>[^\n]*+)"
)
#: Characters that an opening line may have in front of the language.
_BEFORE_INFO: Final = " \t>-*+.)0123456789`~"
#: `{.js .annotate title="x"}`, as MkDocs writes it.
_ATTRIBUTES: Final = re.compile(r"\{[ \t]*+\.(?P<language>[\w+#-]++)(?P<rest>[^{}]*+)\}")
#: What says how to draw the listing: lines to highlight, numbers, buttons.
_DRAWING: Final = re.compile(
    r"[ \t]*+(?:\{[\d,: -]*+\}"
    r"|(?<![\w-])(?:hl_lines|linenums|linenostart|highlight|startLineNumber|groupId|tabGroup)=(?:\"[^\"]*+\"|'[^']*+'|\S++)"
    r"|(?<![^\s{])(?:(?:showLineNumbers|numberLines)(?:=\d+)?|live|noInline|npm2yarn|twoslash|copy|nocopy|wrap|linenums"
    r"|annotate|no-copy|select|\.[\w-]+)(?![^\s}]))"
)
_TITLE: Final = re.compile(r"(?<![\w-])title=(?:\"[^\"]*+\"|'[^']*+')")
#: Lines that Docusaurus takes out of the code: they say what to highlight.
_HIGHLIGHT_LINES: Final = re.compile(
    r"\n[ \t]*+(?://|#|--|%|/\*|\{/\*|<!--|;+|REM|')[ \t]*+"
    r"(?:highlight|error|success|warning)-(?:next-line|start|end)[ \t]*+(?:\*/\}?|-->)?[ \t]*+(?=\n)"
)
#: Colours of a terminal's output, which sites that play it back write as tags.
_COLOURED: Final = "<font color="
_COLOURS: Final = re.compile(r"</?(?:font|span|u|b|i)\b[^<>\n]*+>")
#: Lines that mdBook hides in Rust, and what it writes for a line that does begin with `#`.
_HIDDEN_RUST: Final = re.compile(r"\n[ \t]*+\#(?:[ ][^\n]*+)?(?=\n)")
_ESCAPED_RUST: Final = re.compile(r"(\n[ \t]*+)\##")


def show_listing(text: str, dialect: Dialect) -> str:
    """`text`, a listing with the line break before it, without what is not shown."""
    line_end = text.find("\n", 1)
    info = text[1:line_end].lstrip(_BEFORE_INFO)
    if info and not info.isalnum() and (opening := _OPENING.match(text)):
        info = opening["info"].rstrip()
        shown = _info(info, dialect)
        if shown != info:
            text = opening["fence"] + shown + text[opening.end() :]
    if dialect == "docusaurus" and ("-next-line" in text or "-start" in text):
        text = _HIGHLIGHT_LINES.sub("", text)
    if dialect == "mkdocs" and info.startswith("console") and _COLOURED in text:
        text = html.unescape(_COLOURS.sub("", text))
    if dialect == "mdbook" and info.startswith("rust"):
        text = _ESCAPED_RUST.sub(r"\1#", _HIDDEN_RUST.sub("", text))
    return text


def _info(info: str, dialect: Dialect) -> str:
    """The opening line's language, title and whatever is not about how to draw the listing."""
    if attributes := _ATTRIBUTES.match(info):
        title = _TITLE.search(attributes["rest"])
        info = attributes["language"] + (f" {title[0]}" if title else "") + info[attributes.end() :]
    if dialect == "mdbook":
        language, comma, rest = info.partition(",")
        info = f"{language}{rest[rest.index(' ') :] if comma and ' ' in rest else ''}"
    return _DRAWING.sub("", info).strip()
