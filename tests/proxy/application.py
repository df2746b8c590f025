"""The API with answers at a fixed pace, as a process: `python -m tests.proxy.application PORT NOTES`.

A question says how it is to be answered: "20 words, 0.05 seconds apart". Each word is the time at which it was sent,
as time.monotonic(), which is the same clock in all processes. What becomes of an answer is appended to the file NOTES.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import uvicorn

from api.chat.events import Delta, Event, Question, Started
from api.chat.model import ChatModel
from api.dependencies import Timings
from api.main import create_app
from shared.services import Services
from shared.settings import load_settings
from tests.http_api import NoModel, finished, open_services_without_model

#: Seconds. Pings come often enough for tests that have no time.
HEARTBEAT: Final = 0.3


class PacedAnswer:
    """Answers as its questions want it, and notes what becomes of each."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        wanted = re.fullmatch(r"(\d+) words, ([\d.]+) seconds apart", question.text)
        assert wanted is not None, question.text
        self._note("asked")
        ending = "left"
        try:
            yield Started((), 1)
            for _ in range(int(wanted[1])):
                yield Delta(f"{time.monotonic()} ")
                await asyncio.sleep(float(wanted[2]))
            yield finished("said")
            ending = "finished"
        finally:
            self._note(ending)

    def _note(self, what: str) -> None:
        with self._notes.open("a") as notes:
            notes.write(json.dumps({"what": what, "at": time.monotonic()}) + "\n")


def main(port: str, notes: str) -> None:
    application: Any = create_app(
        load_settings(None), answer=PacedAnswer(Path(notes)), open_model=lambda _: NoModel(),
        open_services=open_services_without_model, timings=Timings(heartbeat=HEARTBEAT),
    )  # fmt: skip
    uvicorn.run(
        application, host="127.0.0.1", port=int(port), proxy_headers=False, access_log=False,
        timeout_graceful_shutdown=5,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
