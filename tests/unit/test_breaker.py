"""A model that fails is left alone for a while, and found again by one question."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from api.chat.breaker import LONG_PAUSE, MOST_FAILURES, PAUSE, Breaker


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def broken(breaker: Breaker) -> Breaker:
    for _ in range(MOST_FAILURES):
        assert breaker.enter()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not(breaker: Breaker) -> None:
    for _ in range(3 * MOST_FAILURES):
        assert breaker.enter()
        breaker.failed()
        breaker.succeeded()
    assert broken(breaker).wait == PAUSE
    assert not breaker.enter()


def test_after_the_pause_one_question_tries_and_the_others_still_wait(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += PAUSE
    assert breaker.wait == 0
    assert breaker.enter()
    assert not breaker.enter()
    assert breaker.wait > 0


def test_a_good_try_closes_it(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += PAUSE
    breaker.enter()
    breaker.succeeded()
    assert all(breaker.enter() for _ in range(5))


def test_a_first_word_lets_the_others_in_and_an_end_that_never_comes_shuts_them_out_again(
    breaker: Breaker, clock: Clock
) -> None:
    broken(breaker)
    clock.now += PAUSE
    breaker.enter()
    breaker.began()
    assert all(breaker.enter() for _ in range(5))
    breaker.failed()
    assert not breaker.enter()


def test_a_failed_try_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += PAUSE
    breaker.enter()
    breaker.failed()
    assert breaker.wait == PAUSE


def test_a_try_that_nobody_waited_for_leaves_it_to_the_next(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += PAUSE
    breaker.enter()
    breaker.left()
    assert breaker.enter()


def test_a_failure_that_is_known_to_last_opens_it_at_once_but_not_for_hours(breaker: Breaker) -> None:
    breaker.enter()
    breaker.failed(20.0)
    assert breaker.wait == 20.0
    breaker.failed(86_400.0)
    assert breaker.wait == LONG_PAUSE


def test_many_that_fail_together_open_it_once(breaker: Breaker, clock: Clock) -> None:
    assert all(breaker.enter() for _ in range(100))
    for _ in range(100):
        breaker.failed()
    clock.now += PAUSE
    assert breaker.enter()
