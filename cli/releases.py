"""`lectern releases`: the states of the docs that are in the index, what each changed, and which one is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cli.client import Api
from cli.errors import OK
from cli.output import amount, complain, say, say_json

#: Pages of each list that are shown; `--json` has all that the API sends.
PAGES_SHOWN: Final = 20
#: In the order in which they are shown.
KINDS: Final = ("added", "changed", "moved", "removed")


async def list_releases(api: Api, *, as_json: bool) -> int:
    """Print every kept release, newest first. Returns the exit code."""
    listing = await api.get("/releases", admin=True)
    if as_json:
        say_json(listing)
        return OK
    if not listing["releases"]:
        say("nothing is indexed")
    show_table([row_of(release) for release in listing["releases"]])
    return OK


async def show_release(api: Api, number: int, *, as_json: bool) -> int:
    """Print one release with the pages that it changed. Returns the exit code."""
    release = await api.get(f"/releases/{number}", admin=True)
    if as_json:
        say_json(release)
        return OK
    say("  ".join(row_of(release)).rstrip())
    say(f"  collection: {release['collection']}")
    say(f"  job: {release['job_id']}")
    if release["note"]:
        say(f"  {release['note']}")
    if release["changes"] is None:
        say("  what it changed was not recorded")
    for kind in KINDS:
        show_pages(kind, release[kind], (release["changes"] or {}).get(kind, 0))
    if release["gate"]:
        show_gate(release["gate"])
    return OK


async def activate_release(api: Api, number: int, *, as_json: bool) -> int:
    """Make a release the live one. Returns the exit code."""
    activated = await api.post(f"/releases/{number}/activate", {}, admin=True)
    if activated["warning"]:
        complain(activated["warning"])
    if as_json:
        say_json(activated)
        return OK
    before = activated["previous"]
    instead = f" in place of release {before}" if activated["changed"] and before is not None else ""
    say(f"{activated['message']}{instead}")
    return OK


def row_of(release: Mapping[str, Any]) -> tuple[str, ...]:
    """Number, state, time, counts, changes and model, as a person reads them."""
    changes = release["changes"]
    changed = "" if changes is None else ", ".join(f"{changes[kind]:,} {kind}" for kind in KINDS if changes.get(kind))
    return (
        f"release {release['number']}",
        release["state"],
        release["created_at"][:16].replace("T", " "),
        f"{amount(release['documents'], 'page')}, {amount(release['chunks'], 'passage')}",
        release["model"] or "its collection is gone",
        changed,
    )


def show_table(rows: Sequence[tuple[str, ...]]) -> None:
    """A line for each row, the columns as wide as they have to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_pages(kind: str, pages: Sequence[Mapping[str, str]], total: int) -> None:
    """The first pages of a list, with why they are on it."""
    if not pages:
        return
    say(f"  {amount(total, 'page')} {kind}:")
    for page in pages[:PAGES_SHOWN]:
        say(f"    {page['path']}: {page['reason']}")
    if total > PAGES_SHOWN:
        say(f"    and {total - PAGES_SHOWN:,} more; --json names {len(pages):,}")


def show_gate(gate: Mapping[str, Any]) -> None:
    """How many golden questions are answered, and which are not any more."""
    before = "" if gate["answered_before"] is None else f", {gate['answered_before']} before"
    say(f"  {gate['file']}: {gate['answered']} of {amount(gate['asked'], 'question')} answered{before}")
    for question in gate["lost"]:
        say(f"    lost: {question['question']} ({' or '.join(question['expected']) or 'any page'})")
    for fault in gate["faults"]:
        say(f"    fault: {fault}")
