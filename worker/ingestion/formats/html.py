"""HTML as a reader sees it: the page's own content without its navigation, headings with the ids that links need."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from shared.errors import PageError
from worker.ingestion.formats.charsets import CHARSETS
from worker.ingestion.formats.document import Document, SectionWriter, as_prose, squeeze
from worker.ingestion.markup.markdown import Section
from worker.ingestion.read import decode_page

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

#: Where generators of documentation put a page's content, the most telling first: Docusaurus, MkDocs with and without
#: Material, VitePress, Starlight, mdBook, Sphinx; then what the standard has for it.
_MAIN: Final = (
    ".theme-doc-markdown", "article.md-content__inner", ".vp-doc", ".sl-markdown-content", "#content > main",
    "[role=main] .body", "main article", "[role=main]", "main", "article",
)  # fmt: skip
_DROPPED: Final = frozenset((
    "script", "style", "noscript", "template", "nav", "footer", "form", "button", "svg", "iframe", "object", "canvas",
    "audio", "video", "dialog", "select", "input", "textarea", "head",
))  # fmt: skip
#: Where no element says that it is the content, these are what it is not.
_AROUND: Final = "header, aside, [role=navigation], [role=banner], [role=contentinfo], [role=search]"
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_BLOCKS: Final = frozenset((
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "header", "hgroup", "hr", "li", "main", "ol", "p", "pre", "section", "summary", "table",
    "tbody", "td", "tfoot", "th", "thead", "tr", "ul", "caption", *_HEADINGS,
))  # fmt: skip
_MARKS: Final = {"strong": "**", "b": "**", "em": "*", "i": "*"}
_CODE: Final = frozenset(("code", "kbd", "samp", "tt"))
#: Links that themes put beside a heading to copy its address.
_HEADING_LINKS: Final = frozenset(("hash-link", "headerlink", "anchor-link", "header-anchor", "heading-anchor"))
_LINK_MARKS: Final = frozenset(("", "#", "¶", "§", "\N{LINK SYMBOL}", "\u200b"))
_LANGUAGE: Final = re.compile(r"(?:^|[\s-])(?:language|lang|highlight-source|highlight)-(?P<name>[\w+#.-]+)")
_NO_LANGUAGE: Final = frozenset(("default", "none", "notranslate", "plaintext", "text"))
_LINK_TARGET: Final = re.compile(r"(?:https?://|/|\.{1,2}/|[\w%~.-]+(?:[/.]|$))[^\s<>()]*", re.IGNORECASE)
_CHARSET: Final = re.compile(rb"<meta[^>]{0,200}?charset=[\"']?\s*(?P<name>[\w-]{1,40})", re.IGNORECASE)
_NO_INDEX: Final = re.compile(r"\b(?:noindex|none)\b", re.IGNORECASE)
#: Up to so many tags it does not matter how they are nested.
_MANY_TAGS: Final = 20_000
#: Elements that are open at once: the standard makes a parser look through them at each tag. People nest a hundred.
_MAX_OPEN: Final = 2_000
_TAG: Final = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][\w:-]*+)(?P<rest>[^<>]*+)")
#: Elements that are closed by what follows them, or by themselves.
_CLOSE_THEMSELVES: Final = frozenset((
    "html", "head", "body", "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "option",
    "optgroup", "rt", "rp", "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param",
    "source", "track", "wbr",
))  # fmt: skip
#: Bytes in which a page has to name its encoding (HTML standard: 1024), and some.
_HEAD_BYTES: Final = 4096
#: Elements within each other; what is nested deeper is taken as its text.
_MAX_DEPTH: Final = 150


def read_html(data: bytes) -> Document:
    """A page's title and sections. A heading's anchor is the id in the page, or None; ids are never made up.

    Raises PageError if `data` is not text, or is nested deeper than can be read in time.
    """
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - an extra

    text = _decode(data)
    if text.count("<") > _MANY_TAGS:
        _refuse_deep(text)
    tree = LexborHTMLParser(text)
    robots = tree.css_first('meta[name="robots" i]')
    hidden = robots is not None and bool(_NO_INDEX.search(robots.attributes.get("content") or ""))
    body = _content(tree.body) if tree.body is not None else None
    if body is None:
        return Document(None, (), hidden)
    walker = _Walker()
    walker.walk(body)
    sections = walker.finish()
    named = next((s.heading.text for s in sections if s.heading and s.heading.level == 1), None)
    title = tree.css_first("title")
    return Document(named or _page_title(title.text() if title is not None else ""), sections, hidden)


def _refuse_deep(text: str) -> None:
    """Raise PageError for a page with too many elements within each other. Counts more of them rather than fewer."""
    opened: Counter[str] = Counter()
    total = 0
    for tag in _TAG.finditer(text):
        name = tag["name"].lower()
        if name in _CLOSE_THEMSELVES:
            continue
        if not tag["end"]:
            # Drawings alone have elements that end in their own tag; a block ends a drawing.
            if name in _BLOCKS:
                total -= opened.pop("svg", 0)
            if not (tag["rest"].endswith("/") and opened["svg"]):
                opened[name] += 1
                total += 1
        elif opened[name]:
            opened[name] -= 1
            total -= 1
        if total > _MAX_OPEN:
            raise PageError(f"has more than {_MAX_OPEN:,} elements within each other; close them")


def _decode(data: bytes) -> str:
    """As the page itself says, else as UTF-8."""
    declared = _CHARSET.search(data, 0, _HEAD_BYTES)
    if declared:
        try:
            codec = codecs.lookup(declared["name"].decode("ascii"))
        except LookupError:
            return decode_page(data)
        if codec.name.startswith(CHARSETS):
            return decode_page(codec.decode(data, "replace")[0].encode("utf-8"))
    return decode_page(data)


def _page_title(text: str) -> str | None:
    """Without the site's name, which themes append to it."""
    return re.split(r"\s+[|\u2013\u2014\u00b7]\s+", squeeze(text))[0] or None


def _content(body: LexborNode) -> LexborNode:
    for selector in _MAIN:
        found = [node for node in body.css(selector) if node.text(deep=True).strip()]
        if found:
            return found[0]
    for around in body.css(_AROUND):
        if around.css_first("h1") is None:
            around.decompose()
    return body


class _Walker:
    """Walks the tree once and writes what it meets."""

    def __init__(self) -> None:
        self._writer = SectionWriter()
        #: The paragraph that is being read.
        self._line: list[str] = []
        #: What stands in front of a paragraph: marks of quotes, indentation of lists.
        self._indentation = ""
        #: The mark of a list item whose first paragraph has not come yet.
        self._mark = ""
        #: Level of the newest heading, and how many lists of definitions are open under it.
        self._level = 0
        self._definitions = 0

    def finish(self) -> tuple[Section, ...]:
        self._end_paragraph()
        return self._writer.sections()

    def walk(self, node: LexborNode, depth: int = 0) -> None:
        for child in node.iter(include_text=True):
            tag = child.tag or ""
            if child.is_text_node:
                self._line.append(child.text())
            elif tag in _DROPPED or not child.is_element_node:
                continue
            elif depth > _MAX_DEPTH:
                self._line.append(child.text(deep=True, separator=" "))
            elif tag in _BLOCKS or child.css_first("p, div, pre, table, ul, ol, h1, h2, h3, h4, h5, h6") is not None:
                self._end_paragraph()
                self._block(child, tag, depth + 1)
                self._end_paragraph()
            else:
                self._line.append(_inline(child, tag, depth))

    def _block(self, node: LexborNode, tag: str, depth: int) -> None:
        if tag in _HEADINGS:
            # The anchor first: taking the text removes links that may hold it.
            anchor = _anchor(node)
            self._level = _HEADINGS[tag]
            self._writer.heading(_HEADINGS[tag], _heading_text(node), anchor)
        elif tag == "pre":
            self._write_code(node)
        elif tag == "table":
            self._table(node, depth)
        elif tag in ("ul", "ol"):
            self._list(node, tag, depth)
        elif tag == "blockquote":
            self._within(node, "> ", depth)
        elif tag == "summary":
            self._line.append(f"**{squeeze(node.text(deep=True))}**")
        elif tag == "dt" and node.id and "sig" in (node.attributes.get("class") or ""):
            # The signature of a function or class, which generators of reference pages give an id of its own.
            self._writer.heading(min(self._level + self._definitions, 6), _heading_text(node), node.id)
        elif tag == "dl":
            self._definitions += 1
            self.walk(node, depth)
            self._definitions -= 1
        else:
            self.walk(node, depth)

    def _within(self, node: LexborNode, more: str, depth: int) -> None:
        before = self._indentation
        self._indentation += more
        self.walk(node, depth)
        self._end_paragraph()
        self._indentation = before

    def _list(self, node: LexborNode, tag: str, depth: int) -> None:
        for number, item in enumerate(node.iter(), start=1):
            if item.tag in _DROPPED:
                continue
            mark = f"{number}. " if tag == "ol" else "- "
            self._mark = self._indentation + mark
            self._within(item, " " * len(mark), depth)
            self._mark = ""

    def _end_paragraph(self) -> None:
        text = as_prose("\n".join(line for line in map(squeeze, "".join(self._line).split("\v")) if line))
        self._line = []
        if not text:
            return
        lead = self._mark or self._indentation
        self._writer.prose(lead + text.replace("\n", f"\n{self._indentation}"), close=bool(self._mark))
        self._mark = ""

    def _write_code(self, node: LexborNode) -> None:
        if self._mark:
            self._writer.prose(self._mark.rstrip(), close=True)
            self._mark = ""
        inner = node.css_first("code")
        around = [node, inner, node.parent, node.parent.parent if node.parent is not None else None]
        classes = " ".join(element.attributes.get("class") or "" for element in around if element is not None)
        language = _LANGUAGE.search(classes)
        text = _code_text(node)
        if text.strip():
            name = language["name"] if language else ""
            self._writer.code(text, "" if name in _NO_LANGUAGE else name, self._indentation)

    def _table(self, node: LexborNode, depth: int) -> None:
        if node.css_first("table table, pre, h1, h2, h3, h4, td ul, td ol") is not None:
            # It lays the page out, or holds more than the cells of a Markdown table can.
            self.walk(node, depth)
            return
        lines = [[_cell(cell) for cell in row.css("th, td")] for row in node.css("tr")]
        lines = [line for line in lines if any(line)]
        if max(map(len, lines), default=0) <= 1:
            self.walk(node, depth)
            return
        caption = node.css_first("caption")
        if caption is not None:
            self._writer.prose(as_prose(squeeze(caption.text(deep=True))))
        self._writer.table(lines[0], lines[1:])


def _inline(node: LexborNode, tag: str, depth: int) -> str:
    """An element within a line, as Markdown; `\\v` stands for a line break."""
    if tag == "br":
        return "\v"
    if tag == "img":
        return squeeze(node.attributes.get("alt") or "")
    if tag in _CODE:
        text = squeeze(node.text(deep=True))
        return f"`{text}`" if text and "`" not in text else text
    text = _inline_text(node, depth + 1)
    if tag == "a":
        return _link(node, text)
    mark = _MARKS.get(tag)
    inner = squeeze(text)
    if not mark or not inner or "*" in inner or "\v" in text:
        return text
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{lead}{mark}{inner}{mark}{tail}"


def _link(node: LexborNode, text: str) -> str:
    classes = frozenset((node.attributes.get("class") or "").split())
    shown = squeeze(text)
    if classes & _HEADING_LINKS or shown in _LINK_MARKS:
        return ""
    target = _LINK_TARGET.fullmatch((node.attributes.get("href") or "").strip())
    return f"[{shown}]({target[0]})" if target and "[" not in shown else text


def _heading_text(node: LexborNode) -> str:
    for link in node.css("a"):
        classes = frozenset((link.attributes.get("class") or "").split())
        if classes & _HEADING_LINKS or squeeze(link.text(deep=True)) in _LINK_MARKS:
            link.decompose()
    return node.text(deep=True)


def _anchor(node: LexborNode) -> str | None:
    """The id nearest to a heading: its own, one within it, that of the section it opens, or of a mark before it."""
    if node.id:
        return node.id
    for inner in node.css("[id], a[name]"):
        if name := inner.id or inner.attributes.get("name"):
            return name
    before = _element_before(node)
    if before is not None:
        named = before.id or before.attributes.get("name")
        return named if named and before.tag in ("a", "span") and not before.text(deep=True).strip() else None
    parent = node.parent
    return parent.id if parent is not None and parent.tag in ("section", "div", "article") else None


def _element_before(node: LexborNode) -> LexborNode | None:
    before = node.prev
    while before is not None and not before.is_element_node:
        before = before.prev
    return before


def _code_text(node: LexborNode) -> str:
    """A listing's text; highlighters that give each line an element of its own separate them by `<br>` or
    not at all."""
    for gutter in node.css(".linenos, .lineno, .line-numbers-rows, button"):
        gutter.decompose()
    for line_break in node.css("br"):
        line_break.replace_with("\n")
    return node.text(deep=True)


def _cell(node: LexborNode) -> str:
    return squeeze(_inline_text(node, 0).replace("\v", " "))


def _inline_text(node: LexborNode, depth: int) -> str:
    """What stands within an element, as Markdown of one line."""
    if depth > _MAX_DEPTH:
        return node.text(deep=True, separator=" ")
    return "".join(
        child.text() if child.is_text_node else _inline(child, child.tag or "", depth)
        for child in node.iter(include_text=True)
        if child.is_text_node or (child.is_element_node and child.tag not in _DROPPED)
    )
