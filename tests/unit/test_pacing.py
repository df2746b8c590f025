"""How fast a provider may be asked: the rules by themselves, then shared over a real Redis by several processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from shared import pacing, pacing_rules
from shared.errors import MustWait, ProviderError, ProviderUnavailable
from shared.pacing import Pacer, name_of
from shared.pacing_rules import Pace, PaceLimits, Size, afresh, answered, ask, down, limited, refused
from shared.redis_clients import close_redis
from shared.services import open_redis
from shared.settings import Settings

NOW = 1_000_000.0
ONE = Size(tokens=100, items=1)
FREE = PaceLimits()
#: A provider that has answered a moment ago.
TRUSTED = answered(Pace(), NOW)


def wait(pace: Pace, now: float = NOW, *, asker: str = "a", size: Size = ONE, limits: PaceLimits = FREE) -> float:
    return ask(pace, now, asker, size, limits)[1].wait


# The owner's limits


@pytest.mark.parametrize(
    ("limits", "size", "seconds"),
    [
        (PaceLimits(requests=60), ONE, 1),
        (PaceLimits(tokens=60_000), Size(tokens=15_000, items=1), 15),
        (PaceLimits(items=120), Size(tokens=1, items=100), 50),
        (PaceLimits(requests=60, tokens=60_000, items=120), Size(tokens=15_000, items=100), 50),
        (FREE, Size(tokens=10**9, items=10**6), 0),
    ],
)
def test_requests_are_spaced_by_what_they_take_of_the_limits(limits: PaceLimits, size: Size, seconds: float) -> None:
    after, answer = ask(TRUSTED, NOW, "a", size, limits)
    assert answer.wait == 0
    assert wait(after, limits=limits) == pytest.approx(seconds)
    assert wait(after, NOW + seconds, limits=limits) == 0


def test_a_question_waits_for_no_limit_and_counts() -> None:
    limits = PaceLimits(requests=60)
    pace = TRUSTED
    for _ in range(3):
        pace = pacing_rules.count(pace, NOW, ONE, limits)
    assert wait(pace, limits=limits) == 3


# The provider's own limits


def test_a_wait_that_the_provider_asks_for_holds_for_all() -> None:
    pace = limited(TRUSTED, NOW, NOW - 1, 7, "busy")
    assert wait(pace, asker="another") == 7
    assert wait(pace, NOW + 7) == 0


def test_a_wait_without_sense_ends_after_a_day() -> None:
    pace = limited(TRUSTED, NOW, NOW - 1, 999_999_999, "busy")
    assert wait(pace, asker="another") == 24 * 3600


def test_the_gap_doubles_with_each_rate_limit_and_shrinks_with_each_good_reply() -> None:
    pace = TRUSTED
    gaps = []
    for step in range(12):
        pace = limited(pace, NOW + step, NOW + step, None, "busy")
        gaps.append(pace.gap)
    assert gaps[:4] == [0.25, 0.5, 1, 2]
    assert max(gaps) == pacing_rules.WIDEST_GAP
    for _ in range(80):
        pace = answered(pace, NOW + 20)
    assert pace.gap == 0


def test_requests_that_were_on_their_way_together_widen_the_gap_once() -> None:
    pace = limited(TRUSTED, NOW, NOW - 1, None, "busy")
    assert limited(pace, NOW + 0.1, NOW - 1, None, "busy").gap == pace.gap


def test_requests_keep_the_gap() -> None:
    pace = limited(TRUSTED, NOW, NOW, 0, "busy")
    assert wait(pace) == 0.25
    after, _ = ask(pace, NOW + 1, "a", ONE, FREE)
    assert wait(after, NOW + 1) == 0.25


# Whether it answers at all


def test_one_request_finds_out_for_all_whether_the_provider_answers() -> None:
    asked, answer = ask(Pace(), NOW, "a", ONE, FREE)
    assert answer.wait == 0
    assert wait(asked, asker="b") == pacing_rules.LOOK_AGAIN
    assert wait(asked, asker="a") == 0  # its own second try
    assert wait(answered(asked, NOW + 1), NOW + 1, asker="b") == 0


def test_a_process_that_died_while_it_was_finding_out_holds_nobody_up_for_long() -> None:
    asked, _ = ask(Pace(), NOW, "a", ONE, FREE)
    assert wait(asked, NOW + pacing_rules.PROBE, asker="b") == 0


def test_a_provider_that_is_down_is_asked_by_one_after_a_rest_that_grows() -> None:
    pace, now, rests = TRUSTED, NOW, []
    for _ in range(5):
        pace = down(pace, now, "no answer")
        rests.append(pace.quiet_until - now)
        now = pace.quiet_until
        pace, answer = ask(pace, now, "a", ONE, FREE)
        assert answer.wait == 0
        assert wait(pace, now, asker="b") > 0
    assert rests == [5, 10, 20, 30, 30]
    assert pace.failing_since == NOW
    assert answered(pace, now).failing_since == 0


def test_requests_that_fail_together_make_one_rest() -> None:
    pace = down(TRUSTED, NOW, "no answer")
    assert down(pace, NOW + 0.1, "no answer").rest == pace.rest


def test_a_new_job_may_ask_again_but_keeps_the_wait_that_was_asked_for() -> None:
    pace = refused(limited(TRUSTED, NOW, NOW, 60, "busy"), "wrong key")
    assert afresh(pace).refused == ""
    assert wait(afresh(pace)) == 60


# Shared


@pytest.fixture
async def redis(make_settings: Callable[..., Settings]) -> AsyncIterator[Redis]:
    client = open_redis(make_settings())
    yield client
    await close_redis(client)


async def test_two_processes_keep_one_limit_together(redis: Redis) -> None:
    limits = PaceLimits(requests=600)
    pacers = [Pacer(redis, name="x", limits=limits) for _ in range(2)]
    await pacers[0].answered()
    began = time.monotonic()
    await asyncio.gather(*(pacer.turn(ONE, "a") for pacer in pacers for _ in range(3)))
    # Six requests are five gaps of a tenth of a second.
    assert 0.45 < time.monotonic() - began < 3


async def test_a_wait_that_one_process_was_asked_for_is_kept_by_the_others(redis: Redis) -> None:
    first, second = Pacer(redis, name="x"), Pacer(redis, name="x")
    turn = await first.turn(ONE, "a")
    await first.limited(turn.at, 90, "the provider is busy")
    with pytest.raises(MustWait, match="is busy") as caught:
        await second.turn(ONE, "b")
    assert 88 < caught.value.until - time.time() < 91
    found = await Pacer(redis, name="x").limited_until()
    assert found is not None
    assert (round(found.until), found.reason) == (round(caught.value.until), "the provider is busy")
    _, quiet = await second.visitor_turn(ONE)
    assert 88 < quiet <= 90


async def test_a_provider_that_refuses_is_asked_once_by_all_and_once_more_for_a_new_job(redis: Redis) -> None:
    first, second = Pacer(redis, name="x"), Pacer(redis, name="x")
    await first.turn(ONE, "a")
    others = asyncio.create_task(second.turn(ONE, "b"))
    await asyncio.sleep(0.05)
    await first.refused("check OPENAI_API_KEY")
    with pytest.raises(ProviderError, match="check OPENAI_API_KEY"):
        await others
    await second.afresh()
    await first.turn(ONE, "c")


async def test_other_settings_have_another_pace(redis: Redis) -> None:
    names = {name_of("http://a/", "m", "k"), name_of("http://a/", "m", "K"), name_of("http://b/", "m", "k")}
    assert len(names) == 3
    await Pacer(redis, name="x").refused("wrong key")
    await Pacer(redis, name="y").turn(ONE, "a")


async def test_nothing_holds_requests_up_at_first(redis: Redis) -> None:
    assert await Pacer(redis, name="x").limited_until() is None


async def test_a_limit_of_ones_own_is_named_by_its_setting(redis: Redis) -> None:
    pacer = Pacer(redis, name="x", limits=PaceLimits(tokens=1000))
    await pacer.answered()
    await pacer.turn(Size(tokens=5000, items=1), "a")
    with pytest.raises(MustWait, match="EMBED_TOKENS_PER_MINUTE=1000"):
        await pacer.turn(ONE, "b")
    found = await pacer.limited_until()
    assert found is not None
    assert found.reason == "requests are held back by EMBED_TOKENS_PER_MINUTE=1000"


async def test_a_job_is_put_off_until_the_patience_is_over(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing_rules, "FIRST_REST", 0.5)
    pacer = Pacer(redis, name="x", patience_seconds=1)
    await pacer.turn(ONE, "a")
    put_off = await pacer.gave_up("it does not answer", is_limit=False)
    assert isinstance(put_off, MustWait)
    turn = await pacer.turn(ONE, "a")
    assert turn.only_try
    over = await pacer.gave_up("it does not answer", is_limit=False)
    assert isinstance(over, ProviderUnavailable)
    assert "EMBED_PATIENCE_MINUTES" in over.message


async def test_a_wait_beyond_the_patience_is_not_begun(redis: Redis) -> None:
    pacer = Pacer(redis, name="x", patience_seconds=3600)
    turn = await pacer.turn(ONE, "a")
    await pacer.limited(turn.at, 7200, "come back in two hours")
    with pytest.raises(ProviderUnavailable, match="come back in two hours"):
        await pacer.turn(ONE, "a")


async def test_without_redis_a_process_paces_itself_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Redis.from_url("redis://127.0.0.1:9/0", socket_connect_timeout=0.2)
    monkeypatch.setattr(pacing, "REDIS_SECONDS", 0.2)
    pacer = Pacer(dead, name="x", limits=PaceLimits(requests=600))
    await pacer.answered()
    began = time.monotonic()
    for _ in range(4):
        await pacer.turn(ONE, "a")
    assert 0.25 < time.monotonic() - began < 3
    turn = await pacer.turn(ONE, "a")
    await pacer.limited(turn.at, 100, "busy")
    with pytest.raises(MustWait):
        await pacer.turn(ONE, "a")
    await dead.aclose()


async def test_a_state_of_a_newer_version_is_read_and_replaced(redis: Redis) -> None:
    await redis.set("lectern:pace:x", '{"gap": 0.5, "quiet_until": 0.0, "colour": "blue"}')
    pacer = Pacer(redis, name="x")
    await pacer.answered()
    assert await redis.get("lectern:pace:x") != '{"gap": 0.5, "quiet_until": 0.0, "colour": "blue"}'
