"""How good answers are, from outside: `python -m benchmarks.quality DATA_FOLDER [--set NAME] [--results FOLDER]`.

Each subfolder with corpus.jsonl, queries.jsonl and qrels.tsv becomes a site of Markdown pages. A real `lectern up` with
the local models indexes it, and its questions go through `POST /evaluate`, which asks as visitors do: those with an
answer, those that the set says have none (unanswerable.jsonl), and the other sets' questions as off-topic ones. A
dialogs.jsonl gives questions what was said before them. Links of the answers are opened on the reader's pages.

Every question is in one of two halves, by its id: choices are made on `tune`, and judged on `held out`. The tables go
into benchmarks/quality.md; what stands there outside the marks is left as it is. Each set's figures are kept in the
folder of results, so that `--set NAME` measures one set anew and the tables still have all.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

import httpx

from api.evaluation import links_of
from benchmarks.quality_report import HALVES, K, Value, report, write_report
from cli.address import Target
from cli.beir import CORPUS, QUERIES, read_beir
from cli.client import Api
from cli.evaluate import Run, Variant, asking, make_pages
from cli.question_sets import Asked, QuestionSet
from cli.scores import Scored, confidence_auroc, summarize
from shared.measures import percentile
from tests.system import TERMINAL, System, until

#: Questions of each kind and half that are asked: a standard error under 0.02, and a run of minutes.
MOST: Final = 300
MOST_OFF_TOPIC: Final = 100
#: A machine that does something else takes a few minutes for a thousand passages.
INGEST_SECONDS: Final = 1800
#: Exchanges of a dialogue that a widget sends along.
EXCHANGES: Final = 3
#: Of the questions that the docs answer, the part that may be refused where refusals are compared.
FALSE_REFUSALS: Final = 0.05
#: What an answer's page may be opened for, in a half.
MOST_LINKS: Final = 300


@dataclass(frozen=True, slots=True)
class Kinds:
    """The questions of one half of a set."""

    answerable: tuple[Asked, ...]
    #: On the subject, and without an answer.
    unanswerable: tuple[Asked, ...]
    off_topic: tuple[Asked, ...]


# Questions


def half_of(id_: str) -> str:
    """By a hash of the id: it never changes, and knows nothing of the question."""
    return HALVES[hashlib.sha256(id_.encode()).digest()[0] % 2]


def sample(questions: Iterable[Asked], half: str, most: int) -> tuple[Asked, ...]:
    """The same questions each time, in an order that has nothing to do with where they stand in their file."""
    ours = [asked for asked in questions if half_of(asked.id) == half]
    return tuple(sorted(ours, key=lambda asked: hashlib.sha256(asked.id.encode()).hexdigest())[:most])


def read_sets(data: Path) -> dict[str, QuestionSet]:
    """Every set of a folder, with its dialogues."""
    folders = [
        folder for folder in sorted(data.iterdir()) if (folder / QUERIES).exists() and (folder / CORPUS).exists()
    ]
    return {folder.name: with_dialogues(read_beir(folder), folder / "dialogs.jsonl") for folder in folders}


def with_dialogues(questions: QuestionSet, file: Path) -> QuestionSet:
    """The questions with what was said before each of them."""
    if not file.exists():
        return questions
    dialogues = map(json.loads, filter(None, file.read_text(encoding="utf-8").splitlines()))
    said = {dialogue["task_id"]: exchanges([turn["text"] for turn in dialogue["input"]]) for dialogue in dialogues}
    asked = (replace(one, history=said.get(one.id, ())) for one in questions.questions)
    return replace(questions, questions=tuple(asked))


def exchanges(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The last exchanges before the last of the visitor's questions: they ask first, third and so on."""
    before = texts[: -1 if len(texts) % 2 else -2]
    return tuple(zip(before[::2], before[1::2], strict=True))[-EXCHANGES:]


def kinds_of(name: str, sets: Mapping[str, QuestionSet], half: str) -> Kinds:
    """The questions of a set's half, and those of the other sets' same half."""
    ours = sets[name].questions
    others = chain.from_iterable(sets[other].questions for other in sets if other != name)
    strangers = [replace(asked, grades={}, answers=(), refuse=True, history=()) for asked in others if not asked.refuse]
    return Kinds(
        sample((asked for asked in ours if asked.grades), half, MOST),
        sample((asked for asked in ours if asked.refuse), half, MOST),
        sample(strangers, half, MOST_OFF_TOPIC),
    )


# Measuring


async def measure(name: str, sets: Mapping[str, QuestionSet], data: Path) -> dict[str, Any]:
    """Index a set on a system of its own, and ask both halves. Returns the figures by half, ready for JSON."""
    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch) / "docs"
        make_pages(data / name, docs)
        began = time.monotonic()
        with System(Path(scratch) / "home", docs, RATE_LIMIT_KEY_REQUESTS="1000000") as system:
            job_id = system.post_ingest()
            until(lambda: system.job(job_id)["status"] in TERMINAL, INGEST_SECONDS, every=1)
            job = system.job(job_id)
            if job["status"] != "completed" or system.state is None:
                raise SystemExit(f"{name} was not ingested: {job['errors']}")
            say(f"{name}: {job['chunks_created']:,} passages after {time.monotonic() - began:.0f} s")
            target = Target(system.state["api_url"], system.admin["X-API-Key"], docs, "the benchmark's own")
            async with Api(target) as api:
                halves = {half: await measure_half(api, sets[name], kinds_of(name, sets, half)) for half in HALVES}
    return {"halves": halves, "passages": job["chunks_created"], "seconds": round(time.monotonic() - began)}


async def measure_half(api: Api, questions: QuestionSet, kinds: Kinds) -> dict[str, Any]:
    """Figures of one half by their names: (value, standard error, questions)."""
    answerable = await ask(api, questions, kinds.answerable)
    unanswerable = await ask(api, questions, kinds.unanswerable)
    off_topic = await ask(api, questions, kinds.off_topic)
    found = {measured.name: means(measured.name, answerable) for measured in summarize(answerable).measures}
    if any(asked.history for asked in kinds.answerable):
        alone = [replace(asked, history=()) for asked in kinds.answerable]
        last = await ask(api, questions, alone, answers=False)
        found |= {f"{name}, last turn alone": means(name, last) for name in ("ndcg@10", "recall@3")}
    if any(asked.answers for asked in kinds.answerable):
        answered = [scored for scored in answerable if not scored.row["refused"]]
        found["answer@3 of those answered"] = means("answer@3", answered)
    for kind, rows in (("unanswerable", unanswerable), ("off-topic", off_topic)):
        if rows:
            found |= refusal_figures(kind, answerable, rows)
    found["links_resolve"] = await resolving(api.target.url, [*answerable, *unanswerable, *off_topic])
    failures = [one.row["error"] for one in (*answerable, *unanswerable, *off_topic) if one.row["error"]]
    if failures:
        say(f"{len(failures)} questions failed, such as with {failures[0]}")
    figures = {name: [value.value, value.error, value.count] for name, value in found.items() if value}
    return {"figures": figures, "failed": len(failures)}


async def ask(api: Api, questions: QuestionSet, asked: Sequence[Asked], *, answers: bool = True) -> list[Scored]:
    """Ask the questions of one kind."""
    run = Run(Variant(1), [])
    some = replace(questions, questions=tuple(asked))
    async for done in asking(api, some, [run], K, answers=answers):
        if done == len(asked):
            say(f"{questions.name}: {done} questions")
    return run.scored


def means(name: str, rows: Sequence[Scored]) -> Value | None:
    """A measure over the questions that have a value of it."""
    if name.startswith(("seconds", "first_word")):
        measured = summarize(rows).of(name)
        return Value(measured.value, None, measured.count) if measured and measured.value is not None else None
    values = [value for scored in rows if (value := scored.values.get(name)) is not None]
    if not values:
        return None
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Value(statistics.fmean(values), error, len(values))


def refusal_figures(kind: str, answerable: Sequence[Scored], others: Sequence[Scored]) -> dict[str, Value | None]:
    """How well questions of a kind are told from those with an answer."""
    figures = {f"{kind} refused": means("refused_rightly", others)}
    area = confidence_auroc([*answerable, *others])
    if area is not None:
        figures[f"{kind} AUROC"] = Value(area, None, len(others))
        figures[f"{kind} refused at {FALSE_REFUSALS:.0%} false refusals"] = refused_at(answerable, others)
    return figures


def refused_at(answerable: Sequence[Scored], others: Sequence[Scored]) -> Value | None:
    """The part of the others whose confidence is under that of all but a few of the answerable."""
    confidences = [
        [s.row["confidence"] for s in rows if s.row["confidence"] is not None] for rows in (answerable, others)
    ]
    bar = percentile(confidences[0], 100 * FALSE_REFUSALS)
    if bar is None or not confidences[1]:
        return None
    return Value(
        sum(confidence < bar for confidence in confidences[1]) / len(confidences[1]), None, len(confidences[1])
    )


async def resolving(url: str, rows: Sequence[Scored]) -> Value | None:
    """The part of the answers' links, refusals' among them, whose page and heading a reader finds."""
    links = sorted({link for scored in rows for link in links_of(scored.row["answer"] or "")})[:MOST_LINKS]
    pages: dict[str, str | None] = {}
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for page in {link.partition("#")[0] for link in links}:
            response = await client.get(page)
            pages[page] = response.text if response.is_success else None
    found = [is_there(link, pages) for link in links]
    return Value(sum(found) / len(found), None, len(found)) if found else None


def is_there(link: str, pages: Mapping[str, str | None]) -> bool:
    """Whether a page has come, with an element of the link's id; a text fragment names words, not an id."""
    page, _, fragment = link.partition("#")
    anchor = fragment.partition(":~:")[0]
    text = pages.get(page)
    return text is not None and (not anchor or f'id="{anchor}"' in text)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of question sets in BEIR's layout")
    parser.add_argument("--set", action="append", dest="names", help="measure this set only; may be repeated")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "lectern-quality")
    parser.add_argument("--no-report", action="store_true", help="print the tables, and leave quality.md as it is")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder; nothing to measure")
    sets = read_sets(arguments.data)
    wanted = arguments.names or list(sets)
    if unknown := set(wanted) - set(sets):
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(sets) or 'the sets, for there are none'}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        result = {**asyncio.run(measure(name, sets, arguments.data)), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        (arguments.results / f"{name}.json").write_text(json.dumps(result))
    kept = {name: arguments.results / f"{name}.json" for name in sets}
    text = report({name: json.loads(file.read_text()) for name, file in kept.items() if file.exists()})
    say(text)
    if not arguments.no_report:
        write_report(text)


if __name__ == "__main__":
    main()
