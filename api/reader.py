"""Shows a page of the docs as plain HTML, for sites whose address is not known: what citations link to there.

The page is put together from its chunks. Everything in it is taken for hostile: no raw HTML, no images, no scripts, and
links only to where a click can do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from posixpath import join, normpath
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from shared.models import Chunk, StoredChunk, StoredPage

#: What the reader page may load: its own style sheet and icon.
READER_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
PAGE_ENDINGS: Final = (".md", ".mdx")
DEEPEST_HEADING: Final = 6
#: A joined section begins with its headings; they are shown from its trail.
_LEADING_HEADINGS: Final = re.compile(r"\A(?:\s*#{1,6}(?:[ \t][^\n]*)?(?:\n|\Z))+")
_ALIGNMENT: Final = re.compile(r"text-align:(left|right|center)")

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta name="robots" content="noindex">
  <title>{title}</title>
  <link rel="icon" href="{root}static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="{root}static/style.css">
</head>
<body>
  <header class="bar">
    <p class="brand"><a href="{root}"><img src="{root}static/icon.svg" alt="" width="26" height="26">Lectern</a></p>
    <a class="quiet" href="{root}">Ask a question</a>
  </header>
  <main>
    <article class="prose">
<h1>{title}</h1>
{body}
    </article>
  </main>
</body>
</html>
"""


def render_page(page: StoredPage, chunks: Sequence[StoredChunk]) -> str:
    """The whole HTML document of a page from its chunks, which may come in any order."""
    by_id = {stored.id: stored.chunk for stored in chunks}
    ordered = [by_id[id_] for id_ in page.chunk_ids if id_ in by_id]
    title = page.page.title or page.page.path
    # Relative to /documents/{path}, so that it also works below a prefix.
    root = "../" * (page.page.path.count("/") + 1)
    return _PAGE.format(title=escape(title), root=root, body="\n".join(_body(ordered, title, page.page.path)))


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands under one heading, or the next stretch of it."""

    trail: tuple[str, ...]
    anchor: str | None
    text: str


def _body(chunks: Sequence[Chunk], title: str, path: str) -> Iterator[str]:
    markdown = _parser()
    before: _Section | None = None
    for section in (section for chunk in chunks for section in _sections(chunk)):
        yield from _headings(section, before, title)
        if not (section.trail and section.text == section.trail[-1]):  # one with nothing under it stands for itself
            yield markdown.render(section.text, {"path": path})
        before = section


def _sections(chunk: Chunk) -> Iterator[_Section]:
    """The chunk's own section and those that were joined to it, each without what the chunk before has shown."""
    starts = [part.start for part in chunk.parts]
    yield _Section(chunk.trail, chunk.anchor, chunk.text[chunk.overlap : starts[0] if starts else None])
    for part, end in zip(chunk.parts, (*starts[1:], None), strict=False):
        text = _LEADING_HEADINGS.sub("", chunk.text[part.start : end])
        yield _Section(part.trail, part.anchor, text)


def _headings(section: _Section, before: _Section | None, title: str) -> Iterator[str]:
    """The headings between two sections: those of the trail that are new, the last one with its anchor."""
    trail, previous = section.trail, before.trail if before else ()
    if before and (trail, section.anchor) == (previous, before.anchor):
        return
    known = 0
    while known < min(len(trail) - 1, len(previous)) and trail[known] == previous[known]:
        known += 1
    own_title = bool(trail) and trail[0] == title
    for depth in range(max(known, 1 if own_title else 0), len(trail)):
        level = min(DEEPEST_HEADING, depth + (1 if own_title else 2))
        is_last = depth == len(trail) - 1
        anchor = f' id="{escape(section.anchor)}"' if is_last and section.anchor else ""
        yield f"<h{level}{anchor}>{escape(trail[depth])}</h{level}>"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    for name, rule in {
        "link_open": _link_open,
        "link_close": _link_close,
        "image": _image,
        "fence": _code,
        "code_block": _code,
        "table_open": _table_open,
        "table_close": _table_close,
        "th_open": _cell,
        "td_open": _cell,
    }.items():
        parser.add_render_rule(name, rule)
    return parser


def safe_href(href: str, path: str) -> str | None:
    """Where a link of the page at `path` may lead: the web, a place in this page, or another page of the docs."""
    try:
        parts = urlsplit(href)
    except ValueError:  # such as half an IPv6 address
        return None
    if parts.scheme or parts.netloc:
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        return href if is_web or parts.scheme == "mailto" else None
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    if not parts.path:
        return fragment or None
    target = unquote(parts.path)
    if not target.endswith(PAGE_ENDINGS):
        return None
    resolved = normpath(join("/", path, "..", target)).lstrip("/")
    return "../" * path.count("/") + quote(resolved) + fragment


# Renderer rules


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]
) -> str:
    href = _href(tokens[index], env)
    if href is None:
        return "<span>"
    return f'<a href="{escape(href)}" rel="noopener noreferrer nofollow">'


def _link_close(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]
) -> str:
    depth = 0
    for token in reversed(tokens[:index]):  # the opening tag of this pair; links do not nest
        if token.type == "link_open" and depth == 0:
            return "</span>" if _href(token, env) is None else "</a>"
    return "</a>"


def _href(token: Token, env: Mapping[str, Any]) -> str | None:
    return safe_href(str(token.attrGet("href") or ""), env["path"])


def _image(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return escape(renderer.renderInlineAsText(tokens[index].children, options, env))


def _code(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<pre class="scrolls" tabindex="0"><code>{escape(tokens[index].content)}</code></pre>\n'


def _table_open(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return '<div class="scrolls" tabindex="0"><table>\n'


def _table_close(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return "</table></div>\n"


def _cell(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A class for the alignment, because the page's policy allows no style attributes."""
    token = tokens[index]
    aligned = _ALIGNMENT.fullmatch(str(token.attrGet("style") or ""))
    return f'<{token.tag} class="align-{aligned[1]}">' if aligned else f"<{token.tag}>"
