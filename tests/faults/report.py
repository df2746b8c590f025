"""The result of chaos as a page of Markdown."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from tests.faults.chaos import Outcome
from tests.faults.injections import FAULTS

MOST_SPENT: Final = 1.5

HEAD: Final = """\
# Chaos

`make chaos` ingests a site edition after edition on real processes: Valkey, Qdrant's engine, two workers of one process
each, and an API, started again half a second after they end. Between workers and stores stand proxies. Meanwhile faults
strike in an order that the seed decides, two readers look all the time at what is live, and each ingest is asked for
three times. A stand-in for the model provider notes every text that it is asked for.

What is checked:

- lost: points that lack, compared with what the same editions come to where nothing breaks; ids, payloads and vectors
  must be equal. The seed decides what strikes and in which order, not at which line of the code it strikes;
- twice: passages that readers see twice; left over: points that no kept release shows, looked for after each job;
- bad reads: those that saw an empty release, a part of one, pages of two editions, or an error that is no 503;
- unavailable: reads that got no answer, or a 503, because a store or the API was away;
- spending: passages that the provider was paid for, for each one that there was to embed. Not counted are replies
  with an error status, the one text that each process sends to learn the vectors' size, and visitors' questions;
- recovery: seconds from a kill until a text that the victim was waiting for is asked for again. A worker's claim runs
  out after ten seconds; a child's message is handed on at once. What else breaks at the same time takes its own time.
"""


def passes(outcome: Outcome) -> bool:
    """Whether everything held that must."""
    broken = outcome.lost or outcome.duplicates or outcome.orphans or outcome.wrong_vectors or outcome.faults
    return not broken and outcome.spend <= MOST_SPENT and outcome.sent_in_peace == outcome.needed_in_peace


def report(outcomes: Sequence[Outcome]) -> str:
    return "\n".join(
        [
            HEAD,
            f"## Result of {datetime.now(UTC):%Y-%m-%d}\n",
            f"{platform.machine()}, Python {platform.python_version()}, seeds "
            f"{', '.join(str(outcome.seed) for outcome in outcomes)}; "
            f"{sum(outcome.kills for outcome in outcomes)} processes killed.\n",
            *_table(
                ("seed", "minutes", "faults", "kills", "editions", "jobs", "lost", "twice", "left over",
                 "wrong vectors"),
                (
                    (
                        outcome.seed, f"{outcome.seconds / 60:.1f}", len(_struck(outcome)), outcome.kills,
                        outcome.editions, _counted(outcome.jobs), outcome.lost, outcome.duplicates, outcome.orphans,
                        outcome.wrong_vectors,
                    )
                    for outcome in outcomes
                ),
            ),
            *_table(
                ("seed", "reads of the index", "unavailable", "bad", "reads of the API", "unavailable", "bad",
                 "spending", "before any fault"),
                (
                    (
                        outcome.seed, outcome.index.reads, outcome.index.unavailable, len(outcome.index.faults),
                        outcome.api.reads, outcome.api.unavailable, len(outcome.api.faults), f"{outcome.spend:.2f}",
                        f"{outcome.sent_in_peace / max(1, outcome.needed_in_peace):.2f}",
                    )
                    for outcome in outcomes
                ),
            ),
            *_table(("recovery, seconds", "kills that cut off a request", "p50", "p95", "most"), _recoveries(outcomes)),
            *_table(("fault", "times"), _faults(outcomes)),
            *_failures(outcomes),
        ]
    )  # fmt: skip


def _struck(outcome: Outcome) -> list[str]:
    return [injection.name for injection in outcome.injections if injection.struck]


def _counted(jobs: Counter[str]) -> str:
    return ", ".join(f"{times} {status}" for status, times in sorted(jobs.items()))


def _recoveries(outcomes: Sequence[Outcome]) -> Iterator[tuple[object, ...]]:
    for name in sorted({name for outcome in outcomes for name in outcome.recoveries}):
        took = sorted(seconds for outcome in outcomes for seconds in outcome.recoveries.get(name, []))
        if took:
            yield name, len(took), *(f"{_quantile(took, share):.1f}" for share in (0.5, 0.95, 1))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _faults(outcomes: Sequence[Outcome]) -> Iterator[tuple[object, ...]]:
    times = Counter(name for outcome in outcomes for name in _struck(outcome))
    yield from ((name, times[name]) for name in FAULTS if times[name])


def _failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What went wrong, in words: jobs that were not completed, and what must never happen."""
    reasons = sum((outcome.reasons for outcome in outcomes), Counter[str]())
    if reasons:
        yield from ("Jobs that did not index all of their edition, which was then ingested again:\n",)
        yield from (*(f"- {times} x {reason}" for reason, times in reasons.most_common()), "")
    faults = [f"- seed {outcome.seed}: {fault}" for outcome in outcomes for fault in outcome.faults]
    yield from ("What must not happen and did:\n", *faults, "") if faults else ("Nothing happened that must not.", "")


def _table(head: Sequence[str], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)
    yield ""
