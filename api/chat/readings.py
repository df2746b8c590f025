"""A question back, where one word was asked that the docs speak of in several places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from api.chat.citations import link_to, section_of
from api.chat.events import Citation, Question
from api.chat.markdown import escape_link_text
from shared.models import Passage

#: Other readings that are offered.
OFFERED: Final = 3

_ONE_WORD: Final = re.compile(r"[^\W_][\w.+#-]*[?!.]?")
#: Words that only ask.
_ASKS: Final = frozenset(["describe", "explain", "how", "more", "what", "when", "where", "which", "who", "why"])


def question_back(question: Question, passages: Sequence[Passage], cited: Sequence[Citation]) -> str:
    """A closing line that offers the sections which the answer has not used; "" for a question of several words, and
    where there is but one reading, or something was said or marked before, which the word is about."""
    word = question.text.strip()
    if question.history or question.selection or not _ONE_WORD.fullmatch(word):
        return ""
    word = word.rstrip("?!.")
    if word.lower() in _ASKS:
        return ""
    used = {(citation.path, citation.section) for citation in cited}
    others = [passage for passage in passages if (passage.chunk.chunk.path, section_of(passage)) not in used]
    links = list(dict.fromkeys(map(link_to, others)))[:OFFERED]
    if not links or not cited:
        return ""
    offered = links[0] if len(links) == 1 else f"{', '.join(links[:-1])} or {links[-1]}"
    return f"\n\nWhat would you like to know about {escape_link_text(word)}? There is also {offered}."
