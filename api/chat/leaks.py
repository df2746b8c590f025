"""Stops an answer in which the model begins to recite its rules, before a visitor has read more than a few words.

The rules hold no secret but the fence of the passages, a random string that a hidden instruction would need to break
out of it. Reciting them is the sign that the model obeys somebody else, so what follows is not worth waiting for. Only
verbatim text is noticed: rules that are translated or spelt backwards pass, and tell nothing that is not in Lectern's
source.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Final

from api.chat.model import Ending
from api.chat.prompt import Prompt

#: Words of the rules in a row that nobody says by chance.
RECITED: Final = 8
#: Words in a row from which they are held back until the next one tells. Three occur once in some hundred sentences.
HELD: Final = 3
#: Characters of the fence from which they are held back.
FENCE_HELD: Final = 4
#: Characters that are kept before those are let go that nothing can reach back to.
REMEMBERED: Final = 2048
#: No word of the rules has so many characters: what has no end by then is read no further.
LONGEST_WORD: Final = 64
WITHHELD: Final = "I can only tell you what these docs say. Please ask me about them."

_WORD: Final = re.compile(r"(?<![^\W_])[^\W_]++(?=[\W_])")
_FENCE: Final = re.compile(r"[0-9a-f]{16}")


class LeakGuard:
    """Feed it a model's words as they come, and send on what it returns; once `leaked` is set, nothing more comes."""

    def __init__(self, rules: str, shown: Sequence[str] = ()) -> None:
        """`shown`: texts that the answer may quote whatever they say."""
        self.leaked = False
        fence = _FENCE.search(rules)
        self._fence = fence.group() if fence else ""
        #: Without the fence they are the same for every answer.
        self._rules, self._places = _read_rules(rules.replace(self._fence, "fence") if fence else rules)
        #: What may be the beginning of the fence.
        self._fence_begun = tuple(self._fence[:length] for length in range(FENCE_HELD, len(self._fence)))
        self._shown = shown
        #: The end of what has come, and the positions in it up to which it was sent on and its words were read.
        self._text = ""
        self._sent = 0
        self._read = 0
        #: For each place of the rules where a run of words ends: how many.
        self._runs: dict[int, int] = {}
        #: The longest of them.
        self._run = 0
        #: Where the last words begin in `_text`.
        self._starts: deque[int] = deque(maxlen=RECITED)

    def feed(self, delta: str) -> str:
        """What may be said for sure after `delta`."""
        self._text += delta
        run = self._read_words()
        end = self._end_before_fence()
        if run >= HELD:
            end = min(end, self._starts[-run])
        elif run == HELD - 1:
            end = min(end, self._read)  # no half of a word that may be the third
        return self._send(end)

    def finish(self) -> str:
        """What was held back until the end was known."""
        self._text += " "
        self._read_words()
        return self._send(len(self._text) - 1)

    def _send(self, end: int) -> str:
        if self.leaked:
            return ""
        fence = self._text.find(self._fence) if self._fence else -1
        recited = self._run >= RECITED
        if fence >= 0 or recited:
            self.leaked = True
            end = min(fence if fence >= 0 else end, self._starts[0] if recited else end)
        end = max(end, self._sent)  # some of it may have been sent on before it could be told
        said = self._text[self._sent : end]
        self._sent = end
        if len(self._text) > REMEMBERED:
            self._forget(min(self._sent, self._read) - len(self._fence))
        return said

    def _forget(self, count: int) -> None:
        """Let go of what no word and no fence can reach back to."""
        if count > 0:
            self._text = self._text[count:]
            self._sent -= count
            self._read -= count
            self._starts = deque((start - count for start in self._starts), maxlen=RECITED)

    def _end_before_fence(self) -> int:
        """Where the text ends if what may be the beginning of the fence is left out."""
        if not self._text.endswith(self._fence_begun):
            return len(self._text)
        return len(self._text) - max(len(begun) for begun in self._fence_begun if self._text.endswith(begun))

    def _read_words(self) -> int:
        """Read the words that have come whole, up to a recital; the length of the run that ends with the last one."""
        for found in _WORD.finditer(self._text, self._read):
            if self._run >= RECITED:
                break
            self._starts.append(found.start())
            self._read = found.end()
            places = self._places.get(found.group().casefold())
            if places is None:
                self._runs, self._run = {}, 0
                continue
            self._runs = {place: self._runs.get(place - 1, 0) + 1 for place in places}
            self._run = max(self._runs.values())
            if self._run >= RECITED and self._is_shown():
                self._runs = {place: min(run, RECITED - 1) for place, run in self._runs.items()}
                self._run = RECITED - 1
        unfinished = self._text[self._read :]
        if len(unfinished) > LONGEST_WORD and unfinished[-LONGEST_WORD:].isalnum():
            self._runs, self._run, self._read = {}, 0, len(self._text)
        return min(self._run, RECITED)

    def _is_shown(self) -> bool:
        """Whether the run stands in what the answer was made from as well, as in docs that speak of such rules."""
        place = max(self._runs, key=lambda at: self._runs[at])
        run = self._rules[place - RECITED + 1 : place + 1]
        return re.search(r"[\W_]+".join(run), "\n".join(self._shown), re.IGNORECASE) is not None


@lru_cache(maxsize=4)
def _read_rules(rules: str) -> tuple[Sequence[str], Mapping[str, Sequence[int]]]:
    """The words of the rules, and the places of each among them."""
    words = [word.casefold() for word in _WORD.findall(rules + " ")]
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words):
        places.setdefault(word, []).append(place)
    return words, places


async def without_leaks(
    parts: AsyncGenerator[str | Ending, None], prompt: Prompt
) -> AsyncGenerator[str | Ending, None]:
    """The model's parts up to where it recites its rules; closing this closes the model's stream."""
    rules, *_ = prompt.messages
    guard = LeakGuard(rules.content, [passage.chunk.chunk.text for passage in prompt.passages])
    begun = False
    async with aclosing(parts):
        async for part in parts:
            said = guard.finish() if isinstance(part, Ending) else guard.feed(part)
            if guard.leaked:
                yield f"{said}\n\n{WITHHELD}" if begun or said else WITHHELD
                yield Ending("refusal")
                return
            if said:
                begun = True
                yield said
            if isinstance(part, Ending):
                yield part
