"""Visitors who leave, before whichever proxy: the answer that nobody reads any more is stopped within a second."""

from __future__ import annotations

import time
from typing import Final

import httpx
import pytest

from tests.proxy.answers import event_of
from tests.proxy.servers import Api
from tests.system import until

WITHOUT_END: Final = {"question": "1000 words, 0.05 seconds apart"}
SILENT_FOR_LONG: Final = {"question": "1 words, 30 seconds apart", "stream": False}


def assert_leaving_an_answer_stops_it(visitor: httpx.Client, api: Api) -> None:
    before = len(api.noted("left"))
    with visitor.stream("POST", "/chat", json=WITHOUT_END) as response:
        lines = response.iter_lines()
        next(line for line in lines if event_of(line).get("type") == "chunk")
    assert_stopped(api, before)


def assert_leaving_a_silence_stops_the_answer(visitor: httpx.Client, api: Api) -> None:
    before = len(api.noted("left"))
    with pytest.raises(httpx.ReadTimeout):
        visitor.post("/chat", json=SILENT_FOR_LONG, timeout=0.3)
    assert_stopped(api, before)


def assert_stopped(api: Api, before: int) -> None:
    left_at = time.monotonic()
    until(lambda: len(api.noted("left")) == before + 1, 5, every=0.01)
    assert api.noted("left")[-1] - left_at < 1
