"""Bad requests: each is refused with the one error body, a clear sentence, and nothing of what was sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.settings import Settings
from tests.http_api import (
    Client,
    ScriptedAnswer,
    ask,
    good_answer,
    raw_chat,
    raw_connection,
    serving,
    settings_on,
)  # fmt: skip
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
BODY_FIELDS = {"error", "code", "message", "detail", "details", "retryable", "request_id"}


@pytest.fixture(scope="module")
def served(stores: Stores) -> Iterator[tuple[Client, ScriptedAnswer]]:
    """One server for all tests that need nothing of their own."""
    script = good_answer()
    with serving(settings_on(stores, rate_limit_requests=100_000), script) as client:
        yield client, script


@pytest.fixture
def client(served: tuple[Client, ScriptedAnswer]) -> Client:
    return served[0]


@pytest.fixture
def script(served: tuple[Client, ScriptedAnswer]) -> ScriptedAnswer:
    served[1].questions.clear()
    return served[1]


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check the one error body and return it."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == BODY_FIELDS
    assert body["code"] == code
    assert isinstance(body["error"], str)
    assert body["error"] == body["message"] == body["detail"]
    assert isinstance(body["details"], dict)
    assert body["request_id"] == response.headers["x-request-id"]
    return body


LONG_HISTORY = [{"role": "user", "content": "x"}] * 201


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "question: send exactly one, as question, query or message"),
        ({"question": None}, "question: send exactly one, as question, query or message"),
        ({"question": "one", "message": "two"}, "question: send exactly one, as question, query or message"),
        ({"question": ""}, "question: must not be empty"),
        ({"question": " \n\t "}, "question: must not be empty"),
        ({"question": "\u200b\u200d\ufeff\u202e\u00a0"}, "question: must not be empty"),
        ({"question": "\x00\x07\x1b"}, "question: must not be empty"),
        ({"question": "x" * 10_001}, "question: must be at most 10,000 characters; it has 10,001"),
        ({"message": "x" * 10_001}, "message: must be at most 10,000 characters; it has 10,001"),
        ({"question": 7}, "question: should be a valid string"),
        ({"question": ["a"]}, "question: should be a valid string"),
        ({"question": {"text": "a"}}, "question: should be a valid string"),
        ({"question": True}, "question: should be a valid string"),
        ({"question": "x", "selection": "y" * 20_001}, "selection: must be at most 20,000 characters; it has 20,001"),
        ({"question": "x", "context": "y" * 20_001}, "context: must be at most 20,000 characters; it has 20,001"),
        ({"question": "x", "context": {"selectedText": 5}}, "context: selectedText should be a valid string"),
        ({"question": "x", "context": ["y"]}, "context: should be a valid string"),
        ({"question": "x", "quoted_text": 1}, "quoted_text: should be a valid string"),
        ({"question": "x", "session_id": "s" * 129}, "session_id: String should have at most 128 characters"),
        ({"question": "x", "session_id": 12}, "session_id: should be a valid string"),
        ({"question": "x", "k": 0}, "k: should be greater than or equal to 1"),
        ({"question": "x", "k": 21}, "k: should be less than or equal to 20"),
        ({"question": "x", "k": -1}, "k: should be greater than or equal to 1"),
        ({"question": "x", "k": "5"}, "k: should be a valid integer"),
        ({"question": "x", "k": 2.5}, "k: should be a valid integer"),
        ({"question": "x", "k": True}, "k: should be a valid integer"),
        ({"question": "x", "k": 10**30}, "k: should be less than or equal to 20"),
        ({"question": "x", "context_window": 499}, "context_window: should be greater than or equal to 500"),
        ({"question": "x", "context_window": 32_001}, "context_window: should be less than or equal to 32000"),
        ({"question": "x", "stream": "yes"}, "stream: should be a valid boolean"),
        ({"question": "x", "filters": "all"}, "filters: should be an object"),
        ({"question": "x", "filters": {"chapter": "a"}}, "filters.chapter: is not a field of this request"),
        ({"question": "x", "filters": {"path": ""}}, "filters.path: must not be empty; leave it out to let all pages"),
        ({"question": "x", "filters": {"version": 2}}, "filters.version: should be a valid string"),
        ({"question": "x", "filters": {"page": "y" * 2001}}, "filters.page: must be at most 2,000 characters"),
        ({"question": "x", "page": "y" * 2001}, "page: String should have at most 2000 characters"),
        ({"question": "x", "page": ["y"]}, "page: should be a valid string"),
        ({"question": "x", "history": "none"}, "history: should be a valid array"),
        ({"question": "x", "history": LONG_HISTORY}, "history: List should have at most 200 items"),
        ({"question": "x", "history": [{"content": "y"}]}, "history.0: needs role or sender"),
        ({"question": "x", "history": [{"role": "user"}]}, "history.0: needs content or text"),
        ({"question": "x", "history": [{"role": "user", "text": 1}]}, "history.0.text: should be a valid string"),
        ({"question": "x", "colour": "red"}, "colour: is not a field of this request"),
        ({"question": "x", "Question": "y"}, "Question: is not a field of this request"),
        (None, "the body must be a JSON object"),
        ([], "the body must be a JSON object"),
        ("question", "the body must be a JSON object"),
        (5, "the body must be a JSON object"),
    ],
)
def test_a_wrong_field_is_refused_by_name(client: Client, script: ScriptedAnswer, body: Any, sentence: str) -> None:
    response = client.post("/chat", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert refused(response, 422, "VALIDATION_ERROR")["error"].startswith(sentence)
    assert script.questions == []


@pytest.mark.parametrize("question", ["x", "x" * 10_000, "\u00e9" * 10_000, "\U0001f600" * 10_000, "?", "你好"])
def test_questions_up_to_ten_thousand_characters_are_answered(client: Client, question: str) -> None:
    assert ask(client, {"question": question}).status_code == 200


def test_control_characters_are_taken_out_and_lines_kept(client: Client, script: ScriptedAnswer) -> None:
    ask(client, {"question": "\x00How\x1b[31m\r\ndo\tI?\x7f\x85", "selection": "a\x00b"})
    assert script.questions[0].text == "How[31m\ndo\tI?"
    assert script.questions[0].selection == "ab"


def test_marks_that_text_needs_are_kept(client: Client, script: ScriptedAnswer) -> None:
    persian, emoji = "\u0645\u06cc\u200c\u062e\u0648\u0631\u0645", "\U0001f469\u200d\U0001f4bb"
    ask(client, {"question": f"{persian} {emoji} e\u0301"})
    assert script.questions[0].text == f"{persian} {emoji} \u00e9"


@pytest.mark.parametrize(
    "body",
    [
        rb'{"question":"a\ud800b"}',
        rb'{"question":"a","session_id":"\udfff"}',
        b'{"question":"\xff\xfe"}',
        b'{"question":"\xed\xa0\x80"}',
        b'{"question":',
        b"{'question':'x'}",
        b"question=x",
        b"",
        b" ",
        b"[" * 100_000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        b'{"question":"x","filters":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    ],
)
def test_what_is_not_json_is_refused(client: Client, body: bytes) -> None:
    response = client.post("/chat", content=body, headers={"Content-Type": "application/json"})
    assert refused(response, 422, "VALIDATION_ERROR")["error"].startswith("the body is not valid JSON")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(client: Client, number: str) -> None:
    for body in (f'{{"question":{number}}}', f'{{"question":"x","k":{number}}}'):
        response = client.post("/chat", content=body, headers={"Content-Type": "application/json"})
        refused(response, 422, "VALIDATION_ERROR")


def test_of_a_repeated_key_the_last_value_counts(client: Client, script: ScriptedAnswer) -> None:
    body = b'{"question":"one","question":"two"}'
    assert client.post("/chat", content=body, headers={"Content-Type": "application/json"}).status_code == 200
    assert script.questions[0].text == "two"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"]
)
def test_other_content_types_are_refused(client: Client, kind: str) -> None:
    response = client.post("/chat", content=b'{"question":"x"}', headers={"Content-Type": kind})
    assert "application/json" in refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")["error"]


def test_json_with_a_character_set_or_a_suffix_is_json(client: Client) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.lectern+json"):
        assert client.post("/chat", content=b'{"question":"x"}', headers={"Content-Type": kind}).status_code == 200


def test_compressed_bodies_are_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/chat", content=gzip.compress(b'{"question":"x"}'), headers=headers)
    refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_nothing_of_what_was_sent_comes_back(client: Client) -> None:
    secret = "correct-horse-battery-staple"
    for body in (
        {"question": ["x"], "api_key": [secret]},
        {"question": "x", "k": secret, "selection": {"a": secret}},
        {"question": secret + "x" * 10_001},
    ):
        assert secret not in ask(client, body).text
    assert secret not in str(client.logs)


def test_a_great_many_faults_make_a_short_reply(client: Client) -> None:
    body = {"question": "x", **{f"field{'y' * 200}{n}": n for n in range(500)}}
    reply = refused(ask(client, body), 422, "VALIDATION_ERROR")
    assert len(reply["details"]["errors"]) == 20
    assert len(json.dumps(reply)) < 15_000


# Size


def test_a_body_over_the_limit_is_refused_by_its_announced_length(make_settings: MakeSettings) -> None:
    with serving(make_settings(max_body_bytes=2048)) as client:
        response = ask(client, {"question": "x", "selection": "y" * 3000})
        assert "2,048 bytes" in refused(response, 413, "PAYLOAD_TOO_LARGE")["error"]
        assert ask(client).status_code == 200


def test_a_body_over_the_limit_is_refused_by_counting_it(make_settings: MakeSettings) -> None:
    with serving(make_settings(max_body_bytes=2048)) as client:
        chunks = iter([b'{"question":"x","selection":"'] + [b"y" * 1000] * 20)
        response = client.post("/chat", content=chunks, headers={"Content-Type": "application/json"})
        refused(response, 413, "PAYLOAD_TOO_LARGE")


def test_the_sender_of_a_body_without_end_is_cut_off(make_settings: MakeSettings) -> None:
    with serving(make_settings(max_body_bytes=2048)) as client, raw_connection(client) as connection:
        connection.sendall(raw_chat(b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b""))
        reply, sent = b"", 0
        connection.settimeout(0.01)
        try:
            while sent < 50_000_000:
                sent += connection.send(b"400\r\n" + b"z" * 1024 + b"\r\n")
                try:
                    reply += connection.recv(4096)
                except TimeoutError:
                    continue
        except OSError:
            pass
        assert b" 413 " in reply
        assert sent < 5_000_000


def test_a_request_whose_body_never_comes_holds_up_nobody(client: Client) -> None:
    with raw_connection(client) as connection:
        connection.sendall(raw_chat(b'{"question"', length=500))
        assert ask(client).status_code == 200


# Everything else that can be wrong with a request


def test_an_address_that_is_not_there(client: Client) -> None:
    refused(client.get("/nowhere"), 404, "NOT_FOUND")
    refused(client.post("/chat/x", json={"question": "x"}), 404, "NOT_FOUND")


def test_a_slash_too_many_is_led_to_the_right_address(client: Client) -> None:
    response = client.post("/chat/", json={"question": "x"})
    assert response.status_code == 307
    assert response.headers["location"].endswith("/chat")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "PROPFIND"])
def test_a_method_that_a_route_does_not_know(client: Client, method: str) -> None:
    response = client.request(method, "/chat")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    if method != "HEAD":
        refused(response, 405, "METHOD_NOT_ALLOWED")


def test_an_overlong_browser_id_is_refused_by_name(client: Client) -> None:
    response = ask(client, **{"X-Anonymous-Session-ID": "b" * 129})
    assert "X-Anonymous-Session-ID" in refused(response, 422, "VALIDATION_ERROR")["error"]


@pytest.mark.parametrize(
    "session_id", ["../../x", "' OR 1=1 --", "thread_1733_x", "日本語", "{}", "a b", "\u202e", "k2j9x0q1", " ", "*"]
)
def test_any_short_string_is_a_session_id(client: Client, session_id: str) -> None:
    assert ask(client, {"question": "x", "session_id": session_id}).status_code == 200


def test_an_unexpected_fault_leaks_nothing_and_can_be_found_in_the_log(make_settings: MakeSettings) -> None:
    script = ScriptedAnswer(RuntimeError("postgres://user:hunter2@db"))
    with serving(make_settings(), script) as client:
        response = client.post(
            "/chat",
            json={"question": "x", "stream": False},
            headers={"Origin": "http://localhost:3000", "X-Request-ID": "trace-1"},
        )
        body = refused(response, 500, "INTERNAL_ERROR")
        assert "hunter2" not in response.text
        assert body["request_id"] == "trace-1"
        assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
        crash = next(entry for entry in client.logs if entry["event"] == "request.crashed")
        assert crash["log_level"] == "error"
        assert crash["exc_info"]


# Request ids


@pytest.mark.parametrize("proposed", ["abc-123", "0af7651916cd43dd8448eb211c80319c", "a" * 128])
def test_a_plain_request_id_is_taken_over(client: Client, proposed: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": proposed}).headers["x-request-id"] == proposed


@pytest.mark.parametrize("proposed", ["", "a" * 129, "a b", 'x"y', "é", "<script>"])
def test_any_other_request_id_is_replaced(client: Client, proposed: str) -> None:
    response = client.get("/healthz", headers=[(b"X-Request-ID", proposed.encode())])
    assert len(response.headers["x-request-id"]) == 32


def test_every_reply_says_how_long_it_took(client: Client) -> None:
    for response in (client.get("/healthz"), client.get("/nowhere"), ask(client, {})):
        assert float(response.headers["x-process-time"]) >= 0
        assert response.headers["x-content-type-options"] == "nosniff"
