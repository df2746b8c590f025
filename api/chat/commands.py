"""Sub-commands that an answer invents: `lectern frobnicate`, where the docs know `lectern up` and `lectern ask`."""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from api.chat.markdown import BLOCK, SPAN, language_of

#: Other sub-commands that the docs must show of a command: with fewer, what follows may be anything.
SOME_KNOWN: Final = 2
#: The part of what the docs show behind a command that has to be plain words; elsewhere files and values follow it.
PLAIN: Final = 0.8
#: How alike a sub-command has to be to be meant by another, 0..1.
LIKENESS: Final = 0.6

_SHELL: Final = frozenset({"", "sh", "bash", "shell", "console", "zsh", "fish", "powershell", "cmd", "bat", "terminal"})
_PROMPT: Final = re.compile(r"^\s*(?:\([\w.-]+\)\s*)?(?:PS [^>]*>|[\w@:~/-]*[$%>])\s+")
_NEXT_COMMAND: Final = re.compile(r"&&|\|\|?|;|\\\s*$")
_COMMAND: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*")
_SUB_COMMAND: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)*")
_SETS: Final = re.compile(r"[A-Za-z_]\w*=\S*")
_PLACEHOLDER: Final = re.compile(r"(?:your|my|example|foo|bar|baz|some|name|file|path|arg|command|subcommand)\b")
#: What follows these is the visitor's own (a file, a folder, a package, a script), or they are no commands.
_TAKES_ANYTHING: Final = frozenset(
    """
    cd ls cat echo touch mkdir rmdir rm cp mv ln source export set which where man less more head tail grep find curl
    wget ssh scp rsync tar zip unzip chmod chown kill pkill nano vim vi code open start printf read test time watch
    xargs awk sed sort tee type alias env exec nohup call python python3 py node deno bun ruby perl php java sh bash
    zsh npx uvx bunx pnpx dlx make just task tox nox gulp grunt then do return print import from the this that these
    an it we you to in on of with and or not no yes where when what how all any each every some const let var function
    public private static void select insert into update delete drop alter values
    """.split()  # noqa: SIM905
).union(keyword.kwlist)
#: What follows these is what they are done to; other sub-commands may be groups of some.
_VERBS: Final = frozenset(
    """
    install add remove uninstall run exec create init new start stop restart dev serve build test pull push clone
    checkout switch branch merge get show delete describe apply publish upgrade update login logs up down use set
    list ls info search help sync lock activate deploy generate link unlink edit open import export rm tag commit
    rebase fetch reset revert diff watch attach kill inspect tail upload download enable disable ask eval backup
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class SubCommand:
    """`docker compose` and `up`."""

    command: str
    name: str

    def __str__(self) -> str:
        return f"{self.command} {self.name}"


def sub_commands_in(text: str) -> list[SubCommand]:
    """The sub-commands of the shell's lines and code spans of a Markdown text, each once."""
    found: dict[SubCommand, None] = {}
    for line in _lines(text):
        for command, follower in _followers(line):
            if _SUB_COMMAND.fullmatch(follower) and not _PLACEHOLDER.match(follower):
                found[SubCommand(command, follower)] = None
    return list(found)


def invented(candidates: Iterable[SubCommand], texts: Iterable[str]) -> list[tuple[SubCommand, str]]:
    """Those of these that stand in none of the texts, while others of the same command do; each with the nearest, ""
    if none comes near."""
    texts = list(texts)
    doubtful = [one for one in candidates if not any(_is_word(one.name, text) for text in texts)]
    if not doubtful:
        return []
    known: dict[str, list[str]] = {}
    for text in texts:
        for line in _lines(text):
            for command, follower in _followers(line):
                known.setdefault(command, []).append(follower)
    return [(one, _nearest(one, known[one.command])) for one in doubtful if _has_others(known.get(one.command, []))]


def _is_word(name: str, text: str) -> bool:
    return name in text and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


def _has_others(followers: list[str]) -> bool:
    """Whether what follows a command is one of a few words."""
    plain = [follower for follower in followers if _SUB_COMMAND.fullmatch(follower)]
    return len(set(plain)) >= SOME_KNOWN and len(plain) >= PLAIN * len(followers)


def _nearest(one: SubCommand, followers: list[str]) -> str:
    plain = [follower for follower in followers if _SUB_COMMAND.fullmatch(follower)]
    found = difflib.get_close_matches(one.name, plain, n=1, cutoff=LIKENESS)
    return f"{one.command} {found[0]}" if found else ""


def _lines(text: str) -> Iterator[str]:
    """The shell's lines of a text: those of its blocks, and its code spans."""
    position = 0
    for block in BLOCK.finditer(text):
        yield from (span[2] for span in SPAN.finditer(text[position : block.start()]))
        position = block.end()
        if language_of(block[2]) in _SHELL:
            yield from block[3].splitlines()
    yield from (span[2] for span in SPAN.finditer(text[position:]))


def _followers(line: str) -> Iterator[tuple[str, str]]:
    """Each command of a line with the word behind it: `git remote add` is `git`, `remote` and `git remote`, `add`."""
    for part in _NEXT_COMMAND.split(_PROMPT.sub("", line)):
        words = part.split()
        while words and (words[0] == "sudo" or _SETS.fullmatch(words[0])):
            words = words[1:]
        if len(words) < 2 or not _COMMAND.fullmatch(words[0]) or words[0] in _TAKES_ANYTHING:
            continue
        if words[1][0] in "-#'\"=(" or words[1] in ("is", "and", "or", "="):
            continue
        yield words[0], words[1]
        group = len(words) > 2 and _SUB_COMMAND.fullmatch(words[1]) and words[1] not in _VERBS
        if group and words[2][0] not in "-#'\"=(":
            yield f"{words[0]} {words[1]}", words[2]
