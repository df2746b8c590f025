"""What the rows of an evaluation come to: a number for each measure, and how two runs of the same questions differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cli.question_sets import Asked, QuestionSet
from shared.measures import (
    Comparison,
    auroc,
    compare,
    hit_at,
    holds_answer,
    mean,
    ndcg_at,
    percentile,
    plain_text,
    recall_at,
    reciprocal_rank,
    refusals,
    sentences_of,
)

#: Where nDCG and MRR are cut off by custom, and the places that a visitor looks at.
CUT: Final = 10
TOP: Final = 3
#: Sentences in which an answer should stand.
SENTENCES: Final = 3

Row = Mapping[str, Any]
#: What a row holds where nothing was found and no answer asked for.
UNANSWERED: Final[Row] = {
    "error": None, "retrieved": [], "refused": None, "confidence": None, "links_not_shown": [], "links_to_nowhere": [],
    "seconds": None, "first_word_seconds": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """One question with what came of it, and its value of each measure that has one a question."""

    asked: Asked
    row: Row
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure over all questions."""

    name: str
    #: None where no question says anything about it.
    value: float | None
    #: Questions that it is about.
    count: int
    #: Higher is better; else lower is.
    is_higher_better: bool = True


@dataclass(frozen=True, slots=True)
class Summary:
    """What one run has come to."""

    measures: tuple[Measured, ...]
    asked: int
    failed: int

    def of(self, name: str) -> Measured | None:
        return next((measured for measured in self.measures if measured.name == name), None)

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "questions": self.asked,
            "failed": self.failed,
            "measures": {m.name: {"value": m.value, "questions": m.count} for m in self.measures},
        }


def scored(questions: QuestionSet, asked: Asked, row: Row, k: int) -> Scored:
    """Measure one row. A question that failed has no values."""
    values: dict[str, float | None] = {}
    if row["error"] is None:
        if asked.grades:
            values |= _of_ranking(questions.ranking(asked, row["retrieved"]), asked.grades, k)
        if row["refused"] is not None:
            values |= _of_answer(asked, row)
    return Scored(asked, row, values)


def _of_ranking(ranking: Sequence[str], grades: Mapping[str, float], k: int) -> dict[str, float | None]:
    top, cut = min(TOP, k), min(CUT, k)
    return {
        f"recall@{top}": recall_at(ranking, grades, top),
        f"recall@{k}": recall_at(ranking, grades, k),
        f"hit@{k}": hit_at(ranking, grades, k),
        f"ndcg@{cut}": ndcg_at(ranking, grades, cut),
        f"mrr@{top}": reciprocal_rank(ranking, grades, top),
        f"mrr@{cut}": reciprocal_rank(ranking, grades, cut),
    }


def _of_answer(asked: Asked, row: Row) -> dict[str, float | None]:
    text, links = row["answer"], row["links"]
    values: dict[str, float | None] = {
        "refused_rightly" if asked.refuse else "answered": float(row["refused"] == asked.refuse)
    }
    if asked.answers:
        first = " ".join(sentences_of(text)[:SENTENCES])
        values["answer"] = float(not row["refused"] and holds_answer(plain_text(text), asked.answers))
        values[f"answer@{SENTENCES}"] = float(not row["refused"] and holds_answer(first, asked.answers))
    if not row["refused"]:
        values["cited"] = float(links > 0)
        values["grounded"] = row["grounded"]
    if links:
        values["links_alive"] = 1 - len(row["links_to_nowhere"]) / links
        if not row["refused"]:  # a refusal names what came near, and cites nothing
            values["citations_valid"] = 1 - len(row["links_not_shown"]) / links
    return values


def summarize(rows: Sequence[Scored]) -> Summary:
    """Means over the questions, and what can be said of all of them only."""
    good = [scored for scored in rows if scored.row["error"] is None]
    names = dict.fromkeys(
        name for scored in good for name in scored.values if name not in ("refused_rightly", "answered")
    )
    means = [_mean(name, good) for name in names]
    answers = [scored for scored in good if scored.row["refused"] is not None]
    return Summary(
        measures=(*means, *_of_refusals(answers), *_of_time(good)), asked=len(rows), failed=len(rows) - len(good)
    )


def measurable(questions: QuestionSet, k: int, *, answers: bool) -> list[str]:
    """The measures of which higher is better that these questions can have: what they have if all goes well."""
    rows = [scored(questions, asked, _flawless(asked) if answers else UNANSWERED, k) for asked in questions.questions]
    return [measured.name for measured in summarize(rows).measures if measured.is_higher_better]


def _flawless(asked: Asked) -> Row:
    return {**UNANSWERED, "refused": asked.refuse, "answer": "", "links": 1, "grounded": 1.0, "confidence": 1.0}


def _mean(name: str, rows: Sequence[Scored]) -> Measured:
    values = [value for scored in rows if (value := scored.values.get(name)) is not None]
    return Measured(name, mean(values), len(values))


def _of_refusals(answers: Sequence[Scored]) -> list[Measured]:
    counted = refusals((scored.asked.refuse, scored.row["refused"]) for scored in answers)
    unanswerable = [scored for scored in answers if scored.asked.refuse]
    found = [
        Measured("answered", counted.answered, len(answers) - len(unanswerable)),
        Measured("refusal_precision", counted.precision, sum(scored.row["refused"] for scored in answers)),
        Measured("refusal_recall", counted.recall, len(unanswerable)),
        Measured("confidence_auroc", confidence_auroc(answers), len(answers)),
    ]
    return [measured for measured in found if measured.value is not None]


def confidence_auroc(answers: Sequence[Scored]) -> float | None:
    """How well the confidence tells questions that the docs answer from those that they do not."""
    by_kind: dict[bool, list[float]] = {True: [], False: []}
    for scored in answers:
        if scored.row["confidence"] is not None:
            by_kind[scored.asked.refuse].append(scored.row["confidence"])
    return auroc(by_kind[False], by_kind[True])


def _of_time(rows: Sequence[Scored]) -> list[Measured]:
    measures = []
    for name in ("seconds", "first_word_seconds"):
        seconds = [scored.row[name] for scored in rows if scored.row[name] is not None]
        for percent in (50, 95):
            value = percentile(seconds, percent)
            measures.append(Measured(f"{name}_p{percent}", value, len(seconds), is_higher_better=False))
    return [measured for measured in measures if measured.value is not None]


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of two runs over the same questions."""

    name: str
    now: float | None
    before: float | None
    #: None for measures that have no value a question.
    by_question: Comparison | None

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        difference = None if self.now is None or self.before is None else self.now - self.before
        paired = asdict(self.by_question) if self.by_question else None
        return {"value": self.now, "against": self.before, "difference": difference, "by_question": paired}


def differences(rows: Sequence[Scored], against: Sequence[Scored]) -> list[Difference]:
    """Measure by measure. Both runs are of the same questions, in the same order."""
    now, before = summarize(rows), summarize(against)
    names = dict.fromkeys(measured.name for measured in (*now.measures, *before.measures))
    found = []
    for name in names:
        values = [summary.of(name) for summary in (now, before)]
        now_value, before_value = (measured.value if measured else None for measured in values)
        found.append(Difference(name, now_value, before_value, compare(_pairs(name, rows, against))))
    return found


#: Measures over all questions, by the value a question that stands behind them.
BEHIND: Final[Mapping[str, str]] = {"refusal_recall": "refused_rightly"}


def _pairs(name: str, rows: Sequence[Scored], against: Sequence[Scored]) -> list[tuple[float | None, float | None]]:
    value: Callable[[Scored], float | None] = lambda scored: scored.values.get(BEHIND.get(name, name))  # noqa: E731
    return [(value(now), value(before)) for now, before in zip(rows, against, strict=True)]
