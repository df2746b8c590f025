"""What happens on the way: failures, silence, visitors who leave, readers who do not read."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import httpx
import pytest

from api.chat.events import Delta, Event, Question, Started
from api.chat.model import ChatModel
from api.dependencies import Timings
from api.errors import public_message
from shared.errors import (
    AnswerTruncated,
    ConfigurationError,
    DependencyDown,
    LecternError,
    ProviderError,
    ProviderUnavailable,
)  # fmt: skip
from shared.services import Services
from shared.settings import Settings
from tests.http_api import (
    CITATION,
    Client,
    ScriptedAnswer,
    ask,
    events_of,
    finished,
    good_answer,
    raw_chat,
    raw_connection,
    serving,
    settings_on,
    types_of,
    wait_for,
)  # fmt: skip
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
STARTED = Started((), 1)
#: Generous: the generator is left within milliseconds of the visitor, on a machine with nothing else to do.
SOON = 1.0


class Stage:
    """An answer that each test scripts anew, for one server that many tests share."""

    def __init__(self) -> None:
        self.script = ScriptedAnswer()

    def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        return self.script(question, services, model)


@pytest.fixture(scope="module")
def served(stores: Stores) -> Iterator[tuple[Client, Stage]]:
    stage = Stage()
    with serving(settings_on(stores, rate_limit_requests=100_000), stage) as client:
        yield client, stage


# Failures


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (DependencyDown("Qdrant does not answer", retry_after=5), "VECTOR_STORE_ERROR", True),
        (ProviderUnavailable("the model is busy", retry_after=7), "MODEL_UNAVAILABLE", True),
        (ProviderError("the model refuses the key"), "MODEL_ERROR", False),
        (AnswerTruncated("the model broke off"), "UPSTREAM_TRUNCATED", True),
        (ConfigurationError("CHAT_MODEL: unknown"), "CONFIGURATION_ERROR", False),
    ],
)
@pytest.mark.parametrize("events", [(), (STARTED,), (STARTED, Delta("Half an ans"))])
def test_a_failed_answer_ends_in_a_sentence_and_one_error_event(
    served: tuple[Client, Stage], error: LecternError, code: str, retryable: bool, events: tuple[Event, ...]
) -> None:
    client, stage = served
    stage.script = ScriptedAnswer(*events, error)
    response = ask(client, **{"X-Request-ID": "trace-7"})
    assert response.status_code == 200
    seen = events_of(response)
    assert [event["type"] for event in seen][-2:] == ["chunk", "error"]
    assert not {"final", "done"} & {event["type"] for event in seen}
    sentence, last = seen[-2:]
    assert sentence["content"].strip().startswith("Sorry")
    assert sentence["content"].startswith("\n\n") == (len(events) == 2)
    assert (last["code"], last["retryable"], last["request_id"]) == (code, retryable, "trace-7")
    assert last["error"] == last["message"] == public_message(error)
    assert last.get("retry_after") == error.retry_after


def test_an_unexpected_failure_tells_the_visitor_nothing_and_the_log_everything(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(STARTED, ValueError("sk-secret in /srv/lectern/model.py"))
    with serving(make_settings(), script) as client:
        response = ask(client)
        assert "secret" not in response.text
        assert "/srv" not in response.text
        assert events_of(response)[-1]["code"] == "INTERNAL_ERROR"
        crash = next(entry for entry in client.logs if entry["event"] == "answer.crashed")
        assert isinstance(crash["exc_info"], ValueError)
        assert crash["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("kind", [ProviderError, ProviderUnavailable, AnswerTruncated, ConfigurationError])
@pytest.mark.parametrize("stream", [True, False])
def test_what_a_model_provider_says_is_for_the_owner_alone(
    served: tuple[Client, Stage], kind: type[LecternError], stream: bool
) -> None:
    client, stage = served
    said = "the model provider at 10.0.0.5:8000 refuses the request (403: account acme-42 is closed); check CHAT_MODEL"
    stage.script = ScriptedAnswer(kind(said))
    logged = len(client.logs)
    response = ask(client, {"question": "x", "stream": stream})
    assert not any(word in response.text for word in ("10.0.0.5", "acme-42", "CHAT_MODEL"))
    assert kind.code in response.text
    assert any(entry.get("reason") == said for entry in client.logs[logged:])


def test_an_answer_that_just_stops_is_an_error(make_settings: MakeSettings) -> None:
    with serving(make_settings(), ScriptedAnswer(STARTED, Delta("Half an ans"))) as client:
        assert events_of(ask(client))[-1]["code"] == "UPSTREAM_TRUNCATED"
        response = ask(client, {"question": "x", "stream": False})
    assert response.status_code == 502
    assert response.json()["code"] == "UPSTREAM_TRUNCATED"


@pytest.mark.parametrize(
    ("body", "headers"), [({"question": "x", "stream": False}, {}), ({"query": "x"}, {})], ids=["json", "query"]
)
def test_without_a_stream_a_dependency_that_is_down_is_a_503_that_says_when_to_come_back(
    make_settings: MakeSettings, body: dict[str, Any], headers: dict[str, str]
) -> None:
    script = ScriptedAnswer(DependencyDown("Qdrant does not answer", retry_after=4.2))
    with serving(make_settings(), script) as client:
        response = ask(client, body, **headers)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    reply = response.json()
    assert (reply["code"], reply["retryable"]) == ("VECTOR_STORE_ERROR", True)
    assert reply["details"]["retry_after"] == 4.2


# Silence


def test_while_the_answer_is_silent_comments_keep_the_connection_alive(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(STARTED, 0.35, Delta("Yes."), finished("Yes."))
    with serving(make_settings(), script, Timings(heartbeat=0.1)) as client:
        response = ask(client)
    _, _, silence = response.text.partition('data: {"type":"start"')
    assert 2 <= silence.partition('data: {"type":"chunk"')[0].count(": ping\n\n") <= 3
    assert types_of(response) == ["start", "chunk", "final", "done"]


def test_a_silence_before_the_first_event_is_broken_too(make_settings: MakeSettings) -> None:
    """While the question is rewritten, or passages are looked for."""
    script = ScriptedAnswer(0.5, STARTED, finished("Yes."))
    with serving(make_settings(), script, Timings(heartbeat=0.1)) as client, raw_connection(client) as connection:
        connection.sendall(raw_chat())
        began = time.monotonic()
        assert b": ping\n\n" in connection.recv(65536) + connection.recv(65536)  # at once, with the head
        assert time.monotonic() - began < 0.4
        reply = b""
        while b"data: " not in reply:
            reply += connection.recv(65536)
        assert reply.count(b": ping\n\n") >= 2


def test_a_sign_of_life_comes_at_least_every_ten_seconds() -> None:
    assert Timings().heartbeat < 10


def test_an_answer_that_speaks_is_not_interrupted_by_comments(make_settings: MakeSettings) -> None:
    words = [step for n in range(8) for step in (Delta(f"{n} "), 0.05)]
    with serving(make_settings(), ScriptedAnswer(STARTED, *words, finished()), Timings(heartbeat=0.3)) as client:
        said = ask(client).text
    assert ": ping" not in said.partition("data: ")[2]


def test_json_lines_have_no_heartbeat_because_their_readers_parse_every_line(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(STARTED, 0.3, Delta("Yes."), finished("Yes."))
    with serving(make_settings(), script, Timings(heartbeat=0.05)) as client:
        response = ask(client, {"query": "x"}, **{"X-Stream-Response": "true"})
    assert [json.loads(line)["type"] for line in response.text.splitlines()] == ["sources", "chunk"]


def test_events_arrive_when_they_are_said(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(STARTED, Delta("One."), 0.5, Delta("Two."), finished())
    with serving(make_settings(), script) as client:
        began = time.monotonic()
        with client.stream("POST", "/chat", json={"question": "x"}) as response:
            for read in response.iter_raw():
                if b"One." in read:
                    break
            assert time.monotonic() - began < 0.4


def test_every_event_is_written_in_one_piece(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client, raw_connection(client) as connection:
        connection.sendall(raw_chat())
        reply = b""
        while not reply.endswith(b"0\r\n\r\n"):
            reply += connection.recv(65536)
    first, *chunks = reply.partition(b"\r\n\r\n")[2].split(b"\r\n")[1:-3:2]
    assert first == b": ping\n\n"
    assert len(chunks) == 6
    assert all(re.fullmatch(rb"id: [0-9a-f]{32}-\d\ndata: {.*}\n\n", chunk) for chunk in chunks)


# Visitors who leave


def leave(connection: socket.socket, *, politely: bool) -> None:
    """Close with FIN, or with RST as a crashed or impatient client does."""
    if not politely:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("politely", [True, False], ids=["fin", "rst"])
@pytest.mark.parametrize(
    "script",
    [(30.0,), (STARTED, 30.0), (STARTED, Delta("One."), 30.0)],
    ids=["before the first event", "after the start", "in the middle"],
)
def test_the_answer_is_closed_as_soon_as_its_visitor_leaves(
    served: tuple[Client, Stage], script: tuple[Any, ...], politely: bool
) -> None:
    client, stage = served
    answer = stage.script = ScriptedAnswer(*script)
    with raw_connection(client) as connection:
        connection.sendall(raw_chat())
        wait_for(lambda: bool(answer.questions))
        time.sleep(0.05)
        leave(connection, politely=politely)
        left_at = time.monotonic()
        assert answer.closed.wait(5)
        assert answer.closed_at is not None
        assert answer.closed_at - left_at < SOON


def test_an_answer_in_one_piece_is_given_up_too_when_nobody_waits_for_it(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(30.0)
    with serving(make_settings(), answer) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/chat", json={"question": "x", "stream": False}, timeout=0.3)
        assert answer.closed.wait(SOON)
        wait_for(lambda: any(entry.get("status") == 499 for entry in client.logs))


def test_a_visitor_who_leaves_a_talkative_answer_is_noticed(make_settings: MakeSettings) -> None:
    class Endless(ScriptedAnswer):
        """Never waits for anything by itself."""

        async def __call__(self, *_: Any) -> Any:
            try:
                yield STARTED
                while True:
                    yield Delta("word ")
            finally:
                self.closed.set()

    answer = Endless()
    with serving(make_settings(), answer) as client, raw_connection(client) as connection:
        connection.sendall(raw_chat())
        for _ in range(20):
            connection.recv(65536)
        leave(connection, politely=False)
        assert answer.closed.wait(SOON)


def test_many_visitors_who_leave_at_once_leave_nothing_behind(make_settings: MakeSettings) -> None:
    class Counting(ScriptedAnswer):
        opened = closed_count = 0

        async def __call__(self, *arguments: Any) -> Any:
            self.opened += 1
            try:
                async for event in super().__call__(*arguments):
                    yield event
            finally:
                self.closed_count += 1

    answer = Counting(STARTED, 30.0)
    with serving(make_settings(rate_limit_requests=10_000), answer) as client:
        for _ in range(100):
            with raw_connection(client) as connection:
                connection.sendall(raw_chat())
                leave(connection, politely=False)
        assert client.get("/healthz").status_code == 200
        wait_for(lambda: answer.opened == answer.closed_count)
        wait_for(lambda: "active_connections 1.0" in client.get("/metrics").text)


def test_a_reader_who_does_not_read_is_given_up(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, *(Delta("x" * 50_000) for _ in range(2000)), finished())
    with serving(make_settings(), answer, Timings(send=0.5)) as client, raw_connection(client) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(raw_chat())
        assert answer.closed.wait(10)
        wait_for(lambda: any(entry["event"] == "stream.reader_too_slow" for entry in client.logs))


# Counts


def test_how_answers_ended_is_counted(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        ask(client)
        ask(client, {"query": "x"})
        text = client.get("/metrics").text
    assert 'chat_requests_total{dialect="sse",outcome="answered"} 1.0' in text
    assert 'chat_requests_total{dialect="query",outcome="answered"} 1.0' in text
    assert "chat_duration_seconds_count 2.0" in text
    assert 'http_requests_total{method="POST",route="/chat",status="200"} 2.0' in text


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ((STARTED, finished(no_results=True)), "no_results"),
        ((STARTED, ProviderUnavailable("busy")), "model_unavailable"),
        ((STARTED, RuntimeError("x")), "internal_error"),
        ((STARTED,), "upstream_truncated"),
    ],
)
def test_each_way_to_end_has_its_own_count(make_settings: MakeSettings, script: tuple[Any, ...], outcome: str) -> None:
    with serving(make_settings(), ScriptedAnswer(*script)) as client:
        ask(client)
        assert f'chat_requests_total{{dialect="sse",outcome="{outcome}"}} 1.0' in client.get("/metrics").text


def test_logs_hold_no_question_and_no_answer(make_settings: MakeSettings) -> None:
    with serving(make_settings(), good_answer()) as client:
        ask(client, {"question": "my-private-question", "session_id": "my-private-session"})
        client.get("/search", params={"q": "my-private-question"})
        client.get("/auth/anonymous-session/my-private-session")
        logs = str(client.logs)
    assert "http.request" in logs
    assert "my-private" not in logs
    assert CITATION.text not in logs
