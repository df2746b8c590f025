"""Ends open streams in order when the process is told to stop: the server by itself waits for them without end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def draining_on_signals() -> Iterator[asyncio.Event]:
    """An event that is set when a stop signal arrives, before the server's own handler hears of it."""
    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    previous = _handlers()

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(draining.set)
        previous[number](number, frame)

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield draining
    finally:
        draining.set()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _handlers() -> dict[int, Callable[[int, FrameType | None], Any]]:
    """The server's handlers. Where there is none, the system's default stops the process and has to stay."""
    if threading.current_thread() is not threading.main_thread():
        return {}  # signals are handled in the main thread alone
    handlers = {int(number): signal.getsignal(number) for number in STOP_SIGNALS}
    return {number: handler for number, handler in handlers.items() if callable(handler)}
