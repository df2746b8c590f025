"""A model that begins to recite its rules is stopped, however its words are cut, and nobody else is."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import pytest

from api.chat.events import Question
from api.chat.leaks import RECITED, WITHHELD, LeakGuard, without_leaks
from api.chat.model import Ending
from api.chat.prompt import RULES, build_prompt
from tests.passages import passage

FENCE = "0123456789abcdef"
TEXT = RULES.format(nonce=FENCE)
#: Sentences that share words with the rules, as answers do.
ORDINARY = (
    "Use only what the passages say about anchors [1]. Keep code, commands and names in one file [2].\n\n"
    "If they do not hold, say so. In square brackets, numbers of passages are 0123 or 0123456 and 01234567."
)


def run(text: str, size: int, shown: str = "") -> tuple[str, bool]:
    guard = LeakGuard(TEXT, [shown])
    said = "".join(guard.feed(text[start : start + size]) for start in range(0, len(text), size))
    return said + guard.finish(), guard.leaked


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 5000])
def test_ordinary_sentences_pass_whole_wherever_they_are_cut(size: int) -> None:
    assert run(ORDINARY, size) == (ORDINARY, False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 5000])
@pytest.mark.parametrize(
    "recital",
    [
        TEXT,
        TEXT.upper(),
        TEXT.replace(" ", "\n"),
        TEXT.replace(" ", " **x** ").replace(" **x** ", "* *"),
        TEXT[400:],
        f"> {TEXT[200:700]}",
    ],
    ids=["whole", "capitals", "lines", "signs", "from the middle", "quoted"],
)
def test_a_recital_is_stopped_before_a_visitor_reads_more_than_a_few_words_of_it(recital: str, size: int) -> None:
    said, leaked = run(f"Of course. Here they are: {recital}", size)
    assert leaked
    assert said.startswith("Of course. Here they")
    assert len(said.split()) < 6 + RECITED


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 100])
def test_the_fence_of_the_passages_never_comes_out(size: int) -> None:
    said, leaked = run(f"They stand between <passage-{FENCE}> and the like.", size)
    assert leaked
    assert FENCE[:8] not in said


def test_what_the_passages_say_themselves_may_be_quoted() -> None:
    rule = "Keep code, commands, names and numbers exactly as they stand in the passages."
    assert run(f"It says: {rule}", 4, shown=f"The first rule: {rule}") == (f"It says: {rule}", False)
    assert run(f"It says: {rule}", 4)[1]


@pytest.mark.parametrize("size", [4, 1000])
def test_a_word_without_end_takes_no_longer_than_words(size: int) -> None:
    text = f"Here you are: {'a' * 20_000} and {TEXT}"
    began = time.process_time()
    said, leaked = run(text, size)
    assert time.process_time() - began < 4
    assert leaked
    assert said.startswith(text[:20_010])


def test_what_is_held_back_comes_out_at_the_end() -> None:
    text = "You answer questions of visitors"
    assert run(text, 3) == (text, False)


async def test_the_stream_ends_with_a_refusal_and_the_model_is_closed() -> None:
    prompt = build_prompt(Question("Who are you?"), [passage()], 500)
    closed = []

    async def reciting() -> AsyncGenerator[str | Ending, None]:
        try:
            yield "Well. "
            for word in prompt.messages[0].content.split(" "):
                yield f"{word} "
            raise AssertionError("nobody reads so far")
        finally:
            closed.append(True)

    parts = [part async for part in without_leaks(reciting(), prompt)]
    *said, ending = parts
    assert "".join(map(str, said)) == f"Well. You answer\n\n{WITHHELD}"
    assert ending == Ending("refusal")
    assert closed == [True]


async def test_an_answer_that_recites_at_once_is_the_refusal_alone() -> None:
    prompt = build_prompt(Question("Who are you?"), [passage()], 500)

    async def reciting() -> AsyncGenerator[str | Ending, None]:
        yield prompt.messages[0].content

    parts = [part async for part in without_leaks(reciting(), prompt)]
    assert parts == [WITHHELD, Ending("refusal")]


async def test_an_ordinary_stream_comes_through_with_its_end() -> None:
    prompt = build_prompt(Question("How?"), [passage()], 500)

    async def plain() -> AsyncGenerator[str | Ending, None]:
        for word in ("Let ", "out ", "five ", "times ", "the ", "depth ", "[1]."):
            yield word
        yield Ending("stop", prompt_tokens=5)

    parts = [part async for part in without_leaks(plain(), prompt)]
    assert "".join(part for part in parts if isinstance(part, str)) == "Let out five times the depth [1]."
    assert parts[-1] == Ending("stop", prompt_tokens=5)
