"""`lectern eval`: asks questions whose answers are known, and says how good the answers are."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli.beir import CORPUS, MOST_DOCUMENTS, read_beir, rows
from cli.client import Api
from cli.corpus_pages import Document, write_pages
from cli.errors import BELOW, FAILED, OK, BadInput, CommandError
from cli.evaluation_report import show
from cli.output import amount, complain, say, say_json
from cli.progress import LINE_SECONDS
from cli.question_sets import Asked, QuestionSet, read_golden_set
from cli.scores import Row, Scored, Summary, differences, measurable, scored, summarize

#: Questions in the first request, and in the largest; between them, as many as take about so many seconds.
FIRST_BATCH: Final = 2
LARGEST_BATCH: Final = 50
BATCH_SECONDS: Final = 5.0
#: Characters of the questions of one request: under what the API takes by default, whatever the language.
BATCH_CHARACTERS: Final = 50_000
#: Longer than the API lets the questions of a first batch take.
PATIENCE_SECONDS: Final = 300
#: How often a request is sent again that the API has put off.
TRIES: Final = 10
#: Questions after which it is clear that nothing of a folder is indexed.
ENOUGH: Final = 20


@dataclass(frozen=True, slots=True)
class Variant:
    """How the questions are asked: of which release, with which settings in place of the API's own."""

    release: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join([f"release {self.release}", *(f"{name}={value}" for name, value in self.settings.items())])


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    file: Path
    k: int = 10
    answers: bool = True
    release: int | None = None
    #: To compare with; None where nothing is compared.
    against: int | None = None
    settings: Sequence[str] = ()
    against_settings: Sequence[str] = ()
    fail_under: str = ""
    out: Path | None = None
    as_json: bool = False

    @property
    def compares(self) -> bool:
        return self.against is not None or bool(self.against_settings)


@dataclass(frozen=True, slots=True)
class Run:
    """One variant, and what came of each question."""

    variant: Variant
    scored: list[Scored]


async def evaluate(api: Api, options: Options) -> int:
    """Ask, measure, print. Returns the exit code: BELOW if a measure is under its bar, FAILED if a question failed."""
    questions = read_questions(options.file)
    bars = parse_bars(options.fail_under)
    require_measurable(bars, measurable(questions, options.k, answers=options.answers))
    runs = [Run(variant, []) for variant in await variants(api, options)]
    shown_at = time.monotonic()
    async for done in asking(api, questions, runs, options.k, answers=options.answers):
        if not options.as_json and time.monotonic() - shown_at >= LINE_SECONDS:
            complain(f"{done:,} of {amount(len(questions.questions), 'question')}")
            shown_at = time.monotonic()
    summary = summarize(runs[0].scored)
    missed = missed_bars(bars, summary)
    record = record_of(questions, options, runs, missed)
    if options.out:
        _write(options.out, {**record, "rows": {str(run.variant): rows_of(run.scored) for run in runs}})
    if options.as_json:
        say_json(record)
    else:
        show(questions, [(str(run.variant), run.scored) for run in runs])
    return _verdict(summary, runs[0].scored, missed)


def read_questions(file: Path) -> QuestionSet:
    """From a golden file or a folder in BEIR's layout. Blocking. Raises BadInput."""
    if file.is_dir():
        return read_beir(file)
    if not file.exists():
        raise BadInput(
            f"there is no {file}; name a golden.yaml, or a folder with {CORPUS}, queries.jsonl and qrels.tsv"
        )
    return read_golden_set(file)


def make_pages(source: Path, folder: Path) -> int:
    """Write a folder's corpus as Markdown pages, ready to be ingested. Returns the exit code."""
    documents = (
        Document(row.text("_id"), row.text("title", default=""), row.text("text", default=""))
        for row in rows(source / CORPUS, MOST_DOCUMENTS)
    )
    count = write_pages(documents, folder)
    say(f"{amount(count, 'page')} written to {folder}; ingest them, such as with `lectern up --docs {folder}`")
    return OK


async def variants(api: Api, options: Options) -> list[Variant]:
    """What is measured, then what it is compared with. Raises BadInput where nothing is indexed."""
    live = (await api.get("/releases", admin=True))["live"]
    release = options.release or live
    if release is None:
        raise BadInput("nothing is indexed, so there is nothing to measure; run `lectern ingest` first")
    found = [Variant(release, parse_settings(options.settings))]
    if options.compares:
        found.append(Variant(options.against or release, parse_settings(options.against_settings)))
        if found[0] == found[1]:
            raise BadInput(
                "both sides are the same; name another release with --against, or settings with --against-set"
            )
    return found


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Of `min_score=0.3`. The API says which there are."""
    settings: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise BadInput(f"{word!r} is not a setting; write it as min_score=0.3")
        try:
            settings[name.strip().lower()] = json.loads(value)
        except ValueError:
            settings[name.strip().lower()] = value.strip()
    return settings


async def asking(api: Api, questions: QuestionSet, runs: Sequence[Run], k: int, *, answers: bool) -> AsyncIterator[int]:
    """Ask all questions of all runs, a few at a time, and note what came of them. Yields how many are done."""
    done, size, turn = 0, FIRST_BATCH, 1
    loop = asyncio.get_running_loop()
    while done < len(questions.questions):
        batch = next_batch(questions.questions[done:], size)
        began = loop.time()
        # Who is first pays for what both need; they take turns.
        for run in runs[::turn]:
            body = {"questions": [asked.body for asked in batch], "k": k, "answers": answers}
            body |= {"release": run.variant.release, "settings": dict(run.variant.settings)}
            body |= {"pages": list(questions.pages[:1000])} if done == 0 else {}
            reply = await _patiently(api, body)
            run.scored.extend(scored(questions, asked, row, k) for asked, row in zip(batch, reply["rows"], strict=True))
            _name_unknown(questions, reply["unknown_pages"], run.variant)
        done, turn = done + len(batch), -turn
        require_match(questions, runs[0].scored, runs[0].variant, is_last=done == len(questions.questions))
        seconds = max(loop.time() - began, 0.001) / len(runs)
        size = min(LARGEST_BATCH, max(1, min(size * 4, round(len(batch) * BATCH_SECONDS / seconds))))
        yield done


def next_batch(questions: Sequence[Asked], size: int) -> list[Asked]:
    """The first questions, at least one, that one request has room for."""
    batch: list[Asked] = []
    characters = 0
    for asked in questions[:size]:
        characters += len(json.dumps(asked.body, ensure_ascii=False))
        if batch and characters > BATCH_CHARACTERS:
            break
        batch.append(asked)
    return batch


async def _patiently(api: Api, body: Mapping[str, Any]) -> Any:
    """Send a request again for as long as the API says when to."""
    for left in reversed(range(TRIES)):
        try:
            return await api.post("/evaluate", body, admin=True, seconds=PATIENCE_SECONDS)
        except CommandError as error:
            if error.retry_after is None or not left:
                raise
            await asyncio.sleep(error.retry_after)
    raise AssertionError


def _name_unknown(questions: QuestionSet, unknown: Sequence[str], variant: Variant) -> None:
    if unknown and len(unknown) == len(questions.pages):
        raise BadInput(
            f"none of the pages that {questions.name} expects is in release {variant.release}, such as {unknown[0]}; "
            "paths begin below the content root"
        )
    for path in unknown:
        complain(f"{questions.name}: there is no page {path} in release {variant.release}")


def require_match(questions: QuestionSet, rows: Sequence[Scored], variant: Variant, *, is_last: bool) -> None:
    """Raise BadInput if enough was found and none of it is a document of the set."""
    if not questions.documents or not (is_last or len(rows) >= ENOUGH):
        return
    good = [scored for scored in rows if scored.row["error"] is None]
    if good and not any(questions.documents_of(passage) for scored in good for passage in scored.row["retrieved"]):
        raise BadInput(
            f"{questions.name}: none of its documents ({questions.document_count:,}) was found in release "
            f"{variant.release}: a document's id must be a page's path, address or title. To make pages of the "
            "documents, run `lectern eval FOLDER --write-pages PAGES`, and ingest PAGES"
        )


# --fail-under


def parse_bars(text: str) -> dict[str, float]:
    """Of `ndcg@10=.8,refusal_recall=.9`."""
    bars: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, value = word.partition("=")
        try:
            bars[name.strip().lower()] = float(value)
        except ValueError:
            raise BadInput(f"--fail-under: {word!r} is no bar; write it as ndcg@10=0.8") from None
    return bars


def require_measurable(bars: Mapping[str, float], names: Sequence[str]) -> None:
    """Raise BadInput for a bar that no answer to these questions could be held against."""
    unknown = [name for name in bars if name not in names]
    if unknown:
        raise BadInput(f"--fail-under: {unknown[0]} is not measured here; there are {', '.join(names) or 'none'}")


def missed_bars(bars: Mapping[str, float], summary: Summary) -> list[str]:
    """A sentence for each measure under its bar. Raises BadInput for what no question has come to in the end."""
    missed = []
    for name, bar in bars.items():
        measured = summary.of(name)
        if measured is None or measured.value is None:
            raise BadInput(f"--fail-under: no answer had anything to say about {name}")
        if not measured.value >= bar:
            missed.append(f"{name} is {measured.value:.3f}, and should be {bar:g} at least")
    return missed


def _verdict(summary: Summary, rows: Sequence[Scored], missed: Sequence[str]) -> int:
    for sentence in missed:
        complain(sentence)
    if summary.failed:
        first = next(scored.row["error"]["message"] for scored in rows if scored.row["error"])
        complain(f"{amount(summary.failed, 'question')} failed and count for nothing: {first}")
        return FAILED
    return BELOW if missed else OK


# Results


def record_of(questions: QuestionSet, options: Options, runs: Sequence[Run], missed: Sequence[str]) -> dict[str, Any]:
    """All but the rows, ready for JSON."""
    first = runs[0]
    record: dict[str, Any] = {
        "file": questions.name, "k": options.k, "release": first.variant.release,
        "settings": dict(first.variant.settings), **summarize(first.scored).record(), "below": list(missed),
    }  # fmt: skip
    if len(runs) > 1:
        other = runs[1]
        record["against"] = {"release": other.variant.release, "settings": dict(other.variant.settings)}
        record["differences"] = {d.name: d.record() for d in differences(first.scored, other.scored)}
    return record


def rows_of(scored: Sequence[Scored]) -> list[Row]:
    """What came of each question, with its values."""
    return [{"id": one.asked.id, "refuse": one.asked.refuse, **one.row, "values": dict(one.values)} for one in scored]


def _write(file: Path, record: Mapping[str, Any]) -> None:
    try:
        file.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({error.strerror})") from error
