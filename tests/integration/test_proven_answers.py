"""A model's answer held against a real index: cited where it cites nothing, marked where it invents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path

import pytest

from api.chat.answer import answer
from api.chat.answer_writer import NOT_FOUND
from api.chat.events import Finished, Question, UnknownName
from api.chat.model import Ending, ExtractiveModel
from api.chat.prompt import Message, Prompt
from shared.services import Services
from tests.by_hand import by_hand, ingest
from tests.conftest import OpenServices

PAGES = {
    "mooring.md": (
        "# Mooring\n\n## Tying up\n\nA ship ties up with four lines. Each line holds 30 tonnes. "
        "Pass `--line-count` to `harbor moor` for more.\n\n## Letting go\n\nLet the stern line go first.\n"
    ),
    "signals.md": "# Signals\n\n## Flags\n\nSet `HARBOR_SIGNAL_MODE` or pass `--flag-hoist`, and flags are shown.\n",
    "tides.md": "# Tides\n\n## Table\n\nThe tide table is read every 10 minutes from `/var/lib/harbor/tides.json`.\n",
}
QUESTION = "How does a ship tie up with lines?"


class Scripted:
    """Says what it is told to, a few letters at a time."""

    name = "scripted"

    def __init__(self, text: str) -> None:
        self.text = text

    async def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        for start in range(0, len(self.text), 3):
            yield self.text[start : start + 3]
        yield Ending("stop")

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        return None

    async def close(self) -> None:
        return


@pytest.fixture
async def services(opened: OpenServices, tmp_path: Path) -> AsyncIterator[Services]:
    for path, text in PAGES.items():
        file = tmp_path / "docs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    async with opened(site_url="https://harbor.example", min_chunk_size=0) as running:
        job = await ingest(by_hand(running)[0])
        assert job.state == "succeeded", job.reason
        yield running


async def ask(services: Services, text: str, k: int = 5) -> Finished:
    events = [event async for event in answer(Question(QUESTION, k=k), services, Scripted(text))]
    finished = events[-1]
    assert isinstance(finished, Finished)
    return finished


async def test_an_answer_without_a_mark_is_cited_and_what_it_made_up_is_marked(services: Services) -> None:
    made = await ask(services, "A ship ties up with four lines. Penguins breed on the ice in the Antarctic winter.")
    link = "[Mooring - Tying up](https://harbor.example/docs/mooring#tying-up)"
    assert made.answer.startswith(f"A ship ties up with four lines. {link} Penguins breed on the ice")
    assert NOT_FOUND in made.answer
    assert [claim.support for claim in made.claims] == ["supported", "unsupported"]
    assert made.grounded == 0.5
    (source,) = made.sources
    assert source.quote == "A ship ties up with four lines."
    assert source.quote_url == (
        "https://harbor.example/docs/mooring#tying-up:~:text=A%20ship%20ties%20up%20with%20four%20lines"
    )


async def test_a_name_of_another_page_of_the_release_is_known_and_an_invented_one_is_not(services: Services) -> None:
    text = (
        "Pass `--line-count`, `--flag-hoist`, or set `HARBOR_SIGNAL_MODE`; `--line-counts` and `HARBOR_TIDE_MODE` too."
    )
    made = await ask(services, text, k=1)
    assert made.unknown_names == (
        UnknownName("--line-counts", "--line-count"),
        UnknownName("HARBOR_TIDE_MODE", "HARBOR_SIGNAL_MODE"),
    )
    assert made.answer.count("*Not found in these docs:* `--line-counts` (did you mean `--line-count`?)") == 1


async def test_fifty_invented_flags_are_caught_and_no_real_name_is(services: Services) -> None:
    verbs = ("auto", "skip", "force", "no", "with", "keep", "dry", "fast", "max", "min")
    flags = [f"--{verb}-{noun}" for verb in verbs for noun in ("moor", "lines", "tide", "signal", "count")]
    caught = 0
    for at in range(0, 50, 10):
        said = " ".join(f"Pass `{flag}` for it." for flag in flags[at : at + 10])
        real = "Real are `--line-count`, `--flag-hoist`, `HARBOR_SIGNAL_MODE` and `/var/lib/harbor/tides.json`."
        found = {name.name for name in (await ask(services, f"{said} {real}")).unknown_names}
        caught += len(found & set(flags))
        assert found <= set(flags)
    assert caught >= 49


async def test_quotes_of_the_passages_are_supported_and_left_as_they_are(services: Services) -> None:
    events = [event async for event in answer(Question(QUESTION), services, ExtractiveModel())]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.claims
    assert {claim.support for claim in finished.claims} == {"supported"}
    assert NOT_FOUND not in finished.answer
    assert finished.unknown_names == ()
