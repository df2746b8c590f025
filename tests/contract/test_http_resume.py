"""A client that lost its stream comes back: it gets what it missed, and nobody is asked a second time."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import redis

import api.journal
from api.chat.events import Delta, Event, Started
from api.errors import AnswerInterrupted
from api.journal import Journal, Place
from shared.errors import ProviderUnavailable
from shared.services import open_redis
from shared.settings import Settings
from tests.http_api import (
    ScriptedAnswer,
    ask,
    events_of,
    events_with_ids,
    finished,
    serving,
    types_of,
    wait_for,
)  # fmt: skip
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
KEY = {"Idempotency-Key": "b6c9f6f0-5a0e-4c53-9a1e-4f3c2d1e0a9b"}
STARTED = Started((), 1)
WORDS = [f"w{number} " for number in range(40)]
#: An answer that takes two seconds.
SLOW: tuple[Event | float | Exception, ...] = (
    STARTED,
    *(step for word in WORDS for step in (Delta(word), 0.05)),
    finished("".join(WORDS)),
)
QUICK: tuple[Event | float | Exception, ...] = (STARTED, Delta("One "), Delta("two."), finished("One two."))


class Reader:
    """A client like the ones that come back by themselves: it notes the last id and sends it with the next try."""

    def __init__(self, client: httpx.Client, body: Any = None, **headers: str) -> None:
        self._client = client
        self._body = body or {"question": "How?", "session_id": "s"}
        self._headers = headers
        self.last_id = ""
        self.events: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        return "".join(event["content"] for event in self.events if event["type"] == "chunk")

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def read(self, most: int | None = None) -> None:
        """Read to the end, or `most` events and then drop the connection."""
        headers = {**self._headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
        pending = ""
        with self._client.stream("POST", "/chat", json=self._body, headers=headers) as response:
            assert response.status_code == 200, response.read()
            for line in response.iter_lines():
                if line.startswith("id: "):
                    pending = line[4:]
                elif line.startswith("data: "):
                    self.last_id, pending = pending or self.last_id, ""
                    self.events.append(json.loads(line[6:]))
                    if most is not None and (most := most - 1) == 0:
                        return


def test_every_event_has_an_id_and_they_are_numbered(make_settings: MakeSettings) -> None:
    with serving(make_settings(), ScriptedAnswer(*QUICK)) as client:
        one, other = (events_with_ids(ask(client)) for _ in range(2))
    answer_id = one[0][0].partition("-")[0]
    assert [id_ for id_, _ in one] == [f"{answer_id}-{number}" for number in range(1, 6)]
    assert len(answer_id) == 32
    assert not {id_ for id_, _ in one} & {id_ for id_, _ in other}


def test_an_answer_can_be_read_again_from_any_of_its_events(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(*QUICK)
    with serving(make_settings(), answer) as client:
        whole = events_with_ids(ask(client, {"question": "How?", "session_id": "mine"}))
        for place, (id_, _) in enumerate(whole[:-1]):
            assert events_with_ids(ask(client, **{"Last-Event-ID": id_})) == whole[place + 1 :]
        # Who has had everything still gets an end, so that a stream without one always means a broken one.
        assert events_with_ids(ask(client, **{"Last-Event-ID": whole[-1][0]})) == whole[-1:]
    assert len(answer.questions) == 1


@pytest.mark.parametrize(
    "id_", ["", "junk", "7", "0" * 32, f"{'0' * 32}-1", f"{'0' * 32}-1\n", "0" * 5000, f"{'g' * 32}-1", "\u00e9-1"]
)
def test_an_id_that_nobody_knows_counts_for_nothing(make_settings: MakeSettings, id_: str) -> None:
    answer = ScriptedAnswer(*QUICK)
    with serving(make_settings(), answer) as client:
        headers = {b"Last-Event-ID": id_.encode("latin-1").strip()}
        response = client.post("/chat", json={"question": "How?"}, headers=headers)
        assert types_of(response) == ["start", "chunk", "chunk", "final", "done"]
    assert len(answer.questions) == 1


def test_other_dialects_have_no_ids_and_pay_them_no_attention(make_settings: MakeSettings) -> None:
    with serving(make_settings(), ScriptedAnswer(*QUICK)) as client:
        (id_, _), *_ = events_with_ids(ask(client))
        lines = ask(client, {"query": "x"}, **{"X-Stream-Response": "true", "Last-Event-ID": id_}).text
        whole = ask(client, {"question": "x", "stream": False}, **{"Last-Event-ID": id_, **KEY}).json()
    assert [json.loads(line)["type"] for line in lines.splitlines()] == ["sources", "chunk", "chunk"]
    assert whole["answer"] == "One two."


def test_an_answer_that_nobody_waits_for_stops_and_says_so_to_who_comes_back(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(*SLOW)
    with serving(make_settings(), answer) as client:
        reader = Reader(client)
        reader.read(4)
        left_at = time.monotonic()
        assert answer.closed.wait(1)
        assert answer.closed_at is not None
        assert answer.closed_at - left_at < 0.5
        reader.read()
    assert reader.types[-2:] == ["chunk", "error"]
    assert (reader.events[-1]["code"], reader.events[-1]["retryable"]) == ("ANSWER_INTERRUPTED", True)
    assert reader.text.startswith("".join(WORDS[:3]))
    assert len(answer.questions) == 1


# A client that says that it may come back


def test_a_connection_that_drops_twenty_times_costs_one_answer(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(*SLOW)
    with serving(make_settings(), answer) as client:
        reader = Reader(client, **KEY)
        for _ in range(20):
            reader.read(2)
        reader.read()
    assert reader.types == ["start", *["chunk"] * 40, "final", "done"]
    assert reader.text == "".join(WORDS)
    assert len(answer.questions) == 1


def test_a_connection_that_drops_before_the_first_event_costs_one_answer(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(0.6, *QUICK)
    with serving(make_settings(), answer) as client:
        for _ in range(3):
            with client.stream("POST", "/chat", json={"question": "How?"}, headers=KEY) as response:
                next(response.iter_raw())
        assert types_of(ask(client, **KEY)) == ["start", "chunk", "chunk", "final", "done"]
    assert len(answer.questions) == 1


def test_an_answer_is_followed_at_another_process_too(make_settings: MakeSettings) -> None:
    settings = make_settings()
    answer, never = ScriptedAnswer(*SLOW), ScriptedAnswer(*QUICK)
    with serving(settings, answer) as one, serving(settings, never) as other:
        reader = Reader(one, **KEY)
        for client in (one, other) * 5:
            reader._client = client
            reader.read(4)
        reader.read()
    assert reader.text == "".join(WORDS)
    assert reader.types[-1] == "done"
    assert (len(answer.questions), len(never.questions)) == (1, 0)


def test_two_who_send_the_same_at_once_get_the_same_answer(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, 0.3, Delta("One."), finished("One."))
    settings = make_settings()
    replies: list[list[dict[str, Any]]] = []
    with serving(settings, answer) as one, serving(settings, answer) as other:
        threads = [
            threading.Thread(target=lambda client=client: replies.append(events_of(ask(client, **KEY))))
            for client in (one, other) * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(replies) == 6
    assert all(reply == replies[0] for reply in replies)
    assert len(answer.questions) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"question": "Why?"}, KEY),
        ({"question": "How?", "session_id": "other"}, KEY),
        ({"question": "How?"}, {**KEY, "X-Anonymous-Session-ID": "anon_other"}),
        ({"question": "How?"}, {"Idempotency-Key": "another-key-of-a-client"}),
    ],
    ids=["question", "session", "browser", "key"],
)
def test_a_key_stands_for_one_question_of_one_visitor(
    make_settings: MakeSettings, body: dict[str, str], headers: dict[str, str]
) -> None:
    answer = ScriptedAnswer(*QUICK)
    with serving(make_settings(), answer) as client:
        first = events_with_ids(ask(client, {"question": "How?"}, **KEY))
        second = events_with_ids(ask(client, body, **headers))
    assert first[0][0] != second[0][0]
    assert len(answer.questions) == 2


def test_a_key_that_could_be_guessed_is_refused(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        response = ask(client, **{"Idempotency-Key": "7"})
    assert response.status_code == 422
    assert response.json()["message"] == "Idempotency-Key: String should have at least 16 characters"


@pytest.mark.parametrize("failure", [ProviderUnavailable("busy"), RuntimeError("a bug")])
def test_an_answer_that_has_failed_leaves_its_key_free(make_settings: MakeSettings, failure: Exception) -> None:
    class FailsOnce(ScriptedAnswer):
        async def __call__(self, *arguments: Any) -> Any:
            self.script = (STARTED, Delta("Half "), failure) if not self.questions else QUICK
            async for event in super().__call__(*arguments):
                yield event

    answer = FailsOnce()
    with serving(make_settings(), answer) as client:
        reader = Reader(client, **KEY)
        reader.read()
        assert reader.types == ["start", "chunk", "chunk", "error"]
        # With an id it is that answer which is asked for, and what became of it.
        told_again = ask(client, **KEY, **{"Last-Event-ID": reader.last_id})
        assert types_of(told_again) == ["chunk", "error"]
        again = Reader(client, **KEY)
        again.read()
        assert again.types == ["start", "chunk", "chunk", "final", "done"]
    assert len(answer.questions) == 2


@contextmanager
def impatient(**seconds: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seconds.items():
            patch.setattr(api.journal, name, value)
        yield


def test_an_answer_whose_client_does_not_come_back_is_stopped_after_a_while(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One."), 30.0)
    with impatient(GRACE_SECONDS=1, CHECK_SECONDS=0.1), serving(make_settings(), answer) as client:
        reader = Reader(client, **KEY)
        reader.read(2)
        assert not answer.closed.wait(0.7)
        assert answer.closed.wait(2)
        reader.read()
    assert reader.events[-1]["code"] == "ANSWER_INTERRUPTED"


def test_an_answer_goes_on_for_as_long_as_it_is_read_somewhere(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One."), 2.5, finished("One."))
    settings = make_settings()
    with (
        impatient(GRACE_SECONDS=1, CHECK_SECONDS=0.1),
        serving(settings, answer) as one,
        serving(settings, ScriptedAnswer()) as other,
    ):
        reader = Reader(one, **KEY)
        reader.read(2)
        reader._client = other
        reader.read()
    assert reader.types == ["start", "chunk", "final", "done"]


# A client that has gone for good


def stop(client: httpx.Client, reader: Reader) -> int:
    return client.delete(f"/answers/{reader.last_id.partition('-')[0]}").status_code


@pytest.mark.parametrize("at_the_other", [False, True])
def test_an_answer_that_is_stopped_ends_at_once_wherever_that_is_said(
    make_settings: MakeSettings, at_the_other: bool
) -> None:
    settings = make_settings()
    answer = ScriptedAnswer(STARTED, Delta("One."), 30.0)
    with serving(settings, answer) as one, serving(settings, ScriptedAnswer()) as other:
        reader = Reader(one, **KEY)
        reader.read(2)
        time.sleep(0.3)  # it goes on without its reader
        assert not answer.closed.is_set()
        assert stop(other if at_the_other else one, reader) == 204
        assert answer.closed.wait(2)
        # Who follows it is told what became of it.
        reader.read()
    assert reader.events[-1]["code"] == "ANSWER_INTERRUPTED"
    assert len(answer.questions) == 1


def test_a_stop_that_comes_before_the_reader_has_hung_up_counts_too(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One."), 30.0)
    with serving(make_settings(), answer) as client:
        with client.stream("POST", "/chat", json={"question": "How?"}, headers=KEY) as response:
            assert client.delete(f"/answers/{response.headers['X-Answer-ID']}").status_code == 204
            assert not answer.closed.wait(1.5)
        assert answer.closed.wait(0.9)


def test_an_answer_that_is_stopped_ends_although_somebody_else_follows_it(make_settings: MakeSettings) -> None:
    settings = make_settings()
    answer = ScriptedAnswer(STARTED, Delta("One."), 30.0)
    with serving(settings, answer) as one, serving(settings, ScriptedAnswer()) as other:
        reader, follower = Reader(one, **KEY), Reader(other, **KEY)
        reader.read(2)
        following = threading.Thread(target=follower.read)
        following.start()
        wait_for(lambda: len(follower.events) == 2)
        stop(other, reader)
        following.join(3)
        assert answer.closed.is_set()
    assert follower.events[-1]["code"] == "ANSWER_INTERRUPTED"


def test_an_answer_that_was_stopped_leaves_its_key_free_at_once(make_settings: MakeSettings) -> None:
    class QuickTheSecondTime(ScriptedAnswer):
        async def __call__(self, *arguments: Any) -> Any:
            self.script = QUICK if self.questions else (STARTED, Delta("Half "), 30.0)
            async for event in super().__call__(*arguments):
                yield event

    answer = QuickTheSecondTime()
    with serving(make_settings(), answer) as client:
        reader = Reader(client, **KEY)
        reader.read(2)
        stop(client, reader)
        again = [Reader(client, **KEY), Reader(client, **KEY)]
        again[0].read()
        assert again[0].types == ["start", "chunk", "chunk", "final", "done"]
        # The first one, which comes to its end only now, does not take the key from the second.
        reader.read()
        assert reader.events[-1]["code"] == "ANSWER_INTERRUPTED"
        again[1].read()
        assert again[1].events == again[0].events
    assert len(answer.questions) == 2


def test_a_stop_for_what_is_not_there_changes_nothing(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(*QUICK)
    with serving(make_settings(), answer) as client:
        reader = Reader(client, **KEY)
        reader.read()
        assert [stop(client, reader), stop(client, reader)] == [204, 204]
        assert client.delete(f"/answers/{'0' * 32}").status_code == 204
        # What had come to its end is told again, and not paid for again.
        again = Reader(client, **KEY)
        again.read()
    assert again.events == reader.events
    assert len(answer.questions) == 1


@pytest.mark.parametrize("id_", ["7", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 32 + "-1", "0" * 32 + "%0A", "*"])
def test_what_cannot_be_an_answer_s_id_is_refused(make_settings: MakeSettings, id_: str) -> None:
    with serving(make_settings()) as client:
        response = client.delete(f"/answers/{id_}")
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_ERROR")


def test_a_stream_names_its_answer_before_its_first_event(make_settings: MakeSettings) -> None:
    with serving(make_settings(), ScriptedAnswer(*QUICK)) as client:
        first = ask(client)
        again = ask(client, **{"Last-Event-ID": events_with_ids(first)[0][0]})
    answer_ids = {id_.partition("-")[0] for reply in (first, again) for id_, _ in events_with_ids(reply)}
    assert {first.headers["X-Answer-ID"], again.headers["X-Answer-ID"]} == answer_ids
    assert len(answer_ids) == 1


def test_without_redis_a_stop_is_taken_and_the_answer_has_ended_with_its_reader(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, 30.0)
    with serving(make_settings(redis_url="redis://127.0.0.1:1/0"), answer) as client:
        reader = Reader(client, **KEY)
        reader.read(1)
        assert stop(client, reader) == 204
        assert answer.closed.wait(3)


# What Redis cannot hold


def test_without_redis_answers_are_streamed_and_just_cannot_be_taken_up(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(*QUICK)
    with serving(make_settings(redis_url="redis://127.0.0.1:1/0"), answer) as client:
        first = events_with_ids(ask(client, **KEY))
        again = events_with_ids(ask(client, **KEY, **{"Last-Event-ID": first[1][0]}))
        assert [event["type"] for _, event in again] == ["start", "chunk", "chunk", "final", "done"]
        wait_for(lambda: any(entry["event"] == "journal.not_kept" for entry in client.logs))
    assert len(answer.questions) == 2


def test_without_redis_an_answer_whose_reader_leaves_is_stopped_at_once(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, 30.0)
    with impatient(CHECK_SECONDS=0.1), serving(make_settings(redis_url="redis://127.0.0.1:1/0"), answer) as client:
        Reader(client, **KEY).read(1)
        assert answer.closed.wait(3)


def test_an_answer_that_is_too_long_to_keep_is_streamed_whole_and_not_told_again(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, *(Delta("x" * 50_000) for _ in range(8)), finished("x"))
    with serving(make_settings(), answer) as client:
        whole = events_with_ids(ask(client))
        assert [event["type"] for _, event in whole] == ["start", *["chunk"] * 8, "final", "done"]
        again = events_of(ask(client, **{"Last-Event-ID": whole[0][0]}))
    assert again[-1]["code"] == "ANSWER_INTERRUPTED"
    assert len(answer.questions) == 1


def test_an_answer_that_redis_has_lost_a_part_of_is_not_told_with_a_gap(
    make_settings: MakeSettings, stores: Stores
) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One "), 0.5, Delta("two."), finished("One two."))
    with serving(make_settings(), answer) as client, redis.Redis.from_url(stores.redis_url) as kept:
        whole = events_with_ids(ask(client))
        name = f"lectern:answer:{whole[0][0].partition('-')[0]}"
        wait_for(lambda: int(kept.llen(name)) >= 2)
        kept.lpop(name)
        assert types_of(ask(client, **{"Last-Event-ID": whole[0][0]})) == ["chunk", "error"]
    assert len(answer.questions) == 1


def test_words_of_every_kind_are_told_again_as_they_were(make_settings: MakeSettings) -> None:
    words = ['"', "\\", "\n\n", "data: x\n\nid: 7", "\u2028\u0085", "\u00e9\U0001f600", "!", ".", ":", "", "a\ud83db"]
    answer = ScriptedAnswer(STARTED, *map(Delta, words), finished("x"))
    with serving(make_settings(), answer) as client:
        whole = events_with_ids(ask(client))
        assert [event["content"] for _, event in whole[1:-2]] == [*words[:-1], "a?b"]
        assert events_with_ids(ask(client, **{"Last-Event-ID": whole[0][0]})) == whole[1:]


def test_the_journal_of_an_answer_is_gone_after_five_minutes(make_settings: MakeSettings, stores: Stores) -> None:
    with (
        serving(make_settings(), ScriptedAnswer(*QUICK)) as client,
        redis.Redis.from_url(stores.redis_url) as kept,
    ):
        ((id_, _), *_) = events_with_ids(ask(client, **KEY))
        name = f"lectern:answer:{id_.partition('-')[0]}"
        wait_for(lambda: 0 < int(kept.ttl(name)) <= 300)
        assert all(int(kept.ttl(key)) > 0 for key in kept.keys("lectern:answer:*"))


# What nobody may use up


def test_no_more_answers_go_on_without_a_reader_than_a_process_can_bear(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One."), 30.0)
    with impatient(MOST_ADOPTED=0), serving(make_settings(), answer) as client:
        Reader(client, **KEY).read(2)
        assert answer.closed.wait(1)


def test_an_answer_that_cannot_be_kept_leaves_its_key_free(make_settings: MakeSettings) -> None:
    answer = ScriptedAnswer(STARTED, *(Delta("x" * 50_000) for _ in range(8)), finished("x"))
    with serving(make_settings(), answer) as client:
        for _ in range(2):
            assert types_of(ask(client, **KEY))[-1] == "done"
    assert len(answer.questions) == 2


def test_a_redis_that_is_nearly_full_is_spared(make_settings: MakeSettings, stores: Stores) -> None:
    with (
        redis.Redis.from_url(stores.redis_url) as kept,
        impatient(SIGN_SECONDS=0.05),
        serving(make_settings(), ScriptedAnswer(*QUICK)) as client,
        impatient(NEARLY_FULL=1e-9),  # only now, or the warning would come before it is listened for
    ):
        before: Any = kept.config_get("maxmemory")
        kept.config_set("maxmemory", "4gb")
        try:
            wait_for(lambda: any(entry["event"] == "journal.redis_nearly_full" for entry in client.logs))
            whole = events_with_ids(ask(client, **KEY))
            assert [event["type"] for _, event in whole] == ["start", "chunk", "chunk", "final", "done"]
            again = events_of(ask(client, **{"Last-Event-ID": whole[0][0]}))
            assert again[-1]["code"] == "ANSWER_INTERRUPTED"
        finally:
            kept.config_set("maxmemory", before["maxmemory"] if "maxmemory" in before else before[b"maxmemory"])


async def test_an_answer_is_not_waited_for_while_redis_is_away(make_settings: MakeSettings) -> None:
    client = open_redis(make_settings(redis_url="redis://127.0.0.1:1/0"))
    place = Place("0" * 32, process="one")
    with impatient(OUTAGE_SECONDS=0.3):
        async with asyncio.timeout(5):
            with pytest.raises(AnswerInterrupted):
                _ = [kept async for kept in Journal(client).follow(place)]
    await client.aclose()


def test_a_list_that_redis_has_lost_a_part_of_does_not_stay_for_good(
    make_settings: MakeSettings, stores: Stores
) -> None:
    answer = ScriptedAnswer(STARTED, Delta("One "), 1.0, Delta("two."), 30.0)
    with (
        serving(make_settings(), answer) as client,
        redis.Redis.from_url(stores.redis_url) as kept,
        client.stream("POST", "/chat", json={"question": "How?"}) as response,
    ):
        lines = response.iter_lines()
        name = f"lectern:answer:{next(line for line in lines if line.startswith('id: '))[4:36]}"
        wait_for(lambda: bool(kept.exists(name)))
        kept.delete(name)
        wait_for(lambda: bool(kept.exists(name)))
        assert int(kept.ttl(name)) > 0
