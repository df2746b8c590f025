"""How long it takes from a kill until somebody does again what was being done: asks for the same text."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.faults.editions import is_passage
from tests.stand_in.control import Provider, Stats

#: A kill is what made a request's client leave if it left this soon after.
AT_ONCE: Final = 1.0
#: Kills that may miss: the victim's request had just been answered.
MISSES: Final = 10


def recoveries(abandoned: Sequence[tuple[float, float | None]], killed_at: float) -> list[float]:
    """Seconds until a text whose asker was killed at that time was asked for again."""
    return [again - killed_at for left, again in abandoned if again is not None and 0 <= left - killed_at < AT_ONCE]


def recovered(provider: Provider, kill: Callable[[], bool], seconds: float, requests: int = 1) -> float:
    """Kill somebody while so many requests are under way; seconds until a text of his was asked for again."""
    for _ in range(MISSES):
        provider.wait_until(lambda stats: _embeds_passages(stats) and stats.embeddings.in_flight >= requests, seconds)
        killed_at = time.monotonic()
        assert kill()
        time.sleep(AT_ONCE)
        if any(0 <= left - killed_at < AT_ONCE for left, _ in provider.stats().embeddings.abandoned):
            break
    else:
        raise AssertionError(f"{MISSES} kills in a row cut no request off")

    def again(stats: Stats) -> list[float]:
        return recoveries(stats.embeddings.abandoned, killed_at)

    return min(again(provider.wait_until(lambda stats: bool(again(stats)), seconds)))


def _embeds_passages(stats: Stats) -> bool:
    """Before the first passage, a process asks how long the model's vectors are."""
    return any(map(is_passage, stats.embeddings.texts))


def slowness() -> float:
    """How many times longer than alone everything takes on this machine now: 1 unless more wants to run than can."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
