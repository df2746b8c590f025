"""Names that an answer invents are told from those that the docs, or everybody's code, have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from api.chat import identifiers
from api.chat.events import UnknownName
from api.chat.identifiers import MOST_LOOKED_FOR, holds, names_in, nearest, remark_on, unknown_names
from shared.errors import DependencyDown
from shared.models import Passage, SparseVector, StoredChunk
from shared.services import Services
from tests.passages import RELEASE, FakeStore, passage, services_with

SHOWN = passage(
    "Run `harbor moor --line-count 4 --dry-run` to tie up. Set `HARBOR_MAX_LINES` or `max_lines` in `harbor.toml`.\n\n"
    "```py\nfrom harbor import Berth\n\nberth = Berth(depth=4)\nberth.tie_up(lines=2)\n```\n\n"
    "`Berth.castOff()` lets go. Logs are in `/var/log/harbor`. The `weather-check` option asks the coast guard."
)
ELSEWHERE = passage("`harbor signal --flag-hoist` shows flags; `HARBOR_SIGNAL_MODE` says which.", path="signals.md")


class StoreOfNames(FakeStore):
    """Holds passages that a keyword search finds, or is late or down."""

    def __init__(self, *found: Passage, late: bool = False, down: bool = False) -> None:
        super().__init__({})
        self.chunks = [one.chunk for one in found]
        self.late, self.down = late, down
        self.asked: list[int] = []

    async def holding(
        self, collection: str, release: int, names: Sequence[SparseVector], each: int
    ) -> list[StoredChunk]:
        self.asked.append(len(names))
        if self.down:
            raise DependencyDown("Qdrant")
        if self.late:
            await asyncio.sleep(60)
        return self.chunks


def services(*found: Passage, **how: bool) -> tuple[Services, StoreOfNames]:
    store = StoreOfNames(*found, **how)
    return services_with(cast(Any, store)), store


async def unknown_in(answer: str, *found: Passage) -> list[str]:
    return [name.name for name in await unknown_names(answer, [SHOWN], RELEASE, services(*found)[0])]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Pass --line-count or `--dry-run`.", ["--line-count", "--dry-run"]),
        ("Set HARBOR_MAX_LINES and max_lines in harbor.toml.", ["HARBOR_MAX_LINES", "max_lines", "harbor.toml"]),
        ("Call `Berth.castOff()` or castOff() yourself.", ["Berth.castOff", "castOff"]),
        ("It is _max_lines_, or _harbor_hook.", ["max_lines", "_harbor_hook"]),
        ("Logs are in /var/log/harbor.", ["/var/log/harbor"]),
        ("It is 24/7, and/or read/write, e.g. here.", ["e.g"]),
        ("See [the guide](https://site.example/some_page) at https://a.example/b_c.", []),
        ("A plain sentence, with PostgreSQL and JavaScript in it - and -- dashes.", []),
        ("The `weather-check` option", ["weather-check"]),
    ],
)
def test_names_are_told_from_words(text: str, names: list[str]) -> None:
    assert sorted(names_in(text)) == sorted(names)


@pytest.mark.parametrize(
    "answer",
    [
        "```py\nimport os\nfrom pathlib import Path\n\nmy_boat = Path('x_y')\nfor one_rope in my_boat.iterdir():\n"
        "    print(one_rope, os.environ['HOME'])\n```",
        "```sh\ncd harbor && ls -la\npip install harbor\n```",
        "```js\nconst deckHand = async (ropeEnd) => {\n  console.log(JSON.stringify(ropeEnd));\n};\n```",
        "Open `main.py`, then call `your_function()` with `None` or `true`.",
        "```py\n# tie_down is only mentioned here\ndef stow_sail(sail_bag):\n    return sail_bag\n\nstow_sail(1)\n```",
    ],
)
async def test_what_all_code_has_and_what_it_defines_itself_raises_no_alarm(answer: str) -> None:
    assert await unknown_in(answer) == []


@pytest.mark.parametrize(
    ("text", "name", "held"),
    [
        ("`--line-count 4`", "--line-count", True),
        ("`--line-counter`", "--line-count", False),
        ("`--no-line-count`", "--line-count", False),
        ("max_lines", "MAX_LINES", False),
        ("store.tie_up(2)", "berth.tie_up", True),
        ("tie_up", "Berth.tie_up", False),
        ("a.max_lines_b", "max_lines", False),
        ("max_lines.", "max_lines", True),
    ],
)
def test_a_name_is_held_whole_and_in_its_own_letters(text: str, name: str, held: bool) -> None:
    assert holds(text, name) is held


async def test_names_of_the_passages_shown_are_known_without_asking_the_index() -> None:
    answering, store = services()
    answer = "Use `--line-count`, `HARBOR_MAX_LINES`, `max_lines`, `Berth.castOff()` and /var/log/harbor."
    assert await unknown_names(answer, [SHOWN], RELEASE, answering) == ()
    assert store.asked == []


async def test_the_rest_is_looked_for_in_the_release_in_one_request() -> None:
    answering, store = services(ELSEWHERE)
    answer = "Use `--flag-hoist` with `HARBOR_SIGNAL_MODE`, and `--flag-lower`."
    assert await unknown_names(answer, [SHOWN], RELEASE, answering) == (UnknownName("--flag-lower", "--flag-hoist"),)
    assert store.asked == [3]


async def test_an_answer_full_of_invented_names_is_not_let_off() -> None:
    answer = " ".join(f"`--no-such-{n}`" for n in range(2 * MOST_LOOKED_FOR))
    assert len(await unknown_names(answer, [SHOWN], RELEASE, services()[0])) == MOST_LOOKED_FOR


async def test_others_get_their_turn_while_many_invented_names_are_looked_at() -> None:
    answering, _ = services(*(passage(f"Set `--flag-{n}`.", path=f"{n}.md") for n in range(20)))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(other())
    assert len(await unknown_names("`--no-such` `--nor-this` `--nor-that`", [SHOWN], RELEASE, answering)) == 3
    waiting.cancel()
    assert turns >= 20


async def test_an_invented_name_is_reported_with_the_nearest_real_one() -> None:
    found = await unknown_names("Set `--lines-count` and HARBOR_MAX_LINE.", [SHOWN], RELEASE, services()[0])
    assert found == (
        UnknownName("--lines-count", "--line-count"),
        UnknownName("HARBOR_MAX_LINE", "HARBOR_MAX_LINES"),
    )


def test_only_a_flag_is_meant_by_a_flag_and_nothing_by_what_is_like_nothing() -> None:
    assert nearest("--max-lines", ["max_lines", "--max-line"]) == "--max-line"
    assert not nearest("--zzz", ["--line-count", "max_lines"])
    assert not nearest("--compress", ["--home"])


CARRIERS = (
    "Pass `{}` to turn it on.",
    "You can set {} for this [1].",
    "- **Mooring**: {} does it.",
    "| option | what |\n|---|---|\n| `{}` | ties up |",
    "```sh\nharbor moor {}\n```",
)
FAKES = (
    "--auto-moor", "--fender-size", "--no-lines", "--skip_checks", "--tideTable", "HARBOR_MIN_LINES", "BERTH_DEPTH_CM",
    "min_lines", "line_color_mode", "_harbor_hook", "castOffAll", "tieUpAsync", "Berth.moorNow", "harbor.tide.level",
    "/etc/harbor.d/lines",
)  # fmt: skip


async def test_invented_names_are_caught_wherever_they_stand() -> None:
    made = [(fake, carrier.format(fake)) for fake in FAKES for carrier in CARRIERS]
    caught = [fake in await unknown_in(answer) for fake, answer in made]
    assert len(made) >= 50
    assert sum(caught) >= 0.98 * len(made), [one for one, ok in zip(made, caught, strict=True) if not ok]


async def test_in_code_a_call_and_a_named_argument_are_checked_and_other_names_are_its_author_s() -> None:
    answer = "```py\nberth.tie_down(rope_length=2)\nberth.tie_up(lines=spare_rope)\n```"
    assert await unknown_in(answer) == ["berth.tie_down", "rope_length"]


async def test_a_settings_file_is_checked_line_by_line() -> None:
    assert await unknown_in("```toml\nmax_lines = 4\nmin_lines = 2\n```") == ["min_lines"]


@pytest.mark.parametrize("how", ["late", "down"])
async def test_an_index_that_does_not_answer_raises_no_alarm(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "PATIENCE", 0.01)
    assert await unknown_names("Use `--auto-moor`.", [SHOWN], RELEASE, services(**{how: True})[0]) == ()


def test_the_remark_names_a_few_and_counts_the_rest() -> None:
    assert not remark_on(())
    assert (
        remark_on([UnknownName("--foo", "--bar")]) == "\n\n*Not found in these docs:* `--foo` (did you mean `--bar`?)"
    )
    many = [UnknownName(f"--foo-{n}") for n in range(5)]
    assert remark_on(many).endswith("`--foo-0`, `--foo-1`, `--foo-2` and 2 more")
