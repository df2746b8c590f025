"""An evaluation on a terminal: a table of measures, and the questions that went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from cli.output import amount, say
from cli.question_sets import QuestionSet
from cli.releases import show_table
from cli.scores import Difference, Measured, Scored, differences, summarize

#: Questions of each list that are shown; `--out` has all of them.
SHOWN: Final = 10
#: Characters of a question that are shown.
CHARACTERS: Final = 100

NamedRun = tuple[str, Sequence[Scored]]


def show(questions: QuestionSet, runs: Sequence[NamedRun]) -> None:
    """One run with what went wrong, or two side by side."""
    name, rows = runs[0]
    say(f"{questions.name}: {amount(len(rows), 'question')}, {' against '.join(name for name, _ in runs)}")
    say()
    if len(runs) == 1:
        show_table([("measure", "value", "questions"), *map(_cells, summarize(rows).measures)])
    else:
        compared = differences(rows, runs[1][1])
        head = ("measure", name, runs[1][0], "difference", "better", "worse", "by chance")
        show_table([head, *map(_compared_cells, compared)])
        say()
        say("better, worse: questions. by chance: how often luck alone would part them so unevenly.")
    for title, wrong in mistakes(rows):
        show_questions(f"{title}, {name}" if len(runs) > 1 else title, wrong)


def _cells(measured: Measured) -> tuple[str, str, str]:
    return measured.name, _number(measured.value), f"{measured.count:,}"


def _compared_cells(difference: Difference) -> tuple[str, ...]:
    now, before, paired = difference.now, difference.before, difference.by_question
    change = "" if now is None or before is None else f"{now - before:+.3f}"
    counts = (str(paired.better), str(paired.worse), f"{paired.chance:.3f}") if paired else ("", "", "")
    return (difference.name, _number(now), _number(before), change, *counts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def mistakes(rows: Sequence[Scored]) -> Iterator[tuple[str, list[Scored]]]:
    """What people will want to look at, kind by kind."""
    yield "failed", [scored for scored in rows if scored.row["error"]]
    yield "not found", [scored for scored in rows if _is(scored, "hit@", 0.0)]
    yield "refused, though the docs answer", [scored for scored in rows if _is(scored, "answered", 0.0)]
    yield "answered, though the docs do not", [scored for scored in rows if _is(scored, "refused_rightly", 0.0)]
    yield (
        "answered without the words expected",
        [scored for scored in rows if _is(scored, "answer", 0.0) and not scored.row["refused"]],
    )
    yield (
        "with a citation that leads astray",
        [scored for scored in rows if scored.row["links_not_shown"] and scored.row["refused"] is False],
    )


def _is(scored: Scored, name: str, value: float) -> bool:
    """`hit@` stands for hit@ whatever its k."""
    names = [known for known in scored.values if known == name or (name[-1] == "@" and known.startswith(name))]
    return any(scored.values[known] == value for known in names)


def show_questions(title: str, wrong: Sequence[Scored]) -> None:
    """The first questions of a list; nothing for an empty one."""
    if not wrong:
        return
    say()
    say(f"{amount(len(wrong), 'question')} {title}:")
    for scored in wrong[:SHOWN]:
        text = " ".join(scored.asked.text.split())
        say(f"  {scored.asked.id}: {text if len(text) <= CHARACTERS else text[:CHARACTERS] + '...'}")
    if len(wrong) > SHOWN:
        say(f"  and {len(wrong) - SHOWN:,} more; --out FILE keeps them all")
