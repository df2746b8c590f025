"""The tables of benchmarks/quality.md, and what they are held against."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

from shared.settings import load_settings

REPORT: Final = Path(__file__).with_name("quality.md")
BEGIN: Final = "<!-- figures: written by `python -m benchmarks.quality` -->"
END: Final = "<!-- end of figures -->"
#: Passages that retrieval is measured by.
K: Final = 10
HALVES: Final = ("tune", "held out")


@dataclass(frozen=True, slots=True)
class Value:
    """A mean with its standard error; an error of None where it is no mean."""

    value: float
    error: float | None
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" \u00b1 {self.error:.3f}" if self.error is not None else "")


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure to reach."""

    set: str
    figure: str
    reach: float
    best_known: str


AIMS: Final = (
    Aim("squad2", "ndcg@10", 0.94, "0.936, dense and BM25 fused (DBSF)"),
    Aim("claude_docs", "mrr@3", 0.91, "0.87, a commercial embedding model and a large model that re-ranks"),
    Aim("claude_docs", "recall@3", 0.77, "0.69, the same"),
    Aim("mtrag", "ndcg@10", 0.93, "0.917, scores of two turns blended"),
    *(Aim(name, "off-topic refused at 5% false refusals", 0.95, "0.77 to 1.00, logistic mix of scores")
      for name in ("squad2", "claude_docs", "mtrag")),
    Aim("squad2", "unanswerable AUROC", 0.70, "0.63, logistic mix of scores"),
    Aim("squad2", "answer@3", 0.92, "0.89, best sentences of five passages"),
    *(Aim(name, "citations_valid", 1.0, "0.52, citations that match, of a peer's answers")
      for name in ("squad2", "claude_docs", "mtrag")),
    *(Aim(name, "links_resolve", 0.99, "-") for name in ("squad2", "claude_docs", "mtrag")),
)  # fmt: skip


def report(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables, as Markdown."""
    lines = ["", *facts(), "", "### Against the targets", ""]
    lines += ["| set | measure | tune | held out | reach | best known before |", "|---|---|---|---|---|---|"]
    for aim in AIMS:
        if aim.set in results:
            values = [figure(results, aim.set, half, aim.figure) for half in HALVES]
            lines.append(row(aim.set, aim.figure, *map(shown, values), f"{aim.reach:.2f}", aim.best_known))
    for name, result in results.items():
        names = dict.fromkeys(chain.from_iterable(result["halves"][half]["figures"] for half in HALVES))
        lines += ["", f"### {name}", "", f"{result['passages']:,} passages; {result['date']}.", ""]
        lines += ["| measure | tune | held out | questions held out |", "|---|---|---|---|"]
        for known in names:
            values = [figure(results, name, half, known) for half in HALVES]
            lines.append(row(known, *map(shown, values), str(values[1].count) if values[1] else ""))
    return "\n".join([*lines, ""])


def facts() -> list[str]:
    settings = load_settings(None)
    return [
        f"Last run: {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}. No key: the local embedding model, and answers of quoted sentences. "
        f"Settings at their defaults: {settings.chunk_size} tokens a passage, "
        f"MIN_SCORE {settings.min_score or 'unset'}, 5 passages to answer from, {K} to measure retrieval.",
        "",
        "A value stands with its standard error where it is a mean over questions.",
    ]


def figure(results: Mapping[str, Mapping[str, Any]], name: str, half: str, wanted: str) -> Value | None:
    found = results[name]["halves"][half]["figures"].get(wanted)
    return Value(*found) if found else None


def shown(value: Value | None) -> str:
    return "-" if value is None else str(value)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write_report(text: str) -> None:
    """Put the tables between the marks of quality.md."""
    whole = REPORT.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    REPORT.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", whole), encoding="utf-8")
