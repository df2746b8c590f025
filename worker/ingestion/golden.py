"""Reads golden.yaml: questions that the docs must go on answering, each with where the answer stands.

    - question: How do I reef the mainsail?
      expect: guide/rigging.md#reefing        # or a list; a page, or a heading of it
      must_contain: halyard                   # optional; or a list

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
#: Collections within each other: a list of questions, each with lists.
MAX_DEPTH: Final = 4
FIELDS: Final = frozenset({"question", "expect", "must_contain"})

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
    fields: dict[str, tuple[str, ...]] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in FIELDS:
            raise _Refused(f"{_at(key)}{name!r} is not a field; there are question, expect and must_contain")
        fields[name] = tuple(_texts(value, name))
    if len(fields.get("question", ())) != 1:
        raise _Refused(f"{_at(node)}`question` must be one text")
    if not fields.get("expect") and not fields.get("must_contain"):
        raise _Refused(f"{_at(node)}`expect` is missing; name the page with the answer, such as guide/install.md#linux")
    expected = tuple(map(_place, fields.get("expect", ())))
    return GoldenQuestion(fields["question"][0], expected, fields.get("must_contain", ()), _line(node.start_mark))


def _texts(node: yaml.Node, name: str) -> Iterator[str]:
    """The texts of a scalar or of a list of scalars, none of them blank."""
    for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if not isinstance(item, yaml.ScalarNode) or not item.value.strip():
            raise _Refused(f"{_at(item)}`{name}` must be a text, or a list of texts")
        if len(item.value) > MAX_CHARACTERS:
            raise _Refused(f"{_at(item)}`{name}` is longer than {MAX_CHARACTERS} characters")
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
