"""How tests steer the stand-in and read what it was asked, over HTTP, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from tests.stand_in.plan import Route, Step


@dataclass(frozen=True)
class RouteStats:
    """What one route was asked since the last reset."""

    requests: int
    #: When each request came; seconds of the monotonic clock, comparable with `time.monotonic()` in any process.
    times: list[float]
    #: Bodies, those of embeddings without their texts.
    bodies: list[dict[str, Any]]
    authorizations: list[str | None]
    #: How often each text was sent.
    texts: dict[str, int]
    #: Of these, how often with an error status for an answer: nobody pays for it.
    refused: dict[str, int]
    tokens: int
    #: Requests that are being answered at this moment.
    in_flight: int
    most_in_flight: int
    #: When clients left before their answer was complete, on the same clock.
    left_early: list[float]
    #: Embedding requests whose client left: when it did, and when one of their texts was asked for again, if it was.
    abandoned: list[tuple[float, float | None]]


@dataclass(frozen=True)
class Stats:
    """Both routes, and the figures that are looked at most."""

    embeddings: RouteStats
    chat: RouteStats

    @property
    def embedding_requests(self) -> int:
        return self.embeddings.requests

    @property
    def embedded_texts(self) -> int:
        """Texts that were sent, each as often as it was."""
        return sum(self.embeddings.texts.values())

    @property
    def chat_requests(self) -> int:
        return self.chat.requests

    @property
    def open_streams(self) -> int:
        return self.chat.in_flight

    @property
    def streams_closed_early(self) -> int:
        return len(self.chat.left_early)


class Provider:
    """Control of one stand-in server."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.base_url = f"http://{host}:{port}/v1"
        self._client = httpx.Client(base_url=f"http://{host}:{port}", timeout=5, trust_env=False)

    def fault(self, route: Route, behaviour: str, *, times: int | None = None, **options: Any) -> None:
        """Behave so for `times` requests, or until told otherwise. Behaviours: `tests.stand_in.provider`."""
        self.plan(route, Step(behaviour, times, options))

    def plan(self, route: Route, *steps: Step) -> None:
        """Replace the route's plan. Without steps, all is well again."""
        self._post("/control", {"route": route, "steps": [asdict(one) for one in steps]})

    def set_dimensions(self, dimensions: int) -> None:
        """Size of the vectors of requests that do not name one."""
        self._post("/control", {"dimensions": dimensions})

    def reset(self) -> None:
        """Forget plans and stats."""
        self._post("/reset", {})

    def stats(self) -> Stats:
        answer = self._client.get("/stats")
        answer.raise_for_status()
        return Stats(**{route: RouteStats(**counts) for route, counts in answer.json().items()})

    def wait_until(self, condition: Callable[[Stats], bool], seconds: float = 5) -> Stats:
        """The stats as soon as they meet the condition. Raises TimeoutError with the last ones if they never do.

        Blocks: from a coroutine that shares its loop with what is tested, call it through `asyncio.to_thread`.
        """
        deadline = time.monotonic() + seconds
        while not condition(stats := self.stats()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the stand-in's stats never met the condition: {stats}")
            time.sleep(0.01)
        return stats

    def close(self) -> None:
        self._client.close()

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._client.post(path, json=body).raise_for_status()
