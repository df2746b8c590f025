"""Reads a folder of questions in BEIR's layout: corpus.jsonl, queries.jsonl, qrels.tsv and unanswerable.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from cli.corpus_pages import page_place
from cli.errors import BadInput
from cli.question_sets import Asked, QuestionSet
from shared.golden import MAX_CHARACTERS, MAX_HISTORY

CORPUS: Final = "corpus.jsonl"
QUERIES: Final = "queries.jsonl"
UNANSWERABLE: Final = "unanswerable.jsonl"
#: Where BEIR's own sets and ours keep the judgements; the first that is there is read.
QRELS: Final = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
#: A day's work for a model; more would be a mistake.
MOST_QUESTIONS: Final = 20_000
MOST_DOCUMENTS: Final = 1_000_000
#: Of a line: the largest page that is read by default has as much.
MOST_LINE_BYTES: Final = 10 * 2**20
#: Of an answer that is a name, a number or a phrase.
MOST_WORDS_CHARACTERS: Final = 80
#: Of a question, as POST /chat takes it.
MOST_CHARACTERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a JSON lines file, and where it stands."""

    where: str
    fields: Mapping[str, Any]

    def text(self, name: str, *, default: str | None = None) -> str:
        """Raises BadInput where it is missing or is no text."""
        value = self.fields.get(name, default)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise BadInput(f'{self.where}: "{name}" must be a text')
        return value


def read_beir(folder: Path) -> QuestionSet:
    """The questions with a judgement or an answer, and those that the docs do not answer. Blocking. Raises BadInput."""
    ids = [row.text("_id") for row in rows(folder / CORPUS, MOST_DOCUMENTS)]
    grades = read_qrels(folder, frozenset(ids))
    queries = list(rows(folder / QUERIES, MOST_QUESTIONS))
    has_words = are_words([row.fields["answers"] for row in queries if row.fields.get("answers")])
    asked = [_asked(row, grades.get(row.text("_id"), {}), has_words=has_words) for row in queries]
    questions = [one for one in asked if one.grades or one.answers]
    if (folder / UNANSWERABLE).exists():
        questions += [_asked(row, {}, refuse=True) for row in rows(folder / UNANSWERABLE, MOST_QUESTIONS)]
    if not questions:
        raise BadInput(f"{folder}: no question of {QUERIES} has a judgement in {QRELS[0]}; their ids must be the same")
    return QuestionSet(folder.name, tuple(questions), _names(ids), len(ids))


def _names(ids: list[str]) -> dict[str, str]:
    """Each document by its id, and by the place that `--write-pages` gives it."""
    names = {}
    for id_ in ids:
        names[str(page_place(id_))] = id_
    return {**names, **{id_: id_ for id_ in ids}}


def are_words(answers: Sequence[Any]) -> bool:
    """Whether a set's answers are a few words each, and not somebody's wording, which no other answer repeats."""
    longest = [max(map(len, map(str, given))) for given in answers if isinstance(given, list) and given]
    return bool(longest) and median(longest) <= MOST_WORDS_CHARACTERS


def _asked(row: Row, grades: Mapping[str, float], *, refuse: bool = False, has_words: bool = False) -> Asked:
    text = row.text("text")
    if len(text) > MOST_CHARACTERS:
        raise BadInput(f"{row.where}: the question is longer than {MOST_CHARACTERS:,} characters")
    answers = row.fields.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise BadInput(f'{row.where}: "answers" must be a list of texts')
    words = tuple(dict.fromkeys(filter(str.strip, answers))) if has_words else ()
    return Asked(row.text("_id"), text, grades, words, refuse, history=tuple(_history(row)))


def _history(row: Row) -> Iterator[tuple[str, str]]:
    turns = row.fields.get("history") or []
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise BadInput(f'{row.where}: "history" must be a list of objects with "question" and "answer"')
    for turn in turns[-MAX_HISTORY:]:
        exchange = Row(row.where, turn)
        yield exchange.text("question")[:MAX_CHARACTERS], exchange.text("answer", default="")[:MAX_CHARACTERS]


def read_qrels(folder: Path, known: frozenset[str]) -> dict[str, dict[str, float]]:
    """Grades by question and document. Raises BadInput."""
    file = next((folder / name for name in QRELS if (folder / name).is_file()), None)
    if file is None:
        raise BadInput(f"{folder}: there is no {QRELS[0]}, which says what answers which question")
    grades: dict[str, dict[str, float]] = {}
    for where, line in _lines(file, MOST_DOCUMENTS):
        cells = line.split("\t")
        if where.endswith("line 1") and not _is_number(cells[-1]):
            continue  # the names of the columns
        if len(cells) == 4:  # TREC's layout has a column that nobody uses
            del cells[1]
        if len(cells) != 3 or not _is_number(cells[2]):
            raise BadInput(f"{where}: not `question, document, grade`, with tabs between them and a number at the end")
        question, document, grade = cells
        if document not in known:
            raise BadInput(f"{where}: {CORPUS} has no document {document!r}")
        grades.setdefault(question, {})[document] = float(grade)
    return grades


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def rows(file: Path, most: int) -> Iterator[Row]:
    """The objects of a JSON lines file, whose ids differ. Blocking. Raises BadInput with the line of what is wrong."""
    seen: set[str] = set()
    for where, line in _lines(file, most):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise BadInput(f'{where}: not an object with "_id" and "text"')
        row = Row(where, fields)
        if (id_ := row.text("_id")) in seen:
            raise BadInput(f"{where}: there are two of {id_!r}; ids must differ")
        seen.add(id_)
        yield row


def _lines(file: Path, most: int) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, each with its place."""
    if not file.is_file():
        raise BadInput(
            f"{file.parent}: there is no {file.name}; a folder of questions has {CORPUS}, {QUERIES} and qrels"
        )
    count = 0
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(MOST_LINE_BYTES + 1), b""), 1):
                where = f"{file}, line {number}"
                if len(line) > MOST_LINE_BYTES:
                    raise BadInput(f"{where}: longer than {MOST_LINE_BYTES // 2**20} MiB")
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
                count += bool(text.strip())
                if count > most:
                    raise BadInput(f"{where}: more than {most:,} lines; leave some out")
                if text.strip():
                    yield where, text
    except UnicodeDecodeError:
        raise BadInput(f"{where}: not UTF-8; save the file with that encoding") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from error
