"""POST /evaluate: questions whose answers are known, on a real socket with made-up answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

from api.chat.events import Delta, Event, Filters, Found, Question, Started, Turn
from api.chat.model import ChatModel
from api.dependencies import EVALUATED_TOGETHER
from api.evaluation_schemas import EvaluationSettings
from shared.chunk_collections import CollectionSpec
from shared.errors import AnswerTruncated, ProviderUnavailable
from shared.models import Release
from shared.services import Services, open_services
from shared.settings import Settings
from tests.http_api import ADMIN, CITATION, LINK, Client, ScriptedAnswer, finished, serving, settings_on
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
FOUND = (Found("c1", CITATION.url, 1.2, 0.7),)
ANSWER = f"Run `make up`. {LINK} See [elsewhere](https://evil.example/x) and `[code](https://code.example)`."


def told() -> ScriptedAnswer:
    return ScriptedAnswer(
        Started(sources=(LINK,), retrieved=1, release=None, found=FOUND), Delta("Run"),
        finished(ANSWER, confidence=0.75, grounded=0.5),
    )  # fmt: skip


@pytest.fixture(scope="module")
def served(stores: Stores) -> Iterator[tuple[Client, ScriptedAnswer]]:
    script = told()
    with serving(settings_on(stores, rate_limit_key_requests=100_000), script) as client:
        yield client, script


@pytest.fixture
def client(served: tuple[Client, ScriptedAnswer]) -> Client:
    return served[0]


@pytest.fixture
def script(served: tuple[Client, ScriptedAnswer]) -> ScriptedAnswer:
    served[1].questions.clear()
    return served[1]


def evaluate(client: Client, *questions: dict[str, Any] | str, **more: Any) -> Any:
    asked = [{"question": one} if isinstance(one, str) else one for one in questions]
    response = client.post("/evaluate", json={"questions": asked, **more}, headers=ADMIN)
    assert response.status_code == 200, response.text
    return response.json()


def test_each_question_has_a_row_in_its_place(client: Client) -> None:
    reply = evaluate(client, "How?", "Why?")
    assert (reply["release"], reply["embedding_model"], reply["unknown_pages"]) == (None, "none", [])
    assert [row["question"] for row in reply["rows"]] == ["How?", "Why?"]
    row = reply["rows"][0]
    assert (row["answer"], row["refused"], row["confidence"], row["grounded"]) == (ANSWER, False, 0.75, 0.5)
    assert (row["model"], row["finish_reason"], row["tokens_used"]) == ("test-model", "stop", 321)
    assert (row["error"], row["retrieved"], row["searched"]) == (None, [], "")
    assert 0 <= row["first_word_seconds"] <= row["seconds"] < 5


def test_links_are_held_against_what_was_shown_and_code_is_none(client: Client) -> None:
    row = evaluate(client, "How?")["rows"][0]
    assert row["links"] == 2
    assert row["links_not_shown"] == row["links_to_nowhere"] == ["https://evil.example/x"]


def test_a_question_goes_the_visitors_way_with_all_that_it_has(client: Client, script: ScriptedAnswer) -> None:
    turns = [{"question": "How do I reef?", "answer": "Slowly."}, {"question": "x"}]
    asked = {"question": "  And in a storm? ", "history": turns, "filters": {"locale": "en", "path": "guide/"}}
    evaluate(client, asked, settings={"passages": 7, "context_window": 900, "max_context_messages": 1})
    (question,) = script.questions
    assert (question.text, question.k, question.context_window) == ("And in a storm?", 7, 900)
    assert question.history == (Turn("x", ""),)
    assert question.filters == Filters(locale="en", path="guide/")


def test_without_answers_nobody_is_asked_for_one(client: Client, script: ScriptedAnswer) -> None:
    row = evaluate(client, "How?", answers=False)["rows"][0]
    assert script.questions == []
    assert (row["answer"], row["refused"], row["links"], row["first_word_seconds"]) == (None, None, None, None)


class Overridden:
    """Notes the settings that an answer is made with."""

    def __init__(self) -> None:
        self.seen: list[Settings] = []

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        self.seen.append(services.settings)
        yield Started((), 0)
        yield finished("No.", no_results=True)


def test_settings_hold_for_this_evaluation_alone(make_settings: MakeSettings) -> None:
    settings, answer = make_settings(), Overridden()
    with serving(settings, answer) as client:
        evaluate(client, "How?", settings={"min_score": 0.9, "max_answer_tokens": 50})
        evaluate(client, "How?")
    tried, own = answer.seen
    assert (tried.min_score, tried.max_answer_tokens) == (0.9, 50)
    assert (own.min_score, own.max_answer_tokens) == (settings.min_score, settings.max_answer_tokens)


def test_what_may_be_tried_has_the_range_of_its_setting() -> None:
    for name, field in EvaluationSettings.model_fields.items():
        if name not in ("passages", "context_window"):  # a visitor's request may choose these, within less
            assert field.metadata == Settings.model_fields[name].metadata, name


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"questions": []}, "questions"),
        ({"questions": [{"question": "x"}] * 51}, "questions"),
        ({"questions": [{"question": " "}]}, "must not be empty"),
        ({"questions": [{"question": "x", "answer": "y"}]}, "answer"),
        ({"questions": [{"question": "x", "filters": {"colour": "red"}}]}, "colour"),
        ({"questions": [{"question": "x", "history": [{"question": "y"}] * 21}]}, "history"),
        ({"questions": [{"question": "x"}], "k": 21}, "k"),
        ({"questions": [{"question": "x"}], "release": 0}, "release"),
        ({"questions": [{"question": "x"}], "settings": {"openai_base_url": "http://evil"}}, "openai_base_url"),
        ({"questions": [{"question": "x"}], "settings": {"min_score": 3}}, "min_score"),
        ({"questions": [{"question": "x"}], "settings": {"min_score": "low"}}, "min_score"),
        ({}, "questions"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(client: Client, body: dict[str, Any], says: str) -> None:
    response = client.post("/evaluate", json=body, headers=ADMIN)
    assert response.status_code == 422
    assert says in response.text


def test_it_is_for_admins(client: Client) -> None:
    assert client.post("/evaluate", json={"questions": [{"question": "x"}]}).status_code == 401


def test_a_release_that_there_is_not_is_named(client: Client) -> None:
    body = {"questions": [{"question": "x"}], "release": 9}
    response = client.post("/evaluate", json=body, headers=ADMIN)
    assert response.status_code == 404
    assert "there is no release 9" in response.json()["message"]


def test_a_kept_release_is_answered_from(make_settings: MakeSettings) -> None:
    settings = make_settings()

    async def keep_one() -> Release:
        async with open_services(settings) as services:
            collection = await services.store.ensure_collection(CollectionSpec("none", 2, None))
            release = Release(3, collection, 1, 1, "job_3", "2026-01-01T00:00:00Z")
            return await services.releases.hold(release, {})

    kept = asyncio.run(keep_one())
    answer = told()
    with serving(settings, answer) as client:
        reply = evaluate(client, "How?", release=3, pages=["guide/a.md", "guide/a.md", "b.md"])
    assert answer.questions[0].release == kept
    assert (reply["release"], reply["unknown_pages"]) == (3, ["guide/a.md", "b.md"])


class Mixed:
    """Fails in one way or another, as its question says."""

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        yield Started((), 0)
        if question.text == "provider":
            raise ProviderUnavailable("the provider is away")
        if question.text == "bug":
            raise ZeroDivisionError
        if question.text != "silent":
            yield finished("Fine.")


def test_a_question_that_fails_costs_the_others_nothing(make_settings: MakeSettings) -> None:
    with serving(make_settings(), Mixed()) as client:
        rows = evaluate(client, "fine", "provider", "bug", "silent", "fine too")["rows"]
    assert [row["error"] and row["error"]["code"] for row in rows] == [
        None, ProviderUnavailable.code, "INTERNAL_ERROR", AnswerTruncated.code, None,
    ]  # fmt: skip
    assert [row["answer"] for row in rows] == ["Fine.", None, None, None, "Fine."]


class Counting:
    """Notes how many answers are made at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.left = 0

    async def __call__(self, question: Question, services: Services, model: ChatModel) -> AsyncGenerator[Event, None]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield Started((), 0)
            await asyncio.sleep(60 if question.text == "wait" else 0.02)
            yield finished("Fine.")
        finally:
            self.now -= 1
            self.left += 1


def test_few_questions_are_answered_at_once_whatever_is_asked(make_settings: MakeSettings) -> None:
    answer = Counting()
    with serving(make_settings(), answer) as client:
        evaluate(client, *(["quick"] * 10))
    assert (answer.most, answer.left) == (EVALUATED_TOGETHER, 10)


def test_who_leaves_ends_the_answers(make_settings: MakeSettings) -> None:
    answer = Counting()
    with serving(make_settings(), answer) as client:
        host, port = client.base_url.host, client.base_url.port
        body = b'{"questions": [{"question": "wait"}, {"question": "wait"}, {"question": "wait"}]}'
        head = (
            "POST /evaluate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"X-API-Key: {ADMIN['X-API-Key']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, port or 80)) as connection:
            connection.sendall(head.encode() + body)
            _until(lambda: answer.now == EVALUATED_TOGETHER)
        _until(lambda: answer.now == 0)
        assert answer.left == EVALUATED_TOGETHER
        assert "Fine." in evaluate(client, "quick")["rows"][0]["answer"]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
