"""What the stand-in is told to do: a list of steps for each route, each for a number of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Route = Literal["embeddings", "chat"]
ROUTES: tuple[Route, ...] = ("embeddings", "chat")


@dataclass(frozen=True)
class Step:
    """One behaviour, for `times` requests; None: for all that come."""

    behaviour: str = "ok"
    times: int | None = 1
    options: Mapping[str, Any] = field(default_factory=dict)


def step(behaviour: str = "ok", /, *, times: int | None = 1, **options: Any) -> Step:
    """`step("rate_limited", times=2, retry_after=1)`. Behaviours and options: `tests.stand_in.provider`."""
    return Step(behaviour, times, options)


class Plan:
    """Steps that are used up in order; when none is left, everything is ok."""

    def __init__(self, steps: list[Step] | None = None) -> None:
        self._steps = list(steps or [])

    def next(self) -> Step:
        if not self._steps:
            return Step()
        first = self._steps[0]
        if first.times is None:
            return first
        if first.times <= 1:
            self._steps.pop(0)
        else:
            self._steps[0] = Step(first.behaviour, first.times - 1, first.options)
        return first
