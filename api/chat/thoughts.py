"""Leaves out what a model thinks aloud before it answers: some servers send `<think>...</think>` as words of it."""

from __future__ import annotations

from typing import Final

OPENED: Final = "<think>"
CLOSED: Final = "</think>"


class Thoughts:
    """Takes an answer's words as they come and gives back those that are meant for its reader."""

    def __init__(self) -> None:
        #: Whether all that follows is the answer, so that nobody has to look any more.
        self.over = False
        self._held = ""
        self._thinking = False

    def feed(self, text: str) -> str:
        """The part of `text`, and of what was held back before, that belongs to the answer."""
        if self.over:
            return text
        self._held += text
        if self._thinking:
            return self._wait_for_the_end()
        begun = self._held.lstrip()
        if begun.startswith(OPENED):
            self._thinking = True
            return self._wait_for_the_end()
        return "" if OPENED.startswith(begun) else self._release(self._held)

    def finish(self) -> str:
        """What was held back to the last: the beginning of a tag that was none."""
        return "" if self._thinking else self._release(self._held)

    def _wait_for_the_end(self) -> str:
        _, closed, answer = self._held.partition(CLOSED)
        if closed:
            # The blank lines after the thoughts are no part of the answer either, and come one by one.
            self._held = closed + answer.lstrip()
            return self._release(answer.lstrip()) if answer.strip() else ""
        self._held = self._held[-len(CLOSED) :]
        return ""

    def _release(self, text: str) -> str:
        self.over = True
        self._held = ""
        return text
