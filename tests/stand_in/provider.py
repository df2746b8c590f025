"""A model provider's stand-in: a real HTTP server that speaks OpenAI's protocol and fails on command.

    python -m tests.stand_in.provider --port 0        # prints the port, serves until it is stopped

In tests, take the `provider` fixture (`tests.stand_in.fixtures`): a `Provider` to control the server with, whose
`base_url` goes where `OPENAI_BASE_URL` would.

Routes
    POST /v1/embeddings         deterministic vectors; texts that share words are close
    POST /v1/chat/completions   a deterministic answer that quotes and cites the first two numbered passages
    POST /control               {"route": "embeddings" | "chat", "steps": [{"behaviour", "times", "options"}],
                                 "dimensions": 64}; replaces what was left of the route's plan
    GET  /stats                 what was asked so far (`Stats` in `tests.stand_in.control`)
    POST /reset                 forget plans and stats

A plan is a list of steps. Each holds for `times` requests (1; null: for all that come), then the next one does; after
the last, all is well again. Options stand in brackets.

Both routes
    ok                          as above
    slow [seconds, per_text]    as above, after a wait: `seconds`, and `per_text` for each text that is to be embedded
    unauthorized forbidden unknown_model rate_limited quota bad_request conflict timeout server_error unavailable
        [retry_after, message, gemini, html]   an error status; the message of `unauthorized` quotes the key
    redirect [to]

Embeddings
    too_long [marker]           400 for a request with a text that holds the marker ("TOO LONG")
    too_many [most]             400 for a request of more texts
    ok [size]                   vectors of another size
    html not_json gzip_bomb [bytes] empty missing_one one_more wrong_size nan infinity null_numbers null_vector
    strings zeros reversed no_index no_index_zero same_index no_usage
    hang hang_in_body reset close cut

Chat; faults of a stream strike after [after] words (2), [text] replaces the answer
    slow_tokens [seconds]       between words (0.05)
    cut reset stall error_mid_stream [error] bad_json huge_line [bytes] role_only empty_choices
    stall_head reset_head close_head not_http       before the status line
    stall_body signs_of_life [seconds]              after the headers; for ever, with comments only (0.05)
    finish [reason]             another finish_reason: length, content_filter, ""
    refusal                     the answer's words as a model's refusal
    no_reason                   [DONE] without a finish_reason
    null_content odd_framing silent_end html gzip_bomb [bytes] error_as_ok
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.stand_in.chat import answer_chat
from tests.stand_in.embeddings import answer_embeddings, texts_of, tokens_of
from tests.stand_in.plan import ROUTES, Plan, Route, Step
from tests.stand_in.refusals import refuse
from tests.stand_in.wire import ClientGone, Connection, Request

PATHS: dict[str, Route] = {"/v1/embeddings": "embeddings", "/v1/chat/completions": "chat"}
#: Numbers in a vector unless a test says otherwise: enough that two words seldom meet.
DIMENSIONS = 64


@dataclass(slots=True)
class Abandoned:
    """A request whose client left, and when somebody asked for one of its texts again. Both on the monotonic clock."""

    left_at: float
    texts: frozenset[str]
    asked_again_at: float | None = None


class Counts:
    """What one route was asked; `RouteStats` in `tests.stand_in.control` says what each count means."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.texts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tokens = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.left_early: list[float] = []
        self.abandoned: list[Abandoned] = []

    def record(self, request: Request, asked: dict[str, Any]) -> None:
        self.times.append(time.monotonic())
        self.authorizations.append(request.headers.get("authorization"))
        self.bodies.append({name: value for name, value in asked.items() if name != "input"})
        texts = texts_of(asked)
        self.texts.update(texts)
        self.tokens += sum(map(tokens_of, texts))
        for left in self.abandoned:
            if left.asked_again_at is None and not left.texts.isdisjoint(texts):
                left.asked_again_at = self.times[-1]

    def client_left(self, asked: dict[str, Any]) -> None:
        self.left_early.append(time.monotonic())
        self.abandoned.append(Abandoned(self.left_early[-1], frozenset(texts_of(asked))))

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": len(self.times),
            "times": self.times,
            "bodies": self.bodies,
            "authorizations": self.authorizations,
            "texts": self.texts,
            "refused": self.refused,
            "tokens": self.tokens,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "left_early": self.left_early,
            "abandoned": [[left.left_at, left.asked_again_at] for left in self.abandoned if left.texts],
        }


class StandIn:
    """The server. Start it inside an event loop."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.reset()

    def reset(self) -> None:
        self.dimensions = DIMENSIONS
        self.plans = {route: Plan() for route in ROUTES}
        self.counts = {route: Counts() for route in ROUTES}

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=2**26)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Refuse connections and break those that are open, as a provider that goes down would."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        connection = Connection(reader, writer)
        try:
            while not connection.closed and (request := await connection.read_request()) is not None:
                await self._answer(connection, request)
        except (ClientGone, ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # `stop` ends it; a task that asyncio's own callback finds cancelled is reported as an error there.
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, connection: Connection, request: Request) -> None:
        route = PATHS.get(request.path)
        if route is not None and request.method == "POST":
            await self._play(connection, request, route)
            return
        match request.method, request.path:
            case "POST", "/control":
                self._control(request.json())
                await connection.send(200, {})
            case "POST", "/reset":
                self.reset()
                await connection.send(200, {})
            case "GET", "/stats":
                await connection.send(200, {route: counts.as_json() for route, counts in self.counts.items()})
            case "GET", "/v1/models":
                await connection.send(200, {"object": "list", "data": []})
            case _:
                await connection.send(404, {"error": {"message": "no such route", "type": "invalid_request_error"}})

    def _control(self, order: dict[str, Any]) -> None:
        self.dimensions = order.get("dimensions", self.dimensions)
        if "route" in order:
            self.plans[order["route"]] = Plan([Step(**given) for given in order["steps"]])

    async def _play(self, connection: Connection, request: Request, route: Route) -> None:
        asked = request.json()
        counts = self.counts[route]
        counts.record(request, asked)
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        step = self.plans[route].next()
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            if step.behaviour == "slow":
                each = float(step.options.get("per_text", 0)) * len(texts_of(asked))
                await connection.sleep(float(step.options.get("seconds", 0)) + each)
            if await refuse(connection, step, key=key, model=str(asked.get("model"))):
                counts.refused.update(texts_of(asked))
                return
            if route == "embeddings":
                await answer_embeddings(connection, asked, step, self.dimensions)
            else:
                await answer_chat(connection, asked, step)
        except ClientGone:
            counts.client_left(asked)
            raise
        finally:
            counts.in_flight -= 1


class StandInThread:
    """The server on a thread of its own, for tests that run in one process with what they test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in", daemon=True)
        self._server = StandIn()

    def start(self) -> int:
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(5)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _serve_forever(port: int, host: str) -> None:
    print(await StandIn().start(port, host), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in for a model provider; see the module's docstring.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it")
    parser.add_argument("--host", default="127.0.0.1", help="an address of this machine")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(given.port, given.host))
