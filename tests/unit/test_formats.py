"""Pages that are not Markdown."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, PageError
from shared.models import Page
from shared.settings import DOCUMENT_ENDINGS, load_settings
from tests.unit.documents import docx, epub, pdf, zipped
from worker.ingestion.chunk import ChunkRules, make_chunks
from worker.ingestion.content import Content
from worker.ingestion.formats import is_document, read_document
from worker.ingestion.formats.document import Document


def html(body: str, head: str = "") -> Document:
    return read_document("page.html", f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode())


def outline(document: Document) -> list[tuple[int, str, str | None]]:
    return [(s.heading.level, s.heading.text, s.heading.anchor) for s in document.sections if s.heading]


def text_of(document: Document) -> str:
    return "".join(section.text for section in document.sections)


# ---- HTML


def test_headings_keep_the_ids_of_the_page_and_none_is_made_up() -> None:
    document = html(
        '<main><h1 id="top">Guide</h1><p>a</p><h2 id="set-up">Set up</h2><p>b</p><h2>No id</h2><p>c</p></main>'
    )
    assert outline(document) == [(1, "Guide", "top"), (2, "Set up", "set-up"), (2, "No id", None)]
    assert document.sections[1].trail == ("Guide", "Set up")


@pytest.mark.parametrize(
    "heading",
    [
        '<section id="there"><h2>Title</h2></section>',
        '<a id="there"></a><h2>Title</h2>',
        '<h2><a name="there"></a>Title</h2>',
        '<h2><a class="header" href="#there" id="there">Title</a></h2>',
        '<h2 id="there">Title<a class="hash-link" href="#there" title="Direct link">\u200b</a></h2>',
        '<h2 id="there">Title<a class="headerlink" href="#there">¶</a></h2>',
    ],
)
def test_the_id_is_found_where_generators_put_it(heading: str) -> None:
    assert outline(html(f"<main><h1>Page</h1>{heading}</main>"))[1] == (2, "Title", "there")


def test_navigation_and_what_no_reader_reads_is_left_out() -> None:
    document = html(
        "<nav>Menu</nav><header>Site</header><aside>Side</aside><h1>Page</h1><p>Text <script>evil()</script>here.</p>"
        "<footer>Foot</footer><style>p{}</style>"
    )
    assert text_of(document).split() == ["Text", "here."]


def test_the_content_is_taken_from_where_the_generator_puts_it() -> None:
    document = html(
        "<div>Menu</div><main><div>Crumbs</div><article>"
        '<div class="theme-doc-markdown"><p>Text</p></div></article></main>'
    )
    assert text_of(document).strip() == "Text"


def test_code_keeps_its_lines_and_its_language() -> None:
    document = html(
        '<main><pre class="prism-code language-js"><code><span>const a = 1;<br></span><span>a &lt; 2;<br></span></code>'
        '<button>Copy</button></pre><div class="highlight-python"><pre><span class="linenos">1</span>x = 1\n  y = 2'
        "</pre></div></main>"
    )
    (section,) = document.sections
    assert [block.kind for block in section.blocks] == ["code", "code"]
    assert "\n```js\nconst a = 1;\na < 2;\n```" in section.text
    assert "\n```python\nx = 1\n  y = 2\n```" in section.text


def test_lists_quotes_links_and_marks_become_markdown() -> None:
    document = html(
        "<main><ul><li>One <strong>bold</strong></li><li><p>Two</p><ol><li>Inner</li></ol></li></ul>"
        '<blockquote><p>Said</p></blockquote><p>See <a href="/docs/x">x</a>, <a href="javascript:bad()">y</a>, '
        "<code>--flag</code><br>and on.</p></main>"
    )
    assert text_of(document).strip() == (
        "- One **bold**\n- Two\n  1. Inner\n\n> Said\n\nSee [x](/docs/x), y, `--flag`\nand on."
    )


def test_a_table_is_a_table_and_one_for_layout_is_not() -> None:
    document = html(
        "<main><table><tr><th>Name</th><th>What</th></tr><tr><td>a|b</td><td>One<br>two</td></tr></table>"
        "<table><tr><td><p>Laid out</p></td></tr></table></main>"
    )
    (section,) = document.sections
    assert section.blocks[0].kind == "table"
    assert section.blocks[0].text == "\n| Name | What |\n| --- | --- |\n| a\\|b | One two |"
    assert section.blocks[1].text.strip() == "Laid out"


def test_a_documented_function_is_a_heading_of_its_own() -> None:
    document = html(
        '<main><section id="api"><h1>API</h1><dl class="py function"><dt class="sig sig-object" id="mod.run">'
        "mod.run(<em>x</em>)</dt><dd><p>Runs x.</p></dd></dl>"
        '<dl class="py class"><dt class="sig" id="mod.Boat">class mod.Boat</dt><dd><dl class="py method">'
        '<dt class="sig" id="mod.Boat.sail">sail()</dt><dd><p>Sails.</p></dd></dl></dd></dl></section></main>'
    )
    assert outline(document) == [
        (1, "API", "api"),
        (2, "mod.run(x)", "mod.run"),
        (2, "class mod.Boat", "mod.Boat"),
        (3, "sail()", "mod.Boat.sail"),
    ]


def test_a_page_that_wants_no_search_engine_is_hidden() -> None:
    assert html("<main><p>x</p></main>", '<meta name="robots" content="noindex, follow">').hidden
    assert not html("<main><p>x</p></main>", '<meta name="robots" content="index">').hidden


def test_the_title_is_the_first_heading_else_that_of_the_head_without_the_site() -> None:
    assert html("<main><h1>Install it</h1></main>", "<title>Install | Site</title>").title == "Install it"
    assert html("<main><p>x</p></main>", "<title>Install | Site</title>").title == "Install"


def test_a_page_is_read_in_the_encoding_that_it_names() -> None:
    data = '<html><head><meta charset="iso-8859-1"></head><body><p>Käse</p></body></html>'.encode("latin-1")
    assert text_of(read_document("page.html", data)).strip() == "Käse"


@pytest.mark.parametrize("charset", ["zlib", "punycode", "idna", "undefined", "nothing", "rot13"])
def test_what_is_no_character_set_is_not_used_as_one(charset: str) -> None:
    data = f'<html><head><meta charset="{charset}"></head><body><p>Käse</p></body></html>'.encode()
    assert text_of(read_document("page.html", data)).strip() == "Käse"


@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "blockquote", "table><tr><td"])
def test_deep_nesting_loses_no_text(tag: str) -> None:
    document = html("<main>" + f"<{tag}>" * 5_000 + "bottom" + "</main>")
    assert "bottom" in text_of(document)


def test_text_cannot_pass_for_markdown_structure() -> None:
    document = html("<main><h1>Page</h1><p># not a heading</p><pre>```\nfence</pre></main>")
    assert len(document.sections) == 1
    assert "\\# not a heading" in text_of(document)
    assert "\n````\n```\nfence\n````" in text_of(document)


# ---- PDF


def test_a_pdf_has_a_section_for_each_entry_of_its_outline_at_its_page() -> None:
    document = read_document(
        "manual.pdf",
        pdf([["Sails", "A sail is cloth."], ["It catches wind.", "Knots", "A bowline holds."]],
            [("Sails", 0), ("Knots", 1)], title="Manual"),
    )  # fmt: skip
    assert document.title == "Manual"
    assert outline(document) == [(1, "Sails", "page=1"), (1, "Sails", "page=2"), (1, "Knots", "page=2")]
    assert [section.text.strip() for section in document.sections] == [
        "A sail is cloth.", "It catches wind.", "A bowline holds.",
    ]  # fmt: skip


def test_a_pdf_without_an_outline_has_a_section_for_each_page() -> None:
    document = read_document("a.pdf", pdf([["First page."], ["Second page."]]))
    assert outline(document) == [(1, "Page 1", "page=1"), (1, "Page 2", "page=2")]


def test_a_citation_of_a_pdf_opens_it_at_the_page() -> None:
    document = read_document("a.pdf", pdf([["First page."], ["Second page."]]))
    page = Page("a.pdf", "A", "https://s.example/a.pdf", "r")
    chunks = make_chunks(page, document.sections, ChunkRules(minimum=0))
    assert [chunk.url for chunk in chunks] == ["https://s.example/a.pdf#page=1", "https://s.example/a.pdf#page=2"]


def test_running_titles_page_numbers_and_tables_of_contents_are_left_out() -> None:
    pages = [
        ["The Manual 1", f"Text number {word}.", "Knots . . . . . . . . 7", str(at)] for at, word in enumerate("abcd")
    ]
    assert text_of(read_document("a.pdf", pdf(pages))).split() == [
        word for letter in "abcd" for word in ("Text", "number", f"{letter}.")
    ]


def test_a_word_that_was_cut_at_the_end_of_a_line_is_whole_again() -> None:
    assert "example of text" in text_of(read_document("a.pdf", pdf([["This is an exam-", "ple of text"]])))


def test_a_pdf_of_pictures_is_refused_with_advice() -> None:
    with pytest.raises(PageError, match="OCR"):
        read_document("a.pdf", pdf([[]]))


# ---- DOCX, EPUB, text


def test_a_docx_has_its_headings_and_text() -> None:
    document = read_document(
        "a.docx",
        docx([("Heading1", "Guide"), ("", "Hello."), ("Heading2", "Set up"), ("", "Do this."), ("Heading2", "Set up")]),
    )
    assert outline(document) == [(1, "Guide", "guide"), (2, "Set up", "set-up"), (2, "Set up", "set-up-1")]
    assert document.title == "Guide"
    assert document.sections[1].text.strip() == "Do this."


def test_an_epub_is_read_in_the_order_of_its_spine() -> None:
    document = read_document(
        "a.epub", epub({"b.xhtml": "<h1>First</h1><p>One.</p>", "a.xhtml": "<p>No heading.</p>"}, title="The book")
    )
    assert document.title == "The book"
    assert outline(document) == [(1, "First", "first"), (1, "a.xhtml", "axhtml")]


@pytest.mark.parametrize("tag", ["<div>", "<div/>", "<x/>", "<div></x>", "<svg><div><x/>", "<ul><li>", "<td><table>"])
def test_a_page_of_elements_without_end_is_refused_at_once(tag: str) -> None:
    started = time.process_time()
    with pytest.raises(PageError, match="within each other"):
        html(f"<main>{tag * 200_000}x")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "part", ["<p>word", "<ul><li>word</ul>", "<b>word</b> ", "word<br>", "<div>word<img src=x></div>", "<h2>word</h2>"]
)
def test_a_page_of_many_elements_is_read(part: str) -> None:
    drawing = f"<svg>{'<path d=x/>' * 30_000}</svg>"
    document = html(f"<main>{drawing}{part * 30_000}</main>")
    assert "word" in (document.sections[0].text or document.sections[0].trail[0])


def test_a_chapter_that_an_epub_lists_over_and_over_is_read_once() -> None:
    with zipfile.ZipFile(io.BytesIO(epub({"a.xhtml": "<p>Once.</p>"}))) as archive:
        entries = {name: archive.read(name).decode() for name in archive.namelist()}
    listed = '<itemref idref="c0"/>'
    entries["OEBPS/content.opf"] = entries["OEBPS/content.opf"].replace(listed, listed * 100)
    assert len(read_document("a.epub", zipped(entries)).sections) == 1


def test_an_epub_says_which_chapter_is_missing() -> None:
    broken = epub({"a.xhtml": "<p>Text</p>"}).replace(b"OEBPS/a.xhtml", b"OEBPS/x.xhtml")
    with pytest.raises(PageError, match="damaged"):
        read_document("a.epub", broken)


def test_plain_text_is_paragraphs() -> None:
    document = read_document("a.txt", b"One\nline.\r\n\r\n# two\n\n\n\n    three")
    assert document.sections[0].text.strip() == "One\nline.\n\n\\# two\n\n    three"
    assert not document.sections[0].heading


@pytest.mark.parametrize("ending", ["pdf", "docx", "epub"])
@pytest.mark.parametrize("data", [b"", b"not it", b"%PDF-1.7\n", b"PK\x03\x04", zipped({"other.txt": "x"})])
def test_what_is_no_such_file_is_refused_by_name(ending: str, data: bytes) -> None:
    with pytest.raises(PageError, match=f"{ending.upper()} file"):
        read_document(f"a.{ending}", data)


@pytest.mark.parametrize("ending", ["docx", "epub"])
def test_a_file_that_unpacks_to_far_more_is_refused(ending: str) -> None:
    bomb = zipped({"word/document.xml": "0" * (220 * 2**20)})
    assert len(bomb) < 300_000
    with pytest.raises(PageError, match="unpacks to more"):
        read_document(f"a.{ending}", bomb)


def test_entities_that_multiply_are_refused() -> None:
    entities = (
        '<!DOCTYPE d [<!ENTITY a "'
        + "x" * 1000
        + '">'
        + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8))
        + "]>"
    )
    whole = docx([("", "&i;")])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = {name: archive.read(name).decode() for name in archive.namelist()}
    entries["word/document.xml"] = entries["word/document.xml"].replace("?>", f"?>{entities}", 1)
    with pytest.raises(PageError, match="DOCX"):
        read_document("a.docx", zipped(entries))


def test_endings_are_known_in_any_case() -> None:
    assert is_document("a/B.HTML")
    assert is_document("a.Pdf")
    assert not is_document("a.md")


# ---- as pages


def test_files_of_the_formats_that_are_asked_for_are_pages(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\nText.\n")
    (tmp_path / "manual.pdf").write_bytes(pdf([["Sails are cloth."]]))
    (tmp_path / "page.html").write_text("<main><h1>P</h1><p>Text.</p></main>")
    settings = load_settings(None, content_root=tmp_path, content_formats=("pdf",), site_url="https://s.example")
    content = Content.of(settings)
    assert [page.path for page in content.find(".").pages] == ["a.md", "manual.pdf"]
    assert [page.path for page in content.find("manual.pdf").pages] == ["manual.pdf"]
    (page,), faults = content.read(["manual.pdf"])
    assert not faults
    assert [chunk.url for chunk in page.chunks] == ["https://s.example/manual.pdf#page=1"]


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 broken")
    (tmp_path / "b.html").write_text("<main><p>Text.</p></main>")
    content = Content.of(load_settings(None, content_root=tmp_path, content_formats=("pdf", "html")))
    pages, faults = content.read([page.path for page in content.find(".").pages])
    assert [page.page.path for page in pages] == ["b.html"]
    assert [(fault.path, "damaged" in fault.reason) for fault in faults] == [("a.pdf", True)]


def test_the_settings_know_the_endings_that_can_be_read() -> None:
    assert all(is_document(f"a{ending}") for ending in DOCUMENT_ENDINGS)
    with pytest.raises(ConfigurationError, match="rst is not read"):
        load_settings(None, content_formats=("rst",))
