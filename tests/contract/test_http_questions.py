"""GET /questions: what the owner reads of the questions that were asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import redis

from api.chat.events import Claim, Delta, Found, Started, UnknownName
from api.question_log import STREAM
from shared.errors import ProviderUnavailable
from shared.settings import Settings
from tests.http_api import (
    ADMIN,
    CITATION,
    LINK,
    Client,
    ScriptedAnswer,
    ask,
    finished,
    raw_chat,
    raw_connection,
    serving,
    wait_for,
)

MakeSettings = Callable[..., Settings]
FOUND = Found("chunk-1", "https://docs.example/guide/install#linux", 1.23456, 0.61239)
STARTED = Started((LINK,), 1, 7, (FOUND,))
ANSWERED = ScriptedAnswer(
    STARTED, Delta("Run it. "), Delta(LINK),
    finished(
        f"Run it. {LINK}", claims=(Claim("Run it.", "supported"), Claim("So.", "unsupported")), grounded=0.5,
        unknown_names=(UnknownName("--frce", "--force"),), confidence=0.81234, prompt_tokens=2000, answer_tokens=100,
        searched="How do I run it?",
    ),
)  # fmt: skip
REFUSED = ScriptedAnswer(STARTED, Delta("No."), finished("No.", sources=(), no_results=True, tokens_used=0))


def entries(client: Client, count: int = 1, **query: Any) -> list[dict[str, Any]]:
    """The log, once it has so many entries: they are written after their answers."""
    wait_for(lambda: len(listed(client, **query)["questions"]) >= count)
    found: list[dict[str, Any]] = listed(client, **query)["questions"]
    assert len(found) == count
    return found


def listed(client: Client, **query: Any) -> dict[str, Any]:
    response = client.get("/questions", params=query, headers=ADMIN)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_an_answered_question_is_logged_with_what_was_found_and_what_it_cost(make_settings: MakeSettings) -> None:
    settings = make_settings(chat_price_input=1.0, chat_price_output=10.0)
    with serving(settings, ANSWERED) as client:
        ask(client, {"question": "How?", "page": "guide/run.md"}, **{"X-Anonymous-Session-ID": "b1"})
        (entry,) = entries(client)
    assert datetime.now(UTC) - datetime.fromisoformat(entry.pop("at")) < timedelta(minutes=1)
    assert 0 <= entry.pop("first_word_seconds") <= entry.pop("seconds") < 5
    assert len(entry.pop("visitor")) == 12
    assert entry.pop("id")
    assert entry == {
        "question": "How?", "searched": "How do I run it?", "follow_up": False, "selection": False,
        "page": "guide/run.md", "dialect": "sse", "outcome": "answered", "no_results": False, "finish_reason": "stop",
        "release": 7,
        "found": [{"chunk_id": "chunk-1", "url": FOUND.url, "score": 1.2346, "cosine": 0.6124}],
        "cited": [{"chunk_id": CITATION.chunk_id, "url": CITATION.url, "score": 0.82, "cosine": None}],
        "confidence": 0.812, "grounded": 0.5, "sentences": 2, "unsupported": 1, "unknown_names": ["--frce"],
        "model": "test-model", "cached": False, "prompt_tokens": 2000, "answer_tokens": 100, "dollars": 0.003,
        "rewrite_tokens": 0, "embedding_tokens": 0,
    }  # fmt: skip


def test_neither_the_answer_nor_a_selection_nor_a_conversation_is_kept(make_settings: MakeSettings) -> None:
    settings = make_settings()
    body = {
        "question": "What is this?", "selection": "a secret of mine", "history": [{"role": "user", "content": "hush"}],
    }  # fmt: skip
    with serving(settings, ANSWERED) as client:
        ask(client, body)
        (entry,) = entries(client)
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as store:
            kept = b"".join(fields[b"json"] for _, fields in store.xrange(STREAM))
    assert (entry["selection"], entry["follow_up"]) == (True, True)
    for private in (b"secret", b"hush", b"Run it. ["):
        assert private not in kept


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (REFUSED, "no_results"),
        (ScriptedAnswer(STARTED, Delta("a"), ProviderUnavailable("it is away")), "model_unavailable"),
        (ScriptedAnswer(STARTED, ValueError("a bug")), "internal_error"),
        (ScriptedAnswer(STARTED, Delta("a")), "upstream_truncated"),
    ],
)
def test_how_a_question_ended_is_logged(make_settings: MakeSettings, answer: ScriptedAnswer, outcome: str) -> None:
    with serving(make_settings(), answer) as client:
        ask(client)
        (entry,) = entries(client)
    assert (entry["outcome"], entry["no_results"]) == (outcome, outcome == "no_results")
    assert entry["release"] == 7
    assert entry["found"]


def test_a_visitor_who_leaves_is_logged(make_settings: MakeSettings) -> None:
    with serving(make_settings(), ScriptedAnswer(STARTED, Delta("a"), 30)) as client:
        with raw_connection(client) as connection:
            connection.sendall(raw_chat())
            assert connection.recv(100)
        (entry,) = entries(client)
    assert (entry["outcome"], entry["model"], entry["dollars"]) == ("left", None, None)


@pytest.mark.parametrize(
    ("body", "headers", "dialect"),
    [
        ({"question": "How?"}, {}, "sse"), ({"question": "How?", "stream": False}, {}, "json"),
        ({"query": "How?"}, {"X-Stream-Response": "true"}, "ndjson"), ({"query": "How?"}, {}, "query"),
    ],
)  # fmt: skip
def test_every_dialect_is_logged(
    make_settings: MakeSettings, body: dict[str, Any], headers: dict[str, str], dialect: str
) -> None:
    with serving(make_settings(), REFUSED) as client:
        ask(client, body, **headers)
        (entry,) = entries(client)
    assert entry["dialect"] == dialect


def test_a_visitor_s_questions_hang_together_and_nothing_names_the_visitor(make_settings: MakeSettings) -> None:
    settings = make_settings(trusted_proxies="127.0.0.0/8")
    visitors = [{"X-Anonymous-Session-ID": "browser-one"}, {"X-Anonymous-Session-ID": "browser-two"},
                {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}]  # fmt: skip
    with serving(settings, REFUSED) as client:
        for headers in visitors * 2:
            ask(client, **headers)
        names = [entry["visitor"] for entry in entries(client, 8)]
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as store:
            kept = repr(store.xrange(STREAM))
    assert names[:4] == names[4:]
    assert len(set(names)) == 4
    for private in ("browser-one", "203.0.113", "127.0.0.1"):
        assert private not in kept


def test_entries_are_listed_newest_first_and_page_by_page(make_settings: MakeSettings) -> None:
    with serving(make_settings(), REFUSED) as client:
        for number in range(5):
            ask(client, {"question": f"Number {number}?"})
        entries(client, 5)
        first = listed(client, limit=2)
        second = listed(client, limit=2, before=first["next"])
        third = listed(client, limit=2, before=second["next"])
    asked = [entry["question"][7] for page in (first, second, third) for entry in page["questions"]]
    assert asked == ["4", "3", "2", "1", "0"]
    assert (third["next"], third["days"]) == (None, 30)


def test_entries_of_a_time_and_those_that_were_refused_can_be_chosen(make_settings: MakeSettings) -> None:
    with serving(make_settings(), REFUSED) as client:
        ask(client, {"question": "Early?"})
        early = entries(client)[0]
        time.sleep(0.05)
        between = datetime.now(UTC)
        time.sleep(0.05)
        ask(client, {"question": "Late?"})
        entries(client, 2)
        assert [entry["question"] for entry in entries(client, since=between.isoformat())] == ["Late?"]
        assert [entry["question"] for entry in entries(client, until=between.isoformat())] == ["Early?"]
        # Without a zone it is UTC.
        naive = between.replace(tzinfo=None).isoformat()
        assert [entry["question"] for entry in entries(client, since=naive)] == ["Late?"]
        assert listed(client, no_results="false")["questions"] == []
        assert len(listed(client, no_results="true")["questions"]) == 2
        assert listed(client, until=between.isoformat(), before=early["id"])["questions"] == []


def test_all_entries_come_as_lines_of_json(make_settings: MakeSettings) -> None:
    with serving(make_settings(), REFUSED) as client:
        for number in range(3):
            ask(client, {"question": f"Zeile\u2028{number}, größer?"})
        whole = entries(client, 3)
        response = client.get("/questions", params={"format": "jsonl"}, headers=ADMIN)
        assert response.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in response.text.splitlines()] == whole
        limited = client.get("/questions", params={"format": "jsonl", "limit": 1}, headers=ADMIN)
        assert len(limited.text.splitlines()) == 1
        none = client.get("/questions", params={"format": "jsonl", "no_results": "false"}, headers=ADMIN)
        assert (none.status_code, none.text) == (200, "")


def test_an_empty_log_is_an_empty_list(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        assert listed(client) == {"questions": [], "next": None, "days": 30}


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"before": "x"}, {"since": "last week"}, {"format": "csv"}, {"kind": "all"}, {"x": "y"}]
)
def test_a_wrong_parameter_is_refused_by_name(make_settings: MakeSettings, query: dict[str, str]) -> None:
    with serving(make_settings()) as client:
        response = client.get("/questions", params=query, headers=ADMIN)
    assert response.status_code == 422
    assert next(iter(query)) in response.json()["message"]


def test_a_log_that_is_switched_off_keeps_nothing_and_forgets_what_it_had(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with serving(settings, REFUSED) as client:
        ask(client)
        entries(client)
    off = settings.model_copy(update={"question_log_days": 0})
    with serving(off, REFUSED) as client:
        ask(client)
        time.sleep(0.1)
        assert listed(client) == {"questions": [], "next": None, "days": 0}
        with redis.Redis.from_url(off.redis_url.get_secret_value()) as store:
            wait_for(lambda: store.xlen(STREAM) == 0)


@pytest.mark.parametrize("query", [{}, {"format": "jsonl"}])
def test_a_redis_that_is_away_is_told_with_a_status(make_settings: MakeSettings, query: dict[str, str]) -> None:
    with serving(make_settings(redis_url="redis://127.0.0.1:1/0")) as client:
        response = client.get("/questions", params=query, headers=ADMIN)
    assert response.status_code == 503
    assert "question log" in response.json()["message"]


def test_answers_do_not_wait_for_a_log_that_cannot_be_written(make_settings: MakeSettings) -> None:
    with serving(make_settings(redis_url="redis://127.0.0.1:1/0"), ANSWERED) as client:
        for _ in range(3):
            response = ask(client)
            assert response.status_code == 200
        with httpx.Client() as other:
            assert other.get(f"{client.base_url}/healthz").status_code == 200


def test_an_answer_that_was_given_again_costs_nothing(make_settings: MakeSettings) -> None:
    kept = finished("Run it.", cached=True, prompt_tokens=2000, answer_tokens=100)
    settings = make_settings(chat_price_input=1.0, chat_price_output=10.0)
    with serving(settings, ScriptedAnswer(STARTED, Delta("Run it."), kept)) as client:
        ask(client)
        (entry,) = entries(client)
    assert (entry["cached"], entry["dollars"]) == (True, 0)
