"""Questions whose answers are known, from golden.yaml or from a folder in BEIR's layout, in one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from cli.errors import BadInput
from shared.golden import GoldenQuestion, Place, read_golden


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and what is known of its answer."""

    #: Tells it from the others of its set.
    id: str
    text: str
    #: How relevant each target is; empty where that is not known.
    grades: Mapping[str, float] = field(default_factory=dict)
    #: Words of which the answer must hold one.
    answers: tuple[str, ...] = ()
    #: The docs do not answer it.
    refuse: bool = False
    must_contain: tuple[str, ...] = ()
    #: (question, answer), oldest first.
    history: tuple[tuple[str, str], ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """As POST /evaluate takes it."""
        turns = [{"question": question, "answer": answer} for question, answer in self.history]
        body: dict[str, Any] = {"question": self.text}
        if turns:
            body["history"] = turns
        if self.filters:
            body["filters"] = dict(self.filters)
        if self.must_contain:
            body["must_contain"] = list(self.must_contain)
        return body


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions, and what the targets of their grades stand for in the index."""

    name: str
    questions: tuple[Asked, ...]
    #: The documents that the questions are about, each by every name that the index may have for it; empty for a
    #: golden file, whose targets are places.
    documents: Mapping[str, str] = field(default_factory=dict)
    #: How many documents that is.
    document_count: int = 0
    #: Paths that the questions expect to be there.
    pages: tuple[str, ...] = ()

    def ranking(self, asked: Asked, retrieved: Sequence[Mapping[str, Any]]) -> list[str]:
        """The targets that were found, best first; what is no target has a name of its own."""
        ranked: list[str] = []
        for passage in retrieved:
            targets = self.documents_of(passage) if self.documents else _places_of(asked, passage)
            ranked += targets or [f"{passage['path']} {' '.join(passage['anchors'])}"]
        return list(dict.fromkeys(ranked))

    def documents_of(self, passage: Mapping[str, Any]) -> list[str]:
        """The set's documents that a passage is from."""
        found = [self.documents[name] for name in names_of(passage) if name in self.documents]
        return list(dict.fromkeys(found))


def names_of(passage: Mapping[str, Any]) -> Iterator[str]:
    """What a document may be called that a passage is from: a heading of a page, or the page."""
    path, url = passage["path"], passage["url"].partition("#")[0]
    pages = (path, str(PurePosixPath(path).with_suffix("")), url, urlsplit(url).path.strip("/"))
    for anchor in passage["anchors"]:
        for page in pages:
            yield f"{page}#{anchor}"
    yield from pages
    yield passage["title"]


def _places_of(asked: Asked, passage: Mapping[str, Any]) -> list[str]:
    if asked.must_contain and not passage["holds"]:
        return []
    names = [passage["path"], *(f"{passage['path']}#{anchor}" for anchor in passage["anchors"])]
    return [name for name in [*names, ANYWHERE] if name in asked.grades]


#: The target of a question that names no place: any passage with its words.
ANYWHERE = "any page"


def read_golden_set(file: Path) -> QuestionSet:
    """The questions of a golden file. Blocking. Raises BadInput, with a line for each thing that is wrong."""
    golden = read_golden(file)
    if golden.faults:
        raise BadInput("\n".join(f"{file}: {fault}" for fault in golden.faults))
    pages = dict.fromkeys(place.path for question in golden.questions for place in question.expected)
    return QuestionSet(golden.name, tuple(map(_asked, golden.questions)), pages=tuple(pages))


def _asked(question: GoldenQuestion) -> Asked:
    places: Sequence[Place | str] = question.expected or ((ANYWHERE,) if question.must_contain else ())
    return Asked(
        id=f"line {question.line}",
        text=question.text,
        grades={str(place): 1.0 for place in places},
        answers=question.answers,
        refuse=question.refuse,
        must_contain=question.must_contain,
        history=question.history,
        filters=dict(question.filters),
    )
