"""Reads golden.yaml: questions that the docs must go on answering, each with where the answer stands.

    - question: How do I reef the mainsail?
      expect: guide/rigging.md#reefing        # or a list; a page, or a heading of it
      must_contain: halyard                   # optional; or a list: words of the passage there
      answer: [two reefs, second reef]        # optional; words of which the answer must hold one
      filters: {version: "2.0"}               # optional; version, locale, path, page
      history:                                # optional; what was said before, oldest first
        - question: What is a mainsail?
          answer: The sail behind the mast.
    - question: What does a berth in Mordor cost?
      refuse: true                            # the docs do not say

What is wrong is named with its line, and never keeps the other questions from being asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

#: The file's name in the content root.
GOLDEN_NAME: Final = "golden.yaml"
#: A thousand questions take a fifth of it.
MAX_BYTES: Final = 1024 * 1024
#: Each costs an embedding and two searches.
MAX_QUESTIONS: Final = 1000
MAX_CHARACTERS: Final = 2000
#: Collections within each other: a list of questions, each with a list of exchanges.
MAX_DEPTH: Final = 4
#: Exchanges before a question.
MAX_HISTORY: Final = 20
#: Nobody can expect an answer to hold more than this word by word.
MAX_ANSWER_CHARACTERS: Final = 200
FIELDS: Final = ("question", "expect", "must_contain", "answer", "refuse", "filters", "history")
FILTERS: Final = ("version", "locale", "path", "page")

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Place:
    """A page, or a heading of it."""

    path: str
    #: None for any place of the page.
    anchor: str | None = None

    def __str__(self) -> str:
        return self.path if self.anchor is None else f"{self.path}#{self.anchor}"


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A question with the places of which one must be found, and the words that one passage there must hold."""

    text: str
    expected: tuple[Place, ...]
    must_contain: tuple[str, ...]
    #: Where it stands in the file, from 1.
    line: int
    #: Words of which the answer must hold one.
    answers: tuple[str, ...] = ()
    #: The docs do not answer it, and the answer must say so.
    refuse: bool = False
    #: (name, value) of FILTERS.
    filters: tuple[tuple[str, str], ...] = ()
    #: (question, answer), oldest first; an answer may be "".
    history: tuple[tuple[str, str], ...] = ()

    @property
    def is_for_the_gate(self) -> bool:
        """Whether a plain search can tell that it is answered."""
        has_place = bool(self.expected or self.must_contain)
        return has_place and not (self.refuse or self.filters or self.history)


@dataclass(frozen=True, slots=True)
class Golden:
    """The questions of a golden file, and what is wrong with it, a sentence each."""

    #: As people know the file.
    name: str
    questions: tuple[GoldenQuestion, ...] = ()
    faults: tuple[str, ...] = ()


class _Refused(Exception):
    """Raised for what cannot be read as a golden question; says what stands where."""


def golden_file(root: Path, configured: Path | None) -> Path | None:
    """The file to read: the one that GOLDEN_FILE names, else the content root's, else None. Blocking."""
    if configured is not None:
        return configured
    file = root / GOLDEN_NAME
    return file if file.exists() else None


def read_golden(file: Path) -> Golden:
    """The questions of a file. What cannot be read becomes a fault. Blocking."""
    if file.exists() and not file.is_file():  # to open a pipe would wait for its other end
        return Golden(file.name, faults=("it is not a file",))
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return Golden(file.name, faults=(f"it cannot be read ({error.strerror}); check GOLDEN_FILE and permissions",))
    if len(data) > MAX_BYTES:
        return Golden(file.name, faults=(f"it is larger than {MAX_BYTES // 1024} KiB",))
    try:
        return parse_golden(file.name, data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Golden(file.name, faults=("it is not UTF-8; save it with that encoding",))


def parse_golden(name: str, text: str) -> Golden:
    """The questions of a text. Pure."""
    try:
        nodes = _entries(text)
    except (_Refused, yaml.YAMLError, ValueError, RecursionError) as error:
        return Golden(name, faults=(_said(error),))
    questions: list[GoldenQuestion] = []
    faults: list[str] = []
    for node in nodes[:MAX_QUESTIONS]:
        try:
            questions.append(_question(node))
        except _Refused as error:
            faults.append(str(error))
    if len(nodes) > MAX_QUESTIONS:
        faults.append(f"only the first {MAX_QUESTIONS} of its {len(nodes)} questions are asked")
    return Golden(name, tuple(questions), tuple(faults))


def _entries(text: str) -> list[yaml.Node]:
    """What should be the questions, with their places in the file. Raises _Refused or YAMLError."""
    _refuse_hostile(text)
    root = yaml.compose(text, Loader=_Loader)
    if root is None:
        raise _Refused("it holds no question")
    if not isinstance(root, yaml.SequenceNode):
        raise _Refused(f"{_at(root)}it must be a list: each question begins with `- question:`")
    return list(root.value)


def _refuse_hostile(text: str) -> None:
    """Walks the parser's events, so that nothing is built of what a few bytes can blow up."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            line = _line(event.start_mark)
            raise _Refused(
                f"line {line}: anchors and aliases (& and *) are not supported; quote the value if it is text"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Refused(f"line {_line(event.start_mark)}: it is nested deeper than {MAX_DEPTH} levels")


def _question(node: yaml.Node) -> GoldenQuestion:
    if not isinstance(node, yaml.MappingNode):
        raise _Refused(f"{_at(node)}not a question; write `- question: ...`, and below it `expect: page.md`")
    fields = _fields(node, FIELDS)
    if "question" not in fields:
        raise _Refused(f"{_at(node)}`question` must be one text")
    question = GoldenQuestion(
        text=_one_text(fields["question"], "question"),
        expected=tuple(map(_place, _texts(fields.get("expect"), "expect"))),
        must_contain=tuple(_texts(fields.get("must_contain"), "must_contain")),
        line=_line(node.start_mark),
        answers=tuple(_texts(fields.get("answer"), "answer", MAX_ANSWER_CHARACTERS)),
        refuse=_truth(fields.get("refuse"), "refuse"),
        filters=tuple(_pairs(fields.get("filters"), "filters", FILTERS)),
        history=tuple(_exchanges(fields.get("history"))),
    )
    has_aim = bool(question.expected or question.must_contain or question.answers)
    if question.refuse and has_aim:
        raise _Refused(
            f"{_at(node)}`refuse` says that the docs do not answer it; leave out what it expects, or `refuse`"
        )
    if not question.refuse and not has_aim:
        raise _Refused(f"{_at(node)}`expect` is missing; name the page with the answer, such as guide/install.md#linux")
    return question


def _fields(node: yaml.MappingNode, names: tuple[str, ...]) -> dict[str, yaml.Node]:
    """The values of a mapping by their names. Raises _Refused for a name that is not among `names`."""
    fields: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in names:
            known = f"{', '.join(names[:-1])} and {names[-1]}"
            raise _Refused(f"{_at(key)}{name!r} is not a field; there are {known}")
        fields[name] = value
    return fields


def _one_text(node: yaml.Node, name: str) -> str:
    texts = list(_texts(node, name))
    if len(texts) != 1:
        raise _Refused(f"{_at(node)}`{name}` must be one text")
    return texts[0]


def _truth(node: yaml.Node | None, name: str) -> bool:
    if node is None:
        return False
    if not isinstance(node, yaml.ScalarNode) or node.value not in ("true", "false"):
        raise _Refused(f"{_at(node)}`{name}` must be true or false")
    return bool(node.value == "true")


def _pairs(node: yaml.Node | None, name: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise _Refused(f"{_at(node)}`{name}` must have a name and a text a line; there are {', '.join(names)}")
    for key, value in _fields(node, names).items():
        yield key, _one_text(value, key)


def _exchanges(node: yaml.Node | None) -> Iterator[tuple[str, str]]:
    if node is None:
        return
    if not isinstance(node, yaml.SequenceNode):
        raise _Refused(f"{_at(node)}`history` must be a list: each exchange begins with `- question:`")
    if len(node.value) > MAX_HISTORY:
        raise _Refused(f"{_at(node)}`history` has more than {MAX_HISTORY} exchanges; leave out the oldest")
    for exchange in node.value:
        said = dict(_pairs(exchange, "history", ("question", "answer")))
        if "question" not in said:
            raise _Refused(f"{_at(exchange)}each exchange of `history` needs a `question`")
        yield said["question"], said.get("answer", "")


def _texts(node: yaml.Node | None, name: str, most: int = MAX_CHARACTERS) -> Iterator[str]:
    """The texts of a scalar or of a list of scalars, none of them blank; nothing for no node."""
    if node is None:
        return
    for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(item, yaml.ScalarNode) or not item.value.strip():
            raise _Refused(f"{_at(item)}`{name}` must be a text, or a list of texts")
        if len(item.value) > most:
            raise _Refused(f"{_at(item)}`{name}` is longer than {most} characters")
        yield item.value.strip()


def _place(text: str) -> Place:
    path, _, anchor = text.partition("#")
    return Place(path.removeprefix("./").lstrip("/"), anchor or None)


def _at(node: yaml.Node) -> str:
    return f"line {_line(node.start_mark)}: "


def _line(mark: Any) -> int:
    return int(mark.line) + 1


def _said(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{where}{error.problem}"
    return str(error).partition("\n")[0] or type(error).__name__
