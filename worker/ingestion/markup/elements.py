"""What stands for an element of HTML or a component of JSX: the text, label or link that a reader sees of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from worker.ingestion.markup.tags import Tag

#: A title or label that is longer is no title.
MAX_LABEL: Final = 300

#: Elements of HTML that browsers know; an unknown name in angle brackets is as likely a placeholder.
HTML: Final = frozenset((
    "a", "abbr", "address", "area", "article", "aside", "audio", "b", "base", "bdi", "bdo", "big",
    "blockquote", "br", "button", "canvas", "caption", "center", "cite", "code", "col", "colgroup", "data",
    "datalist", "dd", "del", "details", "dfn", "dialog", "div", "dl", "dt", "em", "embed", "fieldset",
    "figcaption", "figure", "font", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup",
    "hr", "i", "iframe", "img", "input", "ins", "kbd", "label", "legend", "li", "link", "main", "map", "mark",
    "menu", "meta", "meter", "nav", "noscript", "object", "ol", "optgroup", "option", "output", "p", "param",
    "picture", "pre", "progress", "q", "rp", "rt", "ruby", "s", "samp", "script", "section", "select", "slot",
    "small", "source", "span", "strike", "strong", "style", "sub", "summary", "sup", "svg", "table", "tbody",
    "td", "template", "textarea", "tfoot", "th", "thead", "time", "title", "tr", "track", "tt", "u", "ul",
    "var", "video", "wbr", "path", "circle", "g", "rect", "line", "polyline", "polygon",
))  # fmt: skip
VOID: Final = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
))  # fmt: skip
#: Elements that stand apart from the text around them.
APART: Final = frozenset((
    "address", "article", "aside", "blockquote", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "legend",
    "main", "nav", "ol", "p", "section", "table", "tbody", "tfoot", "thead", "ul",
))  # fmt: skip
_UNSEEN: Final = frozenset(("script", "style", "template"))
_LINKS: Final = {"a": "href", "Link": "to", "NavLink": "to"}
HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
#: Components that say what kind of remark they are, and attributes that components show above their content.
_REMARKS: Final = frozenset(("Admonition", "Aside", "Callout"))
_NAMED_REMARKS: Final = frozenset((
    "Note", "Tip", "Info", "Warning", "Caution", "Danger", "Important", "Check", "Success", "Error", "Hint",
))  # fmt: skip
_SHOWN_ATTRIBUTES: Final = ("label", "title", "summary", "header", "caption")
#: What stands for an element's opening.
_WRITTEN: Final = {**dict.fromkeys((*APART, "tr"), "\n\n"), "li": "\n- ", "td": " ", "th": " ", "sup": "^"}
_EMBEDDING: Final = frozenset(("iframe", "video", "audio", "embed", "object"))

_ENDS_SENTENCE: Final = (".", ":", "?", "!", "\u2026")


def label_line(label: str) -> str:
    """The name of what follows, on a line of its own."""
    # Marks of its own would end the emphasis early.
    label = label.replace("**", "").strip()
    return f"**{label}**" if label.endswith(_ENDS_SENTENCE) else f"**{label}:**"


def remark_label(kind: str, title: str = "") -> str:
    """What introduces a remark: its kind, and the title that its author gave it."""
    named = kind.replace("-", " ").capitalize()
    title = title.replace("**", "").strip()
    return f"**{named}: {title}**" if title and title.lower() != named.lower() else label_line(named)


def opening(tag: Tag) -> str:
    """What an opening tag, or an element without content, shows by itself."""
    name, attributes = tag.name, tag.attributes
    if name == "br":
        return " "
    if (alt := attributes.get("alt")) and name not in ("area", "input"):
        target = attributes.get("src")
        if "{{" in alt:
            return ""
        return f"![{_one_line(alt)}]({target})" if target else _one_line(alt)
    if name in _EMBEDDING:
        title, target = attributes.get("title"), attributes.get("src")
        return f"[{_one_line(title)}]({target})" if title and target else ""
    if name in _WRITTEN:
        return _WRITTEN[name]
    return _component_label(tag) if name[:1].isupper() and name not in _LINKS and tag.kind == "open" else ""


def _component_label(tag: Tag) -> str:
    attributes = tag.attributes
    title = next((_one_line(attributes[key]) for key in _SHOWN_ATTRIBUTES if attributes.get(key)), "")
    if tag.name in _NAMED_REMARKS:
        return f"\n\n{remark_label(tag.name, title)}\n"
    if tag.name in _REMARKS:
        return f"\n\n{remark_label(attributes.get('type') or 'note', title)}\n"
    if not title and tag.name == "TabItem":
        title = _one_line(attributes.get("value", ""))
    return f"\n\n{label_line(title)}\n" if title else ""


def _one_line(label: str) -> str:
    return " ".join(label[:MAX_LABEL].split())


def _link(tag: Tag, inner: str) -> str:
    target = tag.attributes.get(_LINKS[tag.name]) or tag.attributes.get("href")
    if not inner or not target or any(char in target for char in " \n()"):
        return inner
    return f"[{inner}]({target})"


def _code(_: Tag, inner: str) -> str:
    if not inner or inner.startswith("`"):
        return inner
    return f"`` {inner} ``" if "`" in inner else f"`{inner}`"


def _title(_: Tag, inner: str) -> str:
    return f"\n\n{label_line(inner)}\n" if inner.strip("* ") else ""


def _heading(_: Tag, inner: str) -> str:
    plain = inner.replace("**", "").strip()
    return f"\n\n**{plain}**\n\n" if plain else ""


def _nothing(_: Tag, __: str) -> str:
    return ""


PAIRS: Final[dict[str, Callable[[Tag, str], str]]] = {
    **dict.fromkeys(_LINKS, _link),
    **dict.fromkeys(HEADINGS, _heading),
    **dict.fromkeys(_UNSEEN, _nothing),
    "code": _code,
    "summary": _title,
}
