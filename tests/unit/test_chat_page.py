"""What the chat page promises without a browser: it loads nothing foreign, and a strict CSP stops none of it.

How its parsers behave is checked by `scripts/check_page.mjs`, which needs Node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

STATIC: Final = Path(__file__).parents[2] / "api" / "static"
FILES: Final = sorted(path.name for path in STATIC.iterdir())
SCRIPTS: Final = [name for name in FILES if name.endswith(".js")]
STYLES: Final = [name for name in FILES if name.endswith(".css")]

#: As served, with comments and types and without a build: about 30 kB where a proxy compresses.
BUDGET_BYTES: Final = 80_000
MODULE_LINES: Final = 300
#: Names, not addresses that anything is loaded from.
NAMES: Final = frozenset({"http://www.w3.org/2000/svg", "https://relative.invalid/"})
VOID: Final = frozenset({"meta", "link", "img", "br", "path", "rect"})
WAYS_FROM_TEXT_TO_CODE: Final = (
    r"\b(?:inner|outer)HTML\b", r"\binsertAdjacentHTML\b", r"\bdocument\s*\.\s*write", r"\beval\s*\(",
    r"\bnew\s+Function\b", r"\bset(?:Timeout|Interval)\s*\(\s*[\"'`]", r"\bsrcdoc\b", r"\bDOMParser\b",
    r"\bcreateContextualFragment\b", r"\bsetHTML(?:Unsafe)?\b", r"\bimport\s*\(", r"\bjavascript:",
    r"setAttribute\(\s*[\"'`](?:on|style)", r"\bimportScripts\b", r"\bWebAssembly\b",
)  # fmt: skip


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Markup(HTMLParser):
    """The elements of a document in order, each with all the text inside it."""

    source: str
    elements: list[Element] = field(default_factory=list)
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            closed = self.open.pop()
            assert closed.tag == tag, f"</{tag}> closes <{closed.tag}>"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]


def read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def markup(name: str) -> Markup:
    return Markup(read(name))


def imports(script: str) -> list[tuple[str, list[str]]]:
    """(module, names) of every import and of every re-export."""
    found = re.findall(r"^(?:import|export)\s*\{([^}]*)\}\s*from\s*\"([^\"]+)\"", read(script), re.MULTILINE)
    return [(module, [name.strip() for name in names.split(",")]) for names, module in found]


def references(name: str) -> set[str]:
    """The files that a file makes the browser load."""
    if name.endswith(".html"):
        attributes = [element.attributes for element in markup(name).elements]
        found = [one[key] for one in attributes for key in ("src", "href") if key in one]
        return {link.removeprefix("static/") for link in found if not link.startswith(("#", "./"))}
    if name.endswith(".js"):
        return {module.removeprefix("./") for module, _ in imports(name)}
    return set(re.findall(r"(?:url\(|@import\s)\s*[\"']?([^\"')\s]+)", read(name)))


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_no_foreign_address(name: str) -> None:
    found = set(re.findall(r"(?:https?|wss?|ftp)://[\w.-]+[^\s\"'`<>)]*", read(name)))
    assert found <= NAMES
    assert not re.search(r"[\"'(]//[\w-]", read(name)), "an address without a scheme"


@pytest.mark.parametrize("name", ["index.html", "icon.svg"])
def test_markup_has_no_inline_script_style_or_handler(name: str) -> None:
    page = markup(name)
    for element in page.elements:
        assert element.tag not in {"style", "base", "iframe", "object", "embed"}
        assert not [key for key in element.attributes if key == "style" or key.startswith("on")], element
    for script in page.all("script"):
        assert script.attributes["src"].startswith("static/")
        assert not script.text.strip()


def test_forms_are_sent_by_script_alone() -> None:
    for form in markup("index.html").all("form"):
        assert "action" not in form.attributes


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_turns_no_text_into_markup_or_code(name: str) -> None:
    code = re.sub(r"/\*.*?\*/", "", read(name), flags=re.DOTALL)
    assert [pattern for pattern in WAYS_FROM_TEXT_TO_CODE if re.search(pattern, code)] == []


def test_everything_that_is_loaded_exists_and_everything_that_exists_is_loaded() -> None:
    reached, waiting = set[str](), ["index.html"]
    while waiting:
        name = waiting.pop()
        assert (STATIC / name).is_file(), name
        reached.add(name)
        waiting += references(name) - reached
    assert reached == set(FILES)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_only_what_its_neighbour_exports(name: str) -> None:
    statements = re.findall(r"^(?:import|export)\b.*\bfrom\b|^import\s+[\"']", read(name), re.MULTILINE)
    assert len(statements) == len(imports(name)), "an import that this test cannot read"
    for module, names in imports(name):
        assert module.startswith("./")
        exported = re.findall(
            r"^export\s+(?:async\s+)?(?:function\*?|class|const)\s+(\w+)", read(module[2:]), re.MULTILINE
        )
        assert set(names) <= set(exported), module


def test_every_element_that_the_script_asks_for_is_on_the_page() -> None:
    ids = [element.attributes["id"] for element in markup("index.html").elements if "id" in element.attributes]
    asked = set(re.findall(r"byId\(\"([^\"]+)\"\)", read("chat.js")))
    assert len(ids) == len(set(ids))
    assert asked
    assert asked <= set(ids)


def test_every_control_has_a_name() -> None:
    page = markup("index.html")
    labelled = {label.attributes["for"] for label in page.all("label") if label.text.strip()}
    for control in page.all("button") + page.all("a"):
        assert control.text.strip() or control.attributes.get("aria-label"), control
    for box in page.all("textarea") + page.all("input"):
        assert box.attributes["id"] in labelled
    for image in page.all("img"):
        assert "alt" in image.attributes


def test_only_one_short_announcement_is_live() -> None:
    elements = markup("index.html").elements
    live = [
        one
        for one in elements
        if "aria-live" in one.attributes or one.attributes.get("role") in {"status", "log", "alert"}
    ]
    assert [one.attributes.get("id") for one in live] == ["announcer"]


@pytest.mark.parametrize("name", STYLES)
def test_motion_and_colour_follow_the_reader(name: str) -> None:
    """Movement is only declared for those who have not asked for less; colours only as variables with two values."""
    style = read(name)
    still = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", style, flags=re.DOTALL)
    assert not re.search(r"\b(?:animation|transition|scroll-behavior)\b", still)
    without_variables = re.sub(r"^\s*--[\w-]+:.*$", "", style, flags=re.MULTILINE)
    assert not re.search(r"#[0-9a-f]{3,8}\b(?=[^{]*;)|\brgba?\(|\bhsla?\(", without_variables)


def test_dark_and_light_define_the_same_colours() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", read("style.css"), re.DOTALL)
    colour = r"(--[\w-]+): #"
    assert re.findall(colour, light) == re.findall(colour, dark)


def test_the_page_stays_small() -> None:
    assert sum((STATIC / name).stat().st_size for name in FILES) < BUDGET_BYTES
    for name in SCRIPTS:
        assert read(name).count("\n") < MODULE_LINES, name
