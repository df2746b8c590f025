"""Stops asking a model that fails, and finds out when it is back. Pure but for its clock; one for each model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Failures in a row after which nobody else has to wait for the next one.
MOST_FAILURES: Final = 3
#: Seconds until one question may try again: most faults of a provider last seconds.
PAUSE: Final = 10.0
#: ... and after a refusal that only its owner can end, with money or another key, and for the longest wait that a
#: provider asks for: an owner who has mended it does not want to wait much longer.
LONG_PAUSE: Final = 60.0


class Breaker:
    """Closed: everybody may ask. Open: nobody. Half open, once the pause is over: one may, and its fate decides."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        #: When the pause is over; None while closed.
        self._until: float | None = None
        self._probing = False

    @property
    def wait(self) -> float:
        """Seconds until asking makes sense; 0 where it does."""
        if self._until is None:
            return 0.0
        left = self._until - self._clock()
        return max(left, 1.0) if left > 0 or self._probing else 0.0

    def enter(self) -> bool:
        """Whether the model may be asked. Whoever may has to say how it goes, with the methods below."""
        if self.wait:
            return False
        self._probing = self._until is not None
        return True

    def began(self) -> None:
        """The first word has come, so that others need not wait for the last one."""
        self._until = None
        self._probing = False

    def succeeded(self) -> None:
        """The model has answered to the end."""
        self.began()
        self._failures = 0

    def failed(self, pause: float | None = None) -> None:
        """The model has failed; `pause`: it will go on failing for so many seconds."""
        self._failures += 1
        if pause is not None or self._probing or self._failures >= MOST_FAILURES:
            self._until = self._clock() + min(PAUSE if pause is None else pause, LONG_PAUSE)
        self._probing = False

    def left(self) -> None:
        """Nobody knows: the visitor has not waited, or the question itself was refused."""
        self._probing = False
