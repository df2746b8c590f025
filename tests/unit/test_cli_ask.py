"""`lectern ask` and `lectern search` against a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from cli.address import Target
from cli.answer_events import answer_events
from cli.client import Api
from cli.main import app
from tests.unit.scripted_api import Reply, ScriptedApi, as_events, as_json, running_api

INSTALL = "[Setup - Install](/documents/setup.md#install)"
PORT = "[Setup - Change the port](https://site.example/docs/setup#port)"
START = {"type": "start", "session_id": "s", "sources": [INSTALL, PORT], "retrieved_docs": 2}
DONE = {"type": "done", "session_id": "s", "no_results": False, "sources": [], "finish_reason": "stop"}


def chunk(text: str) -> dict[str, str]:
    return {"type": "chunk", "content": text}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApi]:
    monkeypatch.chdir(tmp_path)
    with running_api() as scripted:
        yield scripted


def run(api: ScriptedApi, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--api", api.url])


@pytest.mark.parametrize("bytes_a_write", [1, 3, 7, 10_000])
def test_an_answer_streams_with_numbers_for_its_links(api: ScriptedApi, bytes_a_write: int) -> None:
    events = (
        START, chunk("Set it "), chunk(f"in the file → done {PORT}. "), chunk(f"Then install {INSTALL} {PORT}."),
        {"type": "citation", "citation": {}}, {"type": "final", "answer": "..."}, DONE,
    )  # fmt: skip
    api.on("POST", "/chat", as_events(*events, bytes_a_write=bytes_a_write))
    result = run(api, "ask", "How do I change the port?")
    assert result.stdout.splitlines() == [
        "Set it in the file → done [1]. Then install [2] [1].",
        "",
        "[1] Setup - Change the port  https://site.example/docs/setup#port",
        f"[2] Setup - Install  {api.url}/documents/setup.md#install",
    ]
    assert (result.exit_code, result.stderr) == (0, "")
    assert api.received[0].body == {"question": "How do I change the port?", "k": 5, "stream": True}


def test_what_the_docs_do_not_say_has_an_exit_code_of_its_own(api: ScriptedApi) -> None:
    events = ({**START, "sources": []}, chunk("The docs do not say."), {**DONE, "no_results": True})
    api.on("POST", "/chat", as_events(*events))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.exit_code) == ("The docs do not say.\n", 4)


BROKEN = {"type": "error", "code": "MODEL_UNAVAILABLE", "error": "e", "message": "the model does not answer"}


@pytest.mark.parametrize("answer", ["a", ""])
def test_an_error_event_ends_the_answer_and_its_reason_is_said_once(api: ScriptedApi, answer: str) -> None:
    api.on("POST", "/chat", as_events(START, chunk("Half an"), chunk("\n\nSorry."), BROKEN, answer=answer))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.stderr) == ("Half an\n", "lectern: the model does not answer\n")
    assert (result.exit_code, len(api.received)) == (1, 1)


# An answer that is not wanted any more


@pytest.mark.parametrize("then", ["falls silent", "breaks", "is gone"])
async def test_who_leaves_an_answer_says_so_and_waits_a_second_at_most(then: str) -> None:
    heard: list[bytes] = []
    connections: list[asyncio.Task[Any] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        heard.append(await reader.readuntil(b"\r\n"))
        if heard[-1].startswith(b"POST"):
            event = f"data: {json.dumps(START)}\n\n"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Answer-ID: {'a' * 32}\r\n"
            writer.write(f"{head}Content-Length: 10000\r\n\r\n{event}".encode())
            if then == "is gone":
                server.close()
        if heard[-1].startswith(b"POST") or then == "falls silent":
            await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Api(Target(url, None, Path("docs"), "told")) as api:
        events = api.ask({"question": "Why?"})
        assert (await anext(events))["type"] == "start"
        left_at = time.monotonic()
        await events.aclose()
        assert time.monotonic() - left_at < 1.5
        await asyncio.wait(filter(None, connections), timeout=5)
    stops = [] if then == "is gone" else [f"DELETE /answers/{'a' * 32} HTTP/1.1\r\n".encode()]
    assert heard == [b"POST /chat HTTP/1.1\r\n", *stops]


def test_an_answer_that_has_come_to_its_end_is_not_stopped(api: ScriptedApi) -> None:
    for events in (WORDS, (START, chunk("Half"), chunk("Sorry."), BROKEN)):
        reply = as_events(*events)
        api.on("POST", "/chat", Reply(reply.writes, kind=reply.kind, headers={"X-Answer-ID": "a" * 32}))
        run(api, "ask", "Why?")
    assert [request.method for request in api.received] == ["POST", "POST"]


# Connections that break


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_events, "__defaults__", ((0.01, 0.01, 0.01),))


WORDS = (START, chunk("One "), chunk("two "), chunk("three."), DONE)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("cut", [True, False])
def test_an_answer_goes_on_where_its_connection_broke(api: ScriptedApi, cut: bool) -> None:
    api.on(
        "POST", "/chat", as_events(*WORDS[:2], cut=cut), as_events(WORDS[2], cut=cut, first=3),
        as_events(*WORDS[3:], first=4),
    )  # fmt: skip
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.stderr, result.exit_code) == ("One two three.\n", "", 0)
    assert [request.headers.get("last-event-id") for request in api.received] == [None, "a-2", "a-3"]
    assert len({json.dumps(request.body) for request in api.received}) == 1
    (key,) = {request.headers["idempotency-key"] for request in api.received}
    assert UUID(key).version == 4


@pytest.mark.usefixtures("impatient")
def test_each_question_has_a_key_of_its_own(api: ScriptedApi) -> None:
    api.on("POST", "/chat", as_events(*WORDS))
    for _ in range(2):
        run(api, "ask", "Why?")
    assert len({request.headers["idempotency-key"] for request in api.received}) == 2


@pytest.mark.usefixtures("impatient")
def test_what_is_sent_again_is_not_said_again(api: ScriptedApi) -> None:
    api.on("POST", "/chat", as_events(*WORDS[:3], cut=True), as_events(*WORDS))
    assert run(api, "ask", "Why?").stdout == "One two three.\n"


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_breaks_off_while_it_goes_on_has_more_tries_than_one_that_does_not(api: ScriptedApi) -> None:
    slow = [as_events(chunk(f"{number} "), cut=True, first=number) for number in range(2, 12)]
    api.on("POST", "/chat", as_events(START, cut=True), *slow, as_events(DONE, first=12))
    assert run(api, "ask", "Why?").stdout == "2 3 4 5 6 7 8 9 10 11 \n"
    api.received.clear()
    api.on("POST", "/chat", as_events(*WORDS[:2], cut=True))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.exit_code, len(api.received)) == ("One \n", 1, 4)
    assert "the answer was interrupted, and 3 more tries brought no more of it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("impatient")
def test_answers_that_each_begin_and_break_off_are_not_asked_for_without_end(api: ScriptedApi) -> None:
    api.on("POST", "/chat", *(as_events(START, cut=True, answer=f"a{number}") for number in range(20)))
    assert run(api, "ask", "Why?").exit_code == 1
    assert len(api.received) == 4


@pytest.mark.usefixtures("impatient")
def test_another_answer_takes_the_place_of_one_without_a_word_and_of_no_other(api: ScriptedApi) -> None:
    other = {**START, "sources": [PORT]}
    api.on(
        "POST", "/chat", as_events(START, cut=True), as_events(other, chunk(f"See {PORT}."), DONE, answer="b")
    )  # fmt: skip
    assert run(api, "ask", "Why?").stdout.startswith("See [1].\n")
    api.on("POST", "/chat", as_events(*WORDS[:2], cut=True), as_events(*WORDS, answer="b"))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.exit_code) == ("One \n", 1)
    assert result.stderr == "lectern: the answer was interrupted, and the API has not kept it; ask again\n"


@pytest.mark.usefixtures("impatient")
def test_a_process_that_starts_again_is_waited_for(api: ScriptedApi) -> None:
    restarting = {"type": "error", "code": "RESTARTING", "message": "the server is restarting", "retryable": True}
    api.on(
        "POST", "/chat", as_events(*WORDS[:3], chunk("\n\nSorry."), restarting),
        Reply([b"<html>502 Bad Gateway</html>"], 502, "text/html"), as_json({"message": "restarting"}, 503),
        as_events(*WORDS[3:], first=4),
    )  # fmt: skip
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.stderr, result.exit_code) == ("One two three.\n", "", 0)
    assert [request.headers.get("last-event-id") for request in api.received] == [None, "a-3", "a-3", "a-3"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (as_events(chunk("Sorry."), {"type": "error", "code": "ANSWER_INTERRUPTED", "message": "x"}, first=3),
         "the answer was interrupted before its end; ask again"),
        (as_events(chunk("Sorry."), BROKEN, first=3), "the model does not answer"),
        (as_json({"message": "question: must not be empty"}, 422), "question: must not be empty"),
    ],
)  # fmt: skip
def test_an_answer_that_the_api_has_given_up_is_not_asked_for_again(api: ScriptedApi, reply: Reply, said: str) -> None:
    api.on("POST", "/chat", as_events(*WORDS[:2], cut=True), reply)
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.stderr) == ("One \n", f"lectern: {said}\n")
    assert len(api.received) == 2


def test_an_answer_without_ids_is_shown_and_not_asked_for_twice(api: ScriptedApi) -> None:
    api.on("POST", "/chat", as_events(*WORDS, answer=""))
    assert run(api, "ask", "Why?").stdout == "One two three.\n"
    api.received.clear()
    api.on("POST", "/chat", as_events(START, chunk("Half an"), cut=True, answer=""))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.exit_code, len(api.received)) == ("Half an\n", 1, 1)
    assert len(result.stderr.splitlines()) == 1


def test_json_is_the_api_s_own_reply_and_nothing_else(api: ScriptedApi) -> None:
    reply = {"answer": "Grüße", "no_results": False, "sources": []}
    api.on("POST", "/chat", as_json(reply))
    result = run(api, "ask", "Why?", "--json", "-k", "3")
    assert json.loads(result.stdout) == reply
    assert (result.exit_code, result.stderr) == (0, "")
    assert api.received[0].body == {"question": "Why?", "k": 3, "stream": False}


def test_control_characters_do_not_reach_the_terminal(api: ScriptedApi) -> None:
    api.on("POST", "/chat", as_events(START, chunk("a\x1b[2Jb\x07\x9bc"), DONE))
    assert run(api, "ask", "Why?").stdout == "a[2Jbc\n"


def test_a_search_shows_passages_with_their_place_and_address(api: ScriptedApi) -> None:
    found = {
        "page_title": "Setup", "trail": ["Setup", "Install"], "url": "/documents/setup.md#install", "score": 0.714,
        "text_snippet": "Run it.\nThen wait.",
    }  # fmt: skip
    api.on("GET", "/search", as_json({"query": "x", "results": [found], "total": 1, "release": 1}))
    result = run(api, "search", "install it", "-k", "2")
    assert result.stdout.splitlines() == [
        "[1] Setup > Install  (0.71)",
        f"    {api.url}/documents/setup.md#install",
        "    Run it. Then wait.",
    ]
    assert result.exit_code == 0
    assert api.received[0].query == {"q": "install it", "k": "2"}


def test_a_search_that_finds_nothing_has_an_exit_code_of_its_own(api: ScriptedApi) -> None:
    api.on("GET", "/search", as_json({"query": "x", "results": [], "total": 0, "release": 1}))
    assert run(api, "search", "x").exit_code == 4


@pytest.mark.parametrize(
    ("status", "body", "said", "code"),
    [
        (422, {"message": "question: must not be empty", "code": "VALIDATION_ERROR"}, "must not be empty", 2),
        (429, {"message": "too many requests; try again in 7 seconds"}, "try again in 7 seconds", 1),
        (503, {"message": "Qdrant does not answer"}, "Qdrant does not answer", 1),
        (500, {"message": "a bug", "code": "INTERNAL_ERROR", "request_id": "r7"}, "a bug (r7)", 1),
        (500, {"detail": [{"loc": []}]}, "answered with status 500", 1),
        (401, {"message": "this route needs the admin key"}, "set ADMIN_API_KEY", 2),
    ],
)
def test_a_refusal_is_one_line(api: ScriptedApi, status: int, body: object, said: str, code: int) -> None:
    api.on("POST", "/chat", as_json(body, status))
    result = run(api, "ask", "Why?")
    assert said in result.stderr
    assert (len(result.stderr.splitlines()), result.stdout.strip(), result.exit_code) == (1, "", code)


def test_a_page_that_is_not_the_api_is_told_apart(api: ScriptedApi) -> None:
    api.on("POST", "/chat", Reply([b"<html>502 Bad Gateway</html>"], 502, "text/html"))
    assert "answered with status 502" in run(api, "ask", "Why?").stderr
    api.on("GET", "/search", Reply([b"<html>hello</html>"], 200, "text/html"))
    assert "does not answer as Lectern's API does" in run(api, "search", "x").stderr


def test_nobody_at_the_address_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running_api() as gone:
        pass
    result = run(gone, "ask", "Why?")
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "lectern up" in result.stderr
