"""A sub-command that an answer invents is noticed; files, values and words that follow a command are not."""

from __future__ import annotations

import time

import pytest

from api.chat.commands import SubCommand, invented, sub_commands_in
from api.chat.events import UnknownName
from api.chat.identifiers import unknown_names
from tests.passages import RELEASE, passage
from tests.unit.test_identifiers import services

HARBOR = (
    "Run `harbor moor` to tie up, `harbor cast-off` to let go.\n\n"
    "```sh\n$ harbor signal --flag red && harbor moor pier-4\nharbor crew list\nharbor crew add Petersen\n"
    "harbor crew add Jensen\ncd ships/anna\ncd boats\nmkdir logs\nmkdir charts\nhelm anna.toml\nhelm berta.toml\n"
    "```\n\nThe harbor office opens at six."
)


def invented_in(answer: str) -> list[tuple[str, str]]:
    return [(str(one), alike) for one, alike in invented(sub_commands_in(answer), [HARBOR])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("harbor moor --now", [SubCommand("harbor", "moor")]),
        ("$ harbor moor && harbor signal", [SubCommand("harbor", "moor"), SubCommand("harbor", "signal")]),
        ("(venv) $ sudo MODE=fast harbor moor pier", [SubCommand("harbor", "moor"), SubCommand("harbor moor", "pier")]),
        ("harbor crew list", [SubCommand("harbor", "crew"), SubCommand("harbor crew", "list")]),
        ("git remote add origin", [SubCommand("git", "remote"), SubCommand("git remote", "add")]),
        ("pip install harbor", [SubCommand("pip", "install")]),
        ("cd ships", []),
        ("harbor --version", []),
        ("harbor your-ship", []),
        ("harbor main.py", []),
        ("# harbor moor", []),
        ("Harbor moor", []),
    ],
)
def test_a_sub_command_is_told_from_files_flags_and_placeholders(line: str, expected: list[SubCommand]) -> None:
    assert sub_commands_in(f"```sh\n{line}\n```") == expected


@pytest.mark.parametrize(
    "answer",
    [
        "Run `harbor frobnicate`.",
        "```sh\nharbor frobnicate\n```",
        "1. Do:\n   ```bash\n   $ harbor frobnicate -v\n   ```",
    ],
)
def test_a_sub_command_that_stands_nowhere_is_invented(answer: str) -> None:
    assert invented_in(answer) == [("harbor frobnicate", "")]


def test_an_invented_sub_command_comes_with_the_nearest_real_one() -> None:
    assert invented_in("`harbor mooring`") == [("harbor mooring", "harbor moor")]
    assert invented_in("`harbor crew lists`") == [("harbor crew lists", "harbor crew list")]


@pytest.mark.parametrize(
    "answer",
    [
        HARBOR,
        "`harbor moor pier-9`",
        "```sh\nharbor signal --flag blue\nharbor crew add Lindqvist\n```",
        "```sh\ncd somewhere\nmkdir anything\nhelm carla\nhelm carla.toml\n```",
        "```sh\nharbor office\n```",
        "A harbor frobnicate is no command in prose.",
        "```py\nharbor frobnicate\n```",
        "`ferry depart` is of another program.",
        "`harbor <name>`, `harbor $SHIP`, `harbor [ship]`",
    ],
)
def test_what_the_docs_show_and_what_a_visitor_puts_there_raises_no_alarm(answer: str) -> None:
    assert invented_in(answer) == []


async def test_an_invented_sub_command_is_looked_for_in_the_whole_release() -> None:
    shown = passage(HARBOR)
    elsewhere = passage("With `harbor repaint` the hull gets a coat.", path="paint.md")
    answer = "Run `harbor repaint`, then `harbor mooring`."
    assert await unknown_names(answer, [shown], RELEASE, services(elsewhere)[0]) == (
        UnknownName("harbor mooring", "harbor moor"),
    )
    answering, store = services()
    assert await unknown_names("Run `harbor moor`.", [shown], RELEASE, answering) == ()
    assert store.asked == []


@pytest.mark.parametrize("odd", ["`", "``` ", "`a b` ", "git ", "$ git a\n", "```sh\n", "a-", "&& "])
def test_hostile_text_takes_no_longer_than_words(odd: str) -> None:
    began = time.process_time()
    sub_commands_in(odd * (20_000 // len(odd)))
    assert time.process_time() - began < 0.5
