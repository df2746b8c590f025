"""`lectern questions`: what visitors have asked, what the docs did not answer, and how long they waited."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

from cli.client import Api
from cli.errors import OK, BadInput, CommandError
from cli.files import written_whole
from cli.output import amount, complain, say, say_json
from cli.releases import show_table

#: Characters of a question that are shown.
SHOWN: Final = 100
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_AGE: Final = re.compile(r"(\d{1,5})([mhd])")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which questions, and where to."""

    since: str | None
    refused: bool
    #: Lines of the table.
    last: int
    #: A file for all of them, or - for standard output.
    jsonl: str | None
    overwrite: bool
    as_json: bool


@dataclass(slots=True)
class Summary:
    """What the questions come to."""

    asked: int = 0
    refused: int = 0
    cached: int = 0
    failed: int = 0
    #: Seconds until the first word, of each that got one.
    waits: list[float] = field(default_factory=list)
    #: US dollars; None as soon as one of them is not known.
    dollars: float | None = 0.0

    def add(self, entry: Mapping[str, Any]) -> None:
        self.asked += 1
        self.refused += entry["no_results"]
        self.cached += entry["cached"]
        self.failed += entry["outcome"] not in ("answered", "no_results", "left")
        if entry["first_word_seconds"] is not None:
            self.waits.append(entry["first_word_seconds"])
        if entry["model"] is not None:
            known = self.dollars is not None and entry["dollars"] is not None
            self.dollars = self.dollars + entry["dollars"] if known and self.dollars is not None else None

    def line(self) -> str:
        """`1,204 questions: 12% not answered by the docs, 8% given again, first word after 0.42 s for half of them`"""
        parts = [
            f"{self.refused / self.asked:.0%} not answered by the docs",
            f"{self.cached / self.asked:.0%} given again",
        ]
        parts += [f"{self.failed / self.asked:.0%} failed"] if self.failed else []
        parts += [f"first word after {median(self.waits):.2f} s for half of them"] if self.waits else []
        parts += [f"${self.dollars:.4f}"] if self.dollars else []
        return f"{amount(self.asked, 'question')}: {', '.join(parts)}"


async def questions(api: Api, wanted: Wanted) -> int:
    """Print the latest questions with a summary of all, or write them to a file. Returns the exit code."""
    query = {"format": "jsonl"}
    if wanted.since is not None:
        query["since"] = since_of(wanted.since, datetime.now(UTC))
    if wanted.jsonl is not None:
        return await export(api, wanted.jsonl, wanted, query)
    entries = api.lines("/questions", admin=True, **query)
    summary, latest = await summed_up(entries, wanted)
    if wanted.as_json:
        say_json(latest)
        return OK
    if not summary.asked:
        say("no questions are logged")
        return OK
    if latest:
        show_table([row_of(entry) for entry in latest])
    say(summary.line())
    return OK


async def export(api: Api, file: str, wanted: Wanted, query: dict[str, str]) -> int:
    """Write the entries as they come, one JSON object a line."""
    if wanted.refused:
        query["no_results"] = "true"
    count = 0
    try:
        with written_whole(file, overwrite=wanted.overwrite) as stream:
            async for line in api.lines("/questions", admin=True, **query):
                stream.write(line.encode() + b"\n")
                count += 1
    except BrokenPipeError as error:
        raise CommandError("nobody reads the questions any more") from error
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({error.strerror})") from error
    # Standard output may be the file.
    complain(f"{amount(count, 'question')} exported")
    return OK


async def summed_up(lines: AsyncIterator[str], wanted: Wanted) -> tuple[Summary, list[dict[str, Any]]]:
    """All entries in sum, and the latest that are wanted, newest first."""
    summary = Summary()
    latest: list[dict[str, Any]] = []
    async for line in lines:
        entry = json.loads(line)
        summary.add(entry)
        if len(latest) < wanted.last and (entry["no_results"] or not wanted.refused):
            latest.append(entry)
    return summary, latest


def row_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Time, how it ended, wait, passages and the question, as a person reads them."""
    first = entry["first_word_seconds"]
    outcome = "given again" if entry["cached"] else str(entry["outcome"]).replace("_", " ")
    question = " ".join(str(entry["question"]).split())
    return (
        str(entry["at"])[:16].replace("T", " "),
        outcome,
        "" if first is None else f"{first:.2f} s",
        f"{len(entry['found'])} found, {len(entry['cited'])} cited",
        question if len(question) <= SHOWN else f"{question[:SHOWN].rstrip()}...",
    )


def since_of(text: str, now: datetime) -> str:
    """A moment for the API: `7d`, `24h` and `30m` count back from now. Raises BadInput for what is neither."""
    if age := _AGE.fullmatch(text):
        return (now - timedelta(**{UNITS[age[2]]: int(age[1])})).isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"--since {text}: give a time such as 7d, 24h or 30m, or a date such as 2026-06-01") from None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat()
