"""`lectern ask` and `lectern search` against a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

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


def test_an_error_event_ends_the_answer_with_its_reason(api: ScriptedApi) -> None:
    broken = {"type": "error", "code": "MODEL_UNAVAILABLE", "error": "e", "message": "the model does not answer"}
    api.on("POST", "/chat", as_events(START, chunk("Sorry."), broken))
    result = run(api, "ask", "Why?")
    assert (result.stdout, result.stderr) == ("Sorry.\n", "lectern: the model does not answer\n")
    assert result.exit_code == 1


@pytest.mark.parametrize("cut", [True, False])
def test_a_stream_without_an_end_is_a_failure(api: ScriptedApi, cut: bool) -> None:
    api.on("POST", "/chat", as_events(START, chunk("Half an"), cut=cut))
    result = run(api, "ask", "Why?")
    assert result.stdout == "Half an\n"
    assert result.exit_code == (3 if cut else 1)
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
