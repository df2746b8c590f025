"""What is remembered of a conversation, by which of its names, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from api.chat.events import Delta, Started, Turn
from shared.settings import Settings
from tests.http_api import Client, ScriptedAnswer, ask, finished, good_answer, serving
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
#: A port that nothing listens on.
NO_REDIS = "redis://127.0.0.1:9/0"


@pytest.fixture
def script() -> ScriptedAnswer:
    return ScriptedAnswer(Started((), 1), Delta("Yes."), finished("Yes.", sources=()))


@pytest.fixture
def client(make_settings: MakeSettings, script: ScriptedAnswer) -> Iterator[Client]:
    with serving(make_settings(), script) as client:
        yield client


def keys(stores: Stores) -> dict[str, int]:
    """Every session key with its seconds to live."""
    with redis.Redis.from_url(stores.redis_url, decode_responses=True) as connection:
        found: Any = connection.keys("lectern:session:*")
        return {key: int(connection.ttl(key)) for key in found}


def test_a_client_with_one_session_id_is_remembered_by_it(client: Client, script: ScriptedAnswer) -> None:
    ask(client, {"question": "What is it?", "session_id": "thread_1"})
    ask(client, {"question": "And how?", "session_id": "thread_1"})
    assert script.questions[0].history == ()
    assert script.questions[1].history == (Turn("What is it?", "Yes."),)


def test_other_sessions_see_nothing_of_it(client: Client, script: ScriptedAnswer) -> None:
    ask(client, {"question": "What is it?", "session_id": "thread_1"})
    for session_id in ("thread_2", "thread_1 ", "THREAD_1", None):
        ask(client, {"question": "And how?", "session_id": session_id})
        assert script.questions[-1].history == ()


def test_a_client_with_a_new_session_id_each_time_is_remembered_by_its_browser(
    client: Client, script: ScriptedAnswer
) -> None:
    for number in range(2):
        body = {"question": f"Question {number}", "session_id": f"fresh{number}"}
        ask(client, body, **{"X-Anonymous-Session-ID": "anon_1"})
    assert script.questions[1].history == (Turn("Question 0", "Yes."),)
    ask(client, {"question": "x", "session_id": "fresh9"}, **{"X-Anonymous-Session-ID": "anon_2"})
    assert script.questions[2].history == ()


def test_a_client_with_both_goes_on_with_its_own_thread(client: Client, script: ScriptedAnswer) -> None:
    for session_id in ("tab_1", "tab_2", "tab_1"):
        ask(client, {"question": f"In {session_id}", "session_id": session_id}, **{"X-Anonymous-Session-ID": "anon"})
    assert [turn.question for turn in script.questions[2].history] == ["In tab_1"]


def test_a_session_id_is_no_other_clients_browser_id(client: Client, script: ScriptedAnswer) -> None:
    ask(client, {"question": "Mine"}, **{"X-Anonymous-Session-ID": "anon_1"})
    ask(client, {"question": "Whose?", "session_id": "anon_1"})
    assert script.questions[1].history == ()


def test_a_history_in_the_request_stands_in_place_of_what_is_remembered(client: Client, script: ScriptedAnswer) -> None:
    ask(client, {"question": "What is it?", "session_id": "s"})
    ask(client, {"question": "And how?", "session_id": "s", "history": []})
    assert script.questions[1].history == ()


@pytest.mark.parametrize("most", [0, 1, 3])
def test_only_so_many_exchanges_are_remembered(make_settings: MakeSettings, script: ScriptedAnswer, most: int) -> None:
    with serving(make_settings(max_context_messages=most), script) as client:
        for number in range(6):
            ask(client, {"question": f"{number}", "session_id": "s"})
    assert [turn.question for turn in script.questions[5].history] == [str(n) for n in range(5 - most, 5)]


def test_memory_lasts_for_the_configured_time_and_holds_no_id(
    make_settings: MakeSettings, stores: Stores, script: ScriptedAnswer
) -> None:
    with serving(make_settings(session_minutes=30), script) as client:
        ask(client, {"question": "x", "session_id": "my-secret-thread"})
    remembered = keys(stores)
    assert len(remembered) == 1
    assert "my-secret-thread" not in str(remembered)
    assert all(1790 <= seconds <= 1800 for seconds in remembered.values())


def test_a_failed_answer_is_not_remembered(make_settings: MakeSettings, stores: Stores) -> None:
    with serving(make_settings(), ScriptedAnswer(Started((), 1), Delta("Half"), RuntimeError())) as client:
        ask(client, {"question": "x", "session_id": "s"})
    assert keys(stores) == {}


def test_the_exchange_is_remembered_before_the_client_hears_that_the_answer_is_done(
    client: Client, script: ScriptedAnswer
) -> None:
    for number in range(20):
        with client.stream("POST", "/chat", json={"question": f"{number}", "session_id": "s"}) as response:
            for read in response.iter_raw():
                if b'"done"' in read:
                    break
    assert [q.history[-1].question for q in script.questions[1:]] == [str(n) for n in range(19)]


def test_without_redis_questions_are_answered_without_memory(make_settings: MakeSettings) -> None:
    script = good_answer()
    with serving(make_settings(redis_url=NO_REDIS), script) as client:
        for _ in range(2):
            assert ask(client, {"question": "x", "session_id": "s"}).status_code == 200
        assert any(entry["event"] == "session.not_recalled" for entry in client.logs)
    assert script.questions[1].history == ()


# What a widget asks on its start


def test_a_browser_can_ask_how_much_is_remembered_of_it(client: Client) -> None:
    address = "/auth/anonymous-session/anon_1733_x"
    assert client.get(address).json() == {"id": "anon_1733_x", "message_count": 0, "exists": False}
    ask(client, {"question": "x"}, **{"X-Anonymous-Session-ID": "anon_1733_x"})
    assert client.get(address).json() == {"id": "anon_1733_x", "message_count": 1, "exists": True}


def test_an_overlong_browser_id_is_refused(client: Client) -> None:
    assert client.get(f"/auth/anonymous-session/{'x' * 129}").status_code == 422
