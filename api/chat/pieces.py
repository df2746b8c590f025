"""Cuts a passage's Markdown into pieces that can be quoted by themselves: sentences, lists, code blocks, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from textwrap import dedent, indent
from typing import Final, Literal

from api.chat.markdown import without_links
from api.chat.sentences import CODE_SPAN, around_code, split_sentences

#: Characters up to which a list, a table or a code block is quoted whole.
WHOLE: Final = 900
#: ... and steps, which are a numbered list.
WHOLE_STEPS: Final = 2500
#: A list item with fewer words than this beside its links is a signpost: without the links nothing is left of it.
WORDS_BESIDE_LINKS: Final = 2
#: Words of a list's items, on average, from which each is a sentence of its own and makes sense without the others.
WORDS_OF_AN_ITEM: Final = 8

#: What code begins with.
FENCES: Final = ("```", "~~~")
#: A block with nothing above it that leads to it.
BARE_BLOCK: Final = re.compile(r"\s*(?:`{3}|~{3}|\||[-*+]\s|\d{1,9}[.)]\s)")

Kind = Literal["sentence", "list", "code", "table"]

_FENCE: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_HEADING: Final = re.compile(r"\s*#{1,6}\s+(.*?)[ \t]*#*\s*(?:\{#[^{}]*\}\s*)?$")
_ITEM: Final = re.compile(r"[ \t]{0,3}(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_STEP: Final = re.compile(r"^[ \t]{0,3}\d{1,9}[.)][ \t]+\S", re.MULTILINE)
#: Headings, the frames of admonitions and tabs, rules, and what MDX imports: scaffolding, not text.
_SCAFFOLDING: Final = re.compile(
    r"\s*(?:#{1,6}\s|:{3,}|/{3,}|!{3}\s|={3,}|-{3,}\s*$|\*{3,}\s*$|(?:import|export)\s.*(?:from\s|[;=])|</?[A-Za-z][^>]*>\s*$|<!--.*-->\s*$|\{/\*.*\*/\}\s*$)"
)
#: A path or a name alone: what is left of a file that is included elsewhere, or of a reference to code.
_BARE_PATH: Final = re.compile(r"`?[\w./:-]*[./:]\w[\w./:-]*`?")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>")
_UNESCAPED_BRACKET: Final = re.compile(r"(?<!\\)\[")
#: A lead-in after which one item alone would leave a question: "There are two ways:", "The following are read:"
_COUNTED: Final = re.compile(
    r"\b(?:\d+|two|three|four|five|six|seven|eight|nine|ten|these|following|several|some)\b", re.IGNORECASE
)
#: "[That page](...) tells more." Without the link, it tells nothing.
_SIGNPOST: Final = re.compile(
    r"(?:(?<=[.!?]\s)|^)(?:The\s+)?\[[^\[\]]+\]\([^()\s]*\)\s+"
    r"(?:says?|tells?|explains?|describes?|shows?|covers?)\b[^.!?]*\.(?:\s+|$)"
)
#: A listing that only says which file is shown here: "{!../app.py!}", "--8<-- 'app.py'".
_INCLUDE: Final = re.compile(r"\s*(?:\{[!*].*[!*]\}|\{\{\s*#\w+.*\}\}|-+8<-+\s.*|//\s*\.\.\.|\.\.\.)?\s*")
#: Colours of a terminal, as tags.
_COLOUR: Final = re.compile(r"</?(?:span|font)(?:\s[^<>]*)?>")
_TERMINAL: Final = re.compile(r"[ \t>]*(?:`{3,}|~{3,})\s*(?:console|terminal|shell|bash|sh)\b")
#: A reply to the question that the heading asks, which may be the contrary of the visitor's.
_BARE_REPLY: Final = re.compile(r"^(?:yes|no)\.\s+(?=[A-Z`\"'*])", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\[([^\[\]\n]+)\]\[[^\[\]\n]*\]")
_LINKED: Final = re.compile(r"!?\[[^\[\]\n]*\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\[\]\n]*\])|<?https?://\S+")
_WORD: Final = re.compile(r"[^\W_]{2,}|[\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a passage, as it can be shown."""

    kind: Kind
    #: Markdown; brackets outside code are escaped, so that none is taken for a mark.
    text: str
    #: The heading inside the passage that it stands under; "" before the first one.
    heading: str = ""
    #: The first sentence of its paragraph: what stands before it is another thought.
    opens: bool = False
    #: What has to stand above a part of a list or table: the sentence that announces it, the table's header.
    above: str = ""
    #: A part of a list or table, which may stand beside others of it.
    part: bool = False

    @property
    def whole(self) -> str:
        """The text with what has to stand above it."""
        return self.above + self.text

    @property
    def ordered(self) -> bool:
        """Whether these are steps."""
        return self.kind == "list" and _STEP.search(self.text) is not None


def split_pieces(text: str, *, whole_lists: bool = True) -> list[Piece]:
    """The pieces of a passage in reading order. A sentence that announces a list or code belongs to it, and goes with
    it where that is nothing but links.

    whole_lists: a list is one piece; else its items are, if they are sentences and no steps.
    """
    pieces: list[Piece] = []
    heading = ""
    for kind, block in ((kind, _told(kind, block)) for kind, block in blocks_of(text)):
        if not block:
            continue
        if kind == "heading":
            heading = quotable(block)
            continue
        if kind == "sentence":
            paragraph = _BARE_REPLY.sub("", quotable(_SIGNPOST.sub("", " ".join(block.split()))))
            sentences = [_unbolded(sentence) for sentence in split_sentences(paragraph)]
            pieces += [Piece(kind, sentence, heading, place == 0) for place, sentence in enumerate(sentences)]
            continue
        announced = bool(pieces) and pieces[-1].text.rstrip("*_ ").endswith(":") and pieces[-1].heading == heading
        if announced and pieces[-1].kind == "list" and kind == "code":
            pieces[-1] = replace(pieces[-1], text=f"{pieces[-1].text}\n\n{_shortened(block)}")
            continue
        lead = pieces.pop().text + "\n\n" if announced and pieces[-1].kind == "sentence" else ""
        parts = list(_parts(kind, block, whole_lists=whole_lists or _COUNTED.search(lead) is not None))
        if kind != "code":
            parts = [(quotable(above), quotable(_SIGNPOST.sub("", part)).rstrip()) for above, part in parts]
        if len(parts) == 1:
            pieces += [Piece(kind, lead + above + part, heading) for above, part in parts]
        else:
            pieces += [Piece(kind, part, heading, above=lead + above, part=True) for above, part in parts]
    return [piece for piece in pieces if piece.text.strip() and not _BARE_PATH.fullmatch(piece.text)]


def _told(kind: Kind | Literal["heading"], block: str) -> str:
    """What a listing shows, without what only its site understands; "" if nothing is left. Other blocks as they are."""
    if kind != "code":
        return block
    inside = block.split("\n")[1:-1]
    if inside and all(map(_INCLUDE.fullmatch, inside)):
        return ""
    return _COLOUR.sub("", block) if _TERMINAL.match(block) else block


def _unbolded(sentence: str) -> str:
    """The sentence without the half of a pair of signs whose other half stands in another sentence."""
    prose = CODE_SPAN.sub("", sentence)
    return sentence.replace("**", "") if prose.count("**") % 2 and prose == sentence else sentence


def quotable(text: str) -> str:
    """Prose without links, images and tags, which mean something only where it stood; code stays as it is."""
    return around_code(text, _unlinked)


def _unlinked(text: str) -> str:
    if "[" in text:
        text = _UNESCAPED_BRACKET.sub(r"\\[", _REFERENCE.sub(r"\1", without_links(text)))
    return _TAG.sub("", text) if "<" in text else text


def blocks_of(text: str) -> Iterator[tuple[Kind | Literal["heading"], str]]:
    """Runs of lines that belong together, and the headings between them."""
    lines = text.split("\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        kind: Kind = "sentence"
        end = position + 1
        if fence := _FENCE.match(line):
            kind, end = "code", _end_of_code(lines, position, fence[1])
        elif line.lstrip().startswith("|"):
            kind, end = "table", _end_of_table(lines, position)
        elif _ITEM.match(line):
            kind, end = "list", _end_of_list(lines, position)
        elif found := _HEADING.match(line):
            yield "heading", found[1]
            position = end
            continue
        elif not line.strip() or _SCAFFOLDING.match(line):
            position = end
            continue
        else:
            end = _end_of_paragraph(lines, position)
        block = lines[position:end]
        yield kind, "\n".join(block if kind != "sentence" else [part.lstrip("> \t") for part in block])
        position = end


def _end_of_code(lines: list[str], start: int, run: str) -> int:
    for position in range(start + 1, len(lines)):
        if lines[position].strip(" \t>").startswith(run) and not lines[position].strip(" \t>").strip(run[0]):
            return position + 1
    return len(lines)


def _end_of_table(lines: list[str], start: int) -> int:
    end = start
    while end < len(lines) and lines[end].lstrip().startswith("|"):
        end += 1
    return end


def _end_of_list(lines: list[str], start: int) -> int:
    """A list goes on over its items, what is indented below them, and the blank lines between."""
    end = start + 1
    while end < len(lines):
        following = next((line for line in lines[end:] if line.strip()), "")
        continued = bool(lines[end].strip()) and bool(lines[end - 1].strip())
        belongs = continued or _ITEM.match(following) or following.startswith(("  ", "\t"))
        if not belongs or _SCAFFOLDING.match(following):
            break
        end += 1
    return end


def _end_of_paragraph(lines: list[str], start: int) -> int:
    end = start + 1
    while end < len(lines):
        line = lines[end]
        if not line.strip() or _FENCE.match(line) or _ITEM.match(line) or _SCAFFOLDING.match(line):
            break
        if line.lstrip().startswith("|"):
            break
        end += 1
    return end


def _parts(kind: Kind, block: str, *, whole_lists: bool) -> Iterator[tuple[str, str]]:
    """A block whole, or what it is made of where it is too long to be quoted; each part with what it needs above it.

    Steps stay together as long as anyone would follow them: one of them alone leads nowhere.
    """
    block = block.strip("\n")
    lines = block.split("\n")
    if kind == "list":
        items = list(items_of(lines))
        telling = [item for item in items if not _only_links(item)]
        whole = block if telling == items else "\n".join(telling)
        limit = WHOLE_STEPS if _STEP.match(block) else WHOLE
        if whole and len(whole) <= limit and (whole_lists or not _of_sentences(telling)):
            yield "", whole
        else:
            for item in telling:
                yield from _parts_of_item(item)
    elif len(block) <= WHOLE:
        yield "", block
    elif kind == "table" and len(lines) > 2:
        yield from (("\n".join((*lines[:2], "")), row) for row in lines[2:])
    elif kind == "code":
        yield "", _shortened(block)
    else:
        yield "", block


def _parts_of_item(item: str) -> Iterator[tuple[str, str]]:
    """An item whole, or the items below it where it is too long to be quoted."""
    first, *below = item.split("\n")
    nested = list(items_of(dedent("\n".join(below)).split("\n")))
    if len(item) <= WHOLE or len(nested) < 2 or not all(_ITEM.match(part) for part in nested):
        yield "", item
    else:
        yield from ((f"{first}\n", indent(part, "    ")) for part in nested)


def items_of(lines: list[str]) -> Iterator[str]:
    """The items of a list, each with what is indented below it."""
    item: list[str] = []
    for line in lines:
        if item and _ITEM.match(line) and not line.startswith((" ", "\t")):
            yield "\n".join(item).rstrip()
            item = []
        item.append(line)
    yield "\n".join(item).rstrip()


def _of_sentences(items: list[str]) -> bool:
    return not _STEP.match(items[0]) and sum(len(item.split()) for item in items) >= WORDS_OF_AN_ITEM * len(items)


def _only_links(item: str) -> bool:
    beside, links = _LINKED.subn(" ", item)
    return links > 0 and len(_WORD.findall(beside)) < WORDS_BESIDE_LINKS


def _shortened(block: str) -> str:
    """A code block whole, or as many of its first lines as fit; up to a blank line in their latter half."""
    if len(block) <= WHOLE:
        return block
    lines = block.split("\n")
    fence = _FENCE.match(lines[0])
    kept: list[str] = []
    length = 0
    for line in lines[:-1]:
        length += len(line) + 1
        if length > WHOLE and len(kept) > 1:
            break
        kept.append(line)
    blank = next((place for place in reversed(range(len(kept))) if not kept[place].strip()), 0)
    kept = kept[:blank] if 2 * blank > len(kept) else kept
    return "\n".join((*kept, "...", fence[1] if fence else "```"))
