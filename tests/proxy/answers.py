"""What comes back through a proxy, and how to tell whether it is right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import httpx

from api.main import create_app
from shared.settings import load_settings
from tests.proxy.servers import Proxy, program

#: Routes that nobody outside may reach.
INSIDE: Final = {"/metrics"}
#: Ways to write an address that must not be reached from outside.
METRICS: Final = ("/metrics", "/metrics/", "//metrics", "/%6Detrics", "/static/%2e%2e/metrics", "/chat/../metrics")
UNDOCUMENTED: Final = ("/", "/api/chat", "/static/chat.js", "/docs", "/openapi.json", "/swagger/swagger-ui.css")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an answer: time.monotonic() at the API and at the visitor."""

    sent: float
    came: float


def words_of(lines: Iterator[str]) -> list[Word]:
    """The words of an answer as its lines come in, in either dialect."""
    words = []
    for line in lines:
        event = event_of(line)
        if event.get("type") == "chunk":
            words.append(Word(float(event["content"]), time.monotonic()))
    return words


def event_of(line: str) -> dict[str, Any]:
    """The event on a line of Server-Sent Events or of JSON lines; empty if there is none."""
    text = line.removeprefix("data: ")
    return json.loads(text) if text.startswith("{") else {}


def came_one_by_one(words: list[Word]) -> bool:
    """Whether words came before the next one was sent. A few may be late on a machine that does other things."""
    in_time = [word.came < after.sent for word, after in pairwise(words)]
    return sum(in_time) >= 0.8 * len(in_time)


def left_of(client: httpx.Client, forwarded_for: str | None) -> int:
    """Requests that the API grants this client from now on."""
    headers = {} if forwarded_for is None else {"X-Forwarded-For": forwarded_for}
    # A session id is a route without work behind it that counts like a question.
    answer = client.get("/auth/anonymous-session/x", headers=headers)
    found = re.search(r"r=(\d+)", answer.headers["RateLimit"])
    assert found is not None
    return int(found[1])


def is_the_proxy_s_own(response: httpx.Response) -> bool:
    """Whether the API has not seen the request: it tells how long it took."""
    return "X-Process-Time" not in response.headers


def assert_is_error(response: httpx.Response, code: str) -> None:
    """The one body that every failure has, whoever answers."""
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    assert set(body) == {"error", "code", "message", "detail", "details", "retryable", "request_id"}
    assert body["code"] == code


def paths_of_the_api() -> set[str]:
    """A path of each route, also of those that the API's docs leave out."""
    documented = create_app(load_settings(None)).openapi()["paths"]
    return {re.sub(r"{\w+}", "x", path) for path in (*documented, *UNDOCUMENTED)}


def status_of(proxy: Proxy, path: str) -> int:
    """The status of a path that is sent as it stands: other clients tidy it up."""
    said = subprocess.run(
        [
            program("curl"), "--silent", "--path-as-is", "--cacert", str(proxy.certificate.file),
            "--output", os.devnull, "--write-out", "%{http_code}", proxy.https + path,
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(said.stdout)
