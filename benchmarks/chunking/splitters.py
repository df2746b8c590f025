"""Lectern's way from a page to its passages, and those of other splitters at the same size.

All of them count with `shared.tokens`, so that a limit means the same to each; the rows in characters are how the
others are used most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.models import Page
from shared.tokens import count_tokens
from worker.ingestion.chunk import ChunkRules, make_chunks
from worker.ingestion.front_matter import read_front_matter
from worker.ingestion.markup.markdown import parse_markdown
from worker.ingestion.read import decode_page

#: Tokens of a passage at most, and tokens that it repeats.
SIZE: Final = 512
OVERLAP: Final = 64
#: The same in characters, by the usual rule of thumb.
CHARACTERS: Final = 4 * SIZE
CHARACTERS_OVERLAP: Final = 200

RULES: Final = ChunkRules(size=SIZE, overlap=OVERLAP)
HEADERS: Final = [("#" * level, f"h{level}") for level in range(1, 7)]


class Source(NamedTuple):
    """A page as it lies on disk."""

    path: str
    data: bytes


class Passage(NamedTuple):
    """What a splitter makes of a part of a page."""

    text: str
    #: Whether its headings or its page's title are known without looking at its text.
    headed: bool


Split = Callable[[Source], Iterable[Passage]]


@dataclass(frozen=True, slots=True)
class Splitter:
    """One row of the table."""

    #: What has to be installed, as it is imported; "" for Lectern.
    module: str
    make: Callable[[], Split]

    @property
    def installed(self) -> bool:
        return not self.module or find_spec(self.module) is not None


def _lectern() -> Split:
    def split(source: Source) -> Iterable[Passage]:
        front = read_front_matter(decode_page(source.data))
        sections = parse_markdown(front.body, mdx=source.path.endswith(".mdx"))
        page = Page(source.path, front.text("title") or Path(source.path).stem, source.path, "")
        return [Passage(chunk.text, bool(chunk.place)) for chunk in make_chunks(page, sections, RULES)]

    return split


def _text(source: Source) -> str:
    return source.data.decode("utf-8", "replace")


def _recursive(*, tokens: bool) -> Split:
    library = import_module("langchain_text_splitters")
    sizes: dict[str, Any] = {"chunk_size": CHARACTERS, "chunk_overlap": CHARACTERS_OVERLAP}
    if tokens:
        sizes = {"chunk_size": SIZE, "chunk_overlap": OVERLAP, "length_function": count_tokens}
    splitter = library.RecursiveCharacterTextSplitter.from_language(library.Language.MARKDOWN, **sizes)
    return lambda source: [Passage(text, headed=False) for text in splitter.split_text(_text(source))]


def _headers_and_recursive() -> Split:
    library = import_module("langchain_text_splitters")
    by_header = library.MarkdownHeaderTextSplitter(HEADERS, strip_headers=False)
    by_size = library.RecursiveCharacterTextSplitter.from_language(
        library.Language.MARKDOWN, chunk_size=SIZE, chunk_overlap=OVERLAP, length_function=count_tokens
    )

    def split(source: Source) -> Iterable[Passage]:
        documents = by_size.split_documents(by_header.split_text(_text(source)))
        return [Passage(document.page_content, bool(document.metadata)) for document in documents]

    return split


def _nodes(*, sized: bool) -> Split:
    parser = import_module("llama_index.core.node_parser")
    document = import_module("llama_index.core.schema").Document
    by_header = parser.MarkdownNodeParser()
    by_size = parser.SentenceSplitter(
        chunk_size=SIZE, chunk_overlap=OVERLAP, tokenizer=lambda text: range(count_tokens(text))
    )

    def split(source: Source) -> Iterable[Passage]:
        nodes = by_header.get_nodes_from_documents([document(text=_text(source))])
        if sized:
            nodes = by_size.get_nodes_from_documents(nodes)
        return [Passage(node.text, node.metadata.get("header_path", "/") != "/") for node in nodes]

    return split


def _semantic(*, tokens: bool) -> Split:
    library = import_module("semantic_text_splitter").MarkdownSplitter
    if tokens:
        splitter = library.from_callback(count_tokens, SIZE, overlap=OVERLAP)
    else:
        splitter = library(CHARACTERS, overlap=CHARACTERS_OVERLAP)
    return lambda source: [Passage(text, headed=False) for text in splitter.chunks(_text(source))]


SPLITTERS: Final[Mapping[str, Splitter]] = {
    "Lectern": Splitter("", _lectern),
    "langchain Recursive, Markdown, characters": Splitter("langchain_text_splitters", lambda: _recursive(tokens=False)),
    "langchain Recursive, Markdown, tokens": Splitter("langchain_text_splitters", lambda: _recursive(tokens=True)),
    "langchain MarkdownHeader + Recursive": Splitter("langchain_text_splitters", _headers_and_recursive),
    "llama-index MarkdownNodeParser": Splitter("llama_index", lambda: _nodes(sized=False)),
    "llama-index MarkdownNodeParser + Sentence": Splitter("llama_index", lambda: _nodes(sized=True)),
    "semantic-text-splitter Markdown, characters": Splitter("semantic_text_splitter", lambda: _semantic(tokens=False)),
    "semantic-text-splitter Markdown, tokens": Splitter("semantic_text_splitter", lambda: _semantic(tokens=True)),
}
