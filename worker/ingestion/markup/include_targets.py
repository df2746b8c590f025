"""Where the target of an include may stand, and what becomes of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Final, NamedTuple

#: Folders above a page in which a target is looked for; deeper trees than this are not laid out by people.
MAX_FOLDERS: Final = 12
#: Blanks that an include may stand behind; as many go in front of each of its lines.
MAX_LEAD: Final = 40
#: Longer names than this are no file's.
MAX_TARGET: Final = 500

#: Endings that are not themselves names that highlighters know.
_LANGUAGES: Final = {
    "cs": "csharp",
    "h": "c",
    "kt": "kotlin",
    "ps1": "powershell",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
}
_CODE: Final = re.compile(r"[a-z]\w{0,9}")
_BACKTICKS: Final = re.compile(r"`{3,}+")


class Found(NamedTuple):
    """An included file."""

    text: str
    #: Puts the includes of the file, or of a part of it, in their place.
    expand: Callable[[str], str]


class Missing(NamedTuple):
    """An include that cannot be followed."""

    target: str


Find = Callable[[str, tuple[str, ...]], Found | Missing]


def beside(path: str, target: str) -> tuple[str, ...]:
    """The target relative to the folder of the file at `path`; nothing if that leaves the content root."""
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    inside = joined not in (".", "..") and not joined.startswith(("../", "/")) and len(target) <= MAX_TARGET
    return (joined,) if inside and "\0" not in target else ()


def above(path: str, target: str) -> tuple[str, ...]:
    """The target relative to each folder that holds the page, the nearest first.

    Sites name files from the folder of their configuration, which lies somewhere above the page.
    """
    folder = posixpath.dirname(path)
    found: dict[str, None] = {}
    for _ in range(MAX_FOLDERS):
        found.update(dict.fromkeys(beside(f"{folder}/_" if folder else "_", target)))
        if not folder:
            break
        folder = posixpath.dirname(folder)
    # If the content root is the folder of the docs, the site's folder lies above it.
    _, _, below = target.partition("/")
    if below and not target.startswith("."):
        found.update(dict.fromkeys(beside("_", below)))
    return tuple(found)


def listing(code: str, target: str, language: str = "", title: str = "") -> str:
    """A fenced listing of a file's code."""
    fence = max(["```", *(f"{ticks}`" for ticks in _BACKTICKS.findall(code))], key=len)
    ending = target.rpartition(".")[2].lower()
    language = language or _LANGUAGES.get(ending) or (ending if _CODE.fullmatch(ending) else "")
    named = title.replace('"', "'")
    info = f'{language} title="{named}"' if title else language
    body = code.strip("\n").rstrip()
    return f"{fence}{info}\n{body}\n{fence}"


def indented(text: str, lead: str) -> str:
    """`text` with each written line that far in, as the place asks that it goes to."""
    return re.sub(r"^(?=[^\n])", lead[:MAX_LEAD], text, flags=re.MULTILINE) if lead else text
