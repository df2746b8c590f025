"""Holds the names of an answer (flags, functions, options, paths, variables) against the live release.

A model that does not know a flag invents one. A name that stands nowhere in the docs is reported together with the
nearest one that does; what every visitor's code contains, and what a code block defines itself, is let alone.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Final

import structlog

from api.chat.commands import invented, sub_commands_in
from api.chat.events import UnknownName
from api.chat.everyday_names import EVERYDAY
from api.chat.markdown import BLOCK, SPAN, language_of
from shared.errors import LecternError
from shared.models import Chunk, Passage, Release
from shared.services import Services

log = structlog.get_logger(__name__)

#: Names of an answer that are looked for outside the passages shown, the first ones: they tell enough.
MOST_LOOKED_FOR: Final = 24
#: Passages that are read for each of them: where a whole name is a rare term, the first one holds it.
READ_FOR_EACH: Final = 10
#: Seconds that an answer's end waits for the index.
PATIENCE: Final = 1.0
#: How alike a name has to be to be meant by another, 0..1: `--max-token` and `--max-tokens` are .96.
LIKENESS: Final = 0.6
#: Names that are reported at an answer's end.
MOST_NAMED: Final = 3
#: A single word between backticks counts as a name from here on: `id` and `x` are everybody's.
SHORTEST_WORD: Final = 3

#: No name, and slow to search.
_TOO_LONG: Final = re.compile(r"\S{200,}")
_LINK: Final = re.compile(r"!?\[((?:\\.|[^\[\]\n]){0,300})\]\([^()\s]*\)")
_ADDRESS: Final = re.compile(r"\b(?:[a-z][a-z0-9+.-]*://|www\.|localhost\b)[^\s<>\"'`)]*|\S+@\S+\.\w+", re.IGNORECASE)
_EXTENSIONS: Final = (
    "py|js|ts|jsx|tsx|mjs|cjs|json|ya?ml|toml|mdx?|env|sh|cfg|ini|txt|html?|css|lock|conf|xml|go|rs|java|sql|ipynb"
)
#: In this order; a name is taken by the first that fits.
_NAME: Final = re.compile(
    rf"""
      (?<![\w/-])--[A-Za-z][\w-]*                                          # --flag
    | (?<![\w./:}}$>-])(?:~|\.{{1,2}})?/(?![/\d])[\w.@-]+(?:/[\w.@-]+)*          # /path
    | (?<![\w./-])[\w-]+(?:/[\w.-]+)+\.(?:{_EXTENSIONS})\b                     # folder/file.ext
    | (?<![\w./$-])\.?[\w-]+(?:\.[\w-]+)*\.(?:{_EXTENSIONS})\b(?!\()           # file.ext
    | (?<![\w.$@-])@?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+                        # Class.method
    | (?<![\w.-])[A-Za-z_]\w*(?=\(\))                                       # function()
    | (?<![\w.])_*[A-Za-z][A-Za-z0-9]*(?:_+[A-Za-z0-9]+)+                   # snake_case, CONST_NAME
    | (?<![\w.])[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+(?!\w)                    # camelCase
    """,
    re.VERBOSE,
)
#: Without any of these signs a text has no name in it.
_MAY_NAME: Final = re.compile(r"[`_/]|--|\w\.\w|[a-z][A-Z]|[a-z]\(\)|[ (]\.\w")
#: ... and in code besides: PascalCase. In prose two such words are mostly a product's name, three are not.
_PASCAL: Final = re.compile(r"(?<![\w.])(?:[A-Z][a-z0-9]+){2,}(?!\w)")
_LONG_PASCAL: Final = re.compile(r"(?<![\w.])(?:[A-Z][a-z0-9]+){3,}(?!\w)")
#: The one word of a code span: an option's, a command's.
_WORD: Final = re.compile(r"[A-Za-z_][\w]*(?:-\w+)*(?:\(\))?")
_IN_QUOTES: Final = re.compile(r"\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'")
_COMMENT: Final = re.compile(r"(?:(?<=\s)|^)(?:#|//)[ !/].*$", re.MULTILINE)
#: What a block of code calls its own.
_DEFINED: Final = re.compile(
    r"""
      \b(?:def|class|function|func|fn|interface|type|enum|struct|import|as|from|const|let|var|for|package|use)\s+
        (?P<one>[A-Za-z_][\w.]*)
    | ^[ \t]*(?:export\s+)?(?P<assigned>[A-Za-z_]\w*)(?:\s*:[^=\n]+)?[ \t]+=[ \t]
    | \b(?:const|let|var|import)\s*[\[{](?P<several>[^\]}\n]{0,300})[\]}]
    | \b(?:def|function|func|fn)\s*\w*\((?P<parameters>[^)]{0,300})\)
    | \((?P<arrow>[\w\s,]{0,300})\)\s*=>
    | ^[ \t]*(?P<shell>[a-z_]\w*)=
    """,
    re.VERBOSE | re.MULTILINE,
)
_PARAMETER: Final = re.compile(r"[A-Za-z_]\w*")
#: Languages in which an assignment sets an option and quotes hold names.
_SETTINGS: Final = frozenset(
    {"toml", "ini", "env", "dotenv", "yaml", "yml", "json", "jsonc", "json5", "properties", "conf"}
)
_SHELLS: Final = frozenset({"sh", "bash", "shell", "console", "zsh", "fish", "powershell", "cmd", "bat"})
#: What a program's author does not choose, wherever it stands: a flag, a path, a variable of the environment. Of its
#: other names those that are called or set are checked; the rest may be the author's own.
_ANYWHERE: Final = re.compile(r"--|[A-Z][A-Z0-9]*_[A-Z0-9_]+\Z|[~.]*/")
#: What a writer puts in a name's place.
_PLACEHOLDER: Final = re.compile(
    r"[~./@]*(?:your|my|example|foo|bar|baz|some|path/to|tmp\b|usr\b|dev/null|etc/hosts|home\b|bin\b)", re.IGNORECASE
)


def names_in(text: str) -> list[str]:
    """The names of a piece of prose or of a passage, in reading order, each once; what is between backticks and in
    code blocks among them."""
    return list(dict.fromkeys(_names(text, strict=False)))


def checkable_names(answer: str) -> list[str]:
    """The names of an answer that have to stand in the docs: neither everybody's, nor made up by its own code."""
    if not _MAY_NAME.search(answer):
        return []
    blocks = list(BLOCK.finditer(answer)) if "```" in answer or "~~~" in answer else []
    own = {name for block in blocks for name in _defined(block[3], language_of(block[2]))}
    names = dict.fromkeys(_names(answer, strict=True))
    return [name for name in names if not _is_standard(name) and name.split(".")[0].strip("@") not in own]


def holds(text: str, name: str) -> bool:
    """Whether a name stands in a text as a whole, in the same letters."""
    if "." in name and "/" not in name:
        return _stands(text, name) or _stands(text, f".{name.rpartition('.')[2]}")
    if name.endswith("()"):
        return _stands(text, name[:-2])
    return _stands(text, name)


async def unknown_names(
    answer: str, passages: Sequence[Passage], release: Release, services: Services
) -> tuple[UnknownName, ...]:
    """The names of an answer that stand nowhere in the release, each with the nearest that does; none of them where
    the index does not answer within a second."""
    shown = [_whole(passage.chunk.chunk) for passage in passages]
    missing = [name for name in checkable_names(answer) if not any(holds(text, name) for text in shown)]
    missing = missing[:MOST_LOOKED_FOR]
    doubtful = [one for one in sub_commands_in(answer) if not any(holds(text, one.name) for text in shown)]
    doubtful = doubtful[: MOST_LOOKED_FOR - len(missing)]
    if not missing and not doubtful:
        return ()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await services.store.holding(
                release.collection, release.number,
                [services.bm25.encode_query(str(name)) for name in (*missing, *doubtful)], READ_FOR_EACH,
            )  # fmt: skip
    except (LecternError, TimeoutError) as error:
        log.warning("names of an answer were not looked for", reason=str(error) or "late")
        return ()
    texts = [*shown, *(_whole(chunk.chunk) for chunk in found)]
    unheard = [name for name in missing if not any(holds(text, name) for text in texts)]
    commands = [UnknownName(str(one), alike) for one, alike in invented(doubtful, texts)]
    return (*[UnknownName(name, alike) async for name, alike in _with_nearest(unheard, texts)], *commands)


async def _with_nearest(names: Sequence[str], texts: Sequence[str]) -> AsyncGenerator[tuple[str, str], None]:
    """Each name with the nearest one of these texts. They are many where many names are invented, so that other
    visitors get their turn after each text and each name, which take a millisecond or two."""
    known: dict[str, None] = {}
    for text in texts if names else ():
        known |= dict.fromkeys(names_in(text))
        await asyncio.sleep(0)
    for name in names:
        yield name, nearest(name, known)
        await asyncio.sleep(0)


def nearest(name: str, known: Iterable[str]) -> str:
    """The most similar of the known names, a flag for a flag; "" if none comes near."""
    # Without their dashes, which would make any two short flags alike.
    alike = {
        other.lstrip("-"): other for other in known if other.startswith("--") == name.startswith("--") and other != name
    }
    found = difflib.get_close_matches(name.lstrip("-"), alike, n=1, cutoff=LIKENESS)
    return alike[found[0]] if found else ""


def remark_on(unknown: Sequence[UnknownName]) -> str:
    """A line for an answer's end that says which of its names are not in the docs; "" without any."""
    if not unknown:
        return ""
    named = [
        f"`{name.name}`" + (f" (did you mean `{name.nearest}`?)" if name.nearest else "")
        for name in unknown[:MOST_NAMED]
    ]
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    return f"\n\n*Not found in these docs:* {', '.join(named)}{more}"


def _names(text: str, *, strict: bool) -> Iterator[str]:
    """strict: leave out what a program's author may call as they like."""
    prose = _TOO_LONG.sub(" ", _LINK.sub(r"\1", text))
    position = 0
    for block in BLOCK.finditer(prose):
        yield from _names_in_prose(prose[position : block.start()])
        yield from _names_in_code(block[3], language_of(block[2]), strict=strict)
        position = block.end()
    yield from _names_in_prose(prose[position:])


def _names_in_prose(text: str) -> Iterator[str]:
    for span in SPAN.finditer(text):
        code = span[2].strip()
        word = _WORD.fullmatch(code)
        if word and len(code) >= SHORTEST_WORD:
            yield code
        else:
            yield from (found.group().rstrip(".-/") for found in _matches(code, _PASCAL))
    for found in _matches(SPAN.sub(" ` ", text), _LONG_PASCAL):
        emphasised = found.string[found.end() : found.end() + 1] == "_"
        yield found.group().rstrip(".-/").lstrip("_" if emphasised else "")


def _names_in_code(code: str, language: str, *, strict: bool) -> Iterator[str]:
    code = _COMMENT.sub("", code)
    if language not in _SETTINGS:
        code = _IN_QUOTES.sub('""', code)
    of_program = strict and language not in _SETTINGS and language not in _SHELLS
    for found in _matches(code, _PASCAL):
        name = found.group().rstrip(".-/")
        if of_program and not (_ANYWHERE.match(name) or found.string[found.end() : found.end() + 1] in ("(", "=")):
            continue
        yield name


def _matches(text: str, pascal: re.Pattern[str]) -> Iterator[re.Match[str]]:
    text = _ADDRESS.sub(" ", text)
    yield from _NAME.finditer(text)
    yield from pascal.finditer(text)


def _defined(code: str, language: str) -> Iterator[str]:
    if language in _SETTINGS:
        return
    for found in _DEFINED.finditer(code):
        if found["one"]:
            yield from (found["one"], found["one"].split(".")[0])
        if found["assigned"] or found["shell"]:
            yield found["assigned"] or found["shell"]
        for several in (found["several"], found["parameters"], found["arrow"]):
            yield from _PARAMETER.findall(several or "")


def _is_standard(name: str) -> bool:
    plain = name.removesuffix("()").lower()
    return plain in EVERYDAY or bool(_PLACEHOLDER.match(name))


def _stands(text: str, name: str) -> bool:
    """Whether a name stands in a text with nothing to either side that would make it another."""
    position = text.find(name)
    while position >= 0:
        before, after = text[position - 1 : position] if position else "", text[position + len(name) :][:2]
        longer = name[:1] != "." and (before.isalnum() or before in tuple("_-"))
        goes_on = after[:1].isalnum() or after[:1] == "_" or (after[:1] == "-" and after[1:].isalnum())
        if not longer and not goes_on:
            return True
        position = text.find(name, position + 1)
    return False


def _whole(chunk: Chunk) -> str:
    """All that a passage shows: a page's path and address are names as well."""
    return f"{chunk.embedded_text}\n{chunk.path}\n{chunk.url}"
